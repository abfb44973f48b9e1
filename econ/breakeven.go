package econ

// BreakEven answers when buying machines pays back against renting.
type BreakEven struct {
	GPUs             int      // whole machines the volume needs
	UpfrontUSD       float64  // GPUs * price
	SavingUSDMonthly float64  // rent avoided, less own electricity; may be negative
	Months           *float64 // Upfront/Saving; nil when there is no saving, so never
}

// CashBreakEven returns the pay-back of buying the machines for a month's
// work, counted in cash:
//
//	upfront = m.GPUs * gpuUSD
//	saving  = rented.TotalUSD - ownEnergyUSD
//	months  = upfront / saving
//
// m is the volume on the machine to be bought, rented is what the same volume
// costs where it runs now and ownEnergyUSD >= 0 the electricity of the bought
// machines per month. No amortised rate enters: the purchase is counted once,
// up front. TR123 11.4 counts it twice and leaves energy and the number of
// machines out; see [TR123BreakEvenMonths].
func CashBreakEven(m Month, gpuUSD float64, rented Cost, ownEnergyUSD float64) (BreakEven, error) {
	if err := all(
		nonNegative("gpuUSD", gpuUSD),
		nonNegative("rented", rented.TotalUSD()),
		nonNegative("ownEnergyUSD", ownEnergyUSD),
	); err != nil {
		return BreakEven{}, err
	}
	be := BreakEven{
		GPUs:             m.GPUs,
		UpfrontUSD:       float64(m.GPUs) * gpuUSD,
		SavingUSDMonthly: rented.TotalUSD() - ownEnergyUSD,
	}
	if be.SavingUSDMonthly > 0 {
		months := be.UpfrontUSD / be.SavingUSDMonthly
		be.Months = &months
	}
	return be, nil
}
