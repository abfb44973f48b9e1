package econ

// Month is what serving a volume for a month takes.
type Month struct {
	Hours float64 // machine hours of work, over all machines
	GPUs  int     // whole machines those hours need, see GPUsForHours
	Used  Cost    // paying for the hours of work only, as on a metered cloud
	Held  Cost    // paying for whole machines all month, as with a reservation
}

// MonthlyTokens returns what tokensPerMonth >= 0 tokens of a blend take:
//
//	Hours = tokens * (Input/prefill.TokPerS + Output/decode.TokPerS) / 3600
//	Used  = tokens/1e6 * blend.CostPerM
//	Held  = GPUs * 730 * USDPerHour, plus the same energy
//
// Source: TR123 6.7, which has Used only.
func MonthlyTokens(tokensPerMonth float64, blend Blend, prefill, decode Phase, at Prices) (Month, error) {
	perM, err := blend.CostPerM(prefill, decode, at)
	if err != nil {
		return Month{}, err
	}
	perTok, err := blend.Mix(1/prefill.TokPerS, 1/decode.TokPerS)
	if err != nil {
		return Month{}, err
	}
	if err := nonNegative("tokensPerMonth", tokensPerMonth); err != nil {
		return Month{}, err
	}
	return month(tokensPerMonth*perTok/secondsPerHour, tokensPerMonth/million, perM, at)
}

// MonthlyRequests returns what requestsPerMonth >= 0 requests take; the
// formulas are those of [MonthlyTokens] with the request in place of a token.
func MonthlyRequests(requestsPerMonth float64, r Request, prefill, decode Phase, at Prices) (Month, error) {
	each, err := r.Cost(prefill, decode, at)
	if err != nil {
		return Month{}, err
	}
	seconds, err := r.Seconds(prefill, decode)
	if err != nil {
		return Month{}, err
	}
	if err := nonNegative("requestsPerMonth", requestsPerMonth); err != nil {
		return Month{}, err
	}
	return month(requestsPerMonth*seconds/secondsPerHour, requestsPerMonth, each, at)
}

func month(hours, units float64, perUnit Cost, at Prices) (Month, error) {
	used, err := perUnit.Scale(units)
	if err != nil {
		return Month{}, err
	}
	gpus, err := GPUsForHours(hours, 1)
	if err != nil {
		return Month{}, err
	}
	held := Cost{InfraUSD: float64(gpus) * HoursPerMonth * at.USDPerHour, EnergyUSD: used.EnergyUSD}
	return Month{Hours: hours, GPUs: gpus, Used: used, Held: held}, nil
}
