package econ

// Cost is an amount of money with its two parts kept apart. What the amount is
// for (a million tokens, a request, a month) is said by the function that
// returns it.
type Cost struct {
	InfraUSD  float64  // machine time, >= 0
	EnergyUSD *float64 // electricity, >= 0; nil when energy was not measured
}

// TotalUSD returns infra plus energy. When energy was not measured it is the
// infra part alone; Complete tells the two cases apart.
func (c Cost) TotalUSD() float64 {
	if c.EnergyUSD == nil {
		return c.InfraUSD
	}
	return c.InfraUSD + *c.EnergyUSD
}

// Complete reports whether the total includes energy.
func (c Cost) Complete() bool { return c.EnergyUSD != nil }

// EnergyShare returns energy/total in [0,1]. It is not known, and ok is false,
// when energy was not measured or the total is zero. Source: TR123 6.1.
func (c Cost) EnergyShare() (share float64, ok bool) {
	if total := c.TotalUSD(); c.Complete() && total > 0 {
		return *c.EnergyUSD / total, true
	}
	return 0, false
}

// Scale returns k times the cost, k >= 0.
func (c Cost) Scale(k float64) (Cost, error) {
	if err := nonNegative("k", k); err != nil {
		return Cost{}, err
	}
	return mix(k, c, 0, Cost{EnergyUSD: new(float64)}), nil
}

// mix returns a*x + b*y. The energy part is known when both are.
func mix(a float64, x Cost, b float64, y Cost) Cost {
	out := Cost{InfraUSD: a*x.InfraUSD + b*y.InfraUSD}
	if x.Complete() && y.Complete() {
		energy := a**x.EnergyUSD + b**y.EnergyUSD
		out.EnergyUSD = &energy
	}
	return out
}
