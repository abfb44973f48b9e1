package econ

// HoursPerYear and HoursPerMonth are those of a 365-day year.
const (
	HoursPerYear  = 8760.0
	HoursPerMonth = HoursPerYear / 12 // 730
)

// AmortizedUSDPerHour spreads a purchase over the hours it is used:
//
//	priceUSD / (lifeYears * 8760 * utilisation)
//
// with priceUSD >= 0, lifeYears > 0 and utilisation in (0,1]. TR123's $0.046/h
// (2.5) is $1,200 over 3 years at utilisation 1.
func AmortizedUSDPerHour(priceUSD, lifeYears, utilisation float64) (float64, error) {
	if err := all(
		nonNegative("priceUSD", priceUSD),
		positive("lifeYears", lifeYears),
		require(utilisation > 0 && utilisation <= 1, "utilisation", utilisation, "a number in (0,1]"),
	); err != nil {
		return 0, err
	}
	return priceUSD / (lifeYears * HoursPerYear * utilisation), nil
}
