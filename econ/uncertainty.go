package econ

import "math"

// Interval is a value with the half-width of its confidence interval. The
// level is the caller's; it passes through unchanged.
type Interval struct {
	Value float64
	Half  float64 // >= 0
}

// Lo returns the lower bound.
func (i Interval) Lo() float64 { return i.Value - i.Half }

// Hi returns the upper bound.
func (i Interval) Hi() float64 { return i.Value + i.Half }

// Over returns i/j, both > 0 and their errors independent, to first order:
//
//	value = i/j
//	half  = value * hypot(i.Half/i, j.Half/j)
//
// The intervals of a ranking share a machine whose speed drifts, so that this is
// rather too wide than too narrow.
func (i Interval) Over(j Interval) (Interval, error) {
	if err := all(i.check("numerator"), j.check("denominator")); err != nil {
		return Interval{}, err
	}
	v := i.Value / j.Value
	return Interval{Value: v, Half: v * math.Hypot(i.Half/i.Value, j.Half/j.Value)}, nil
}

func (i Interval) check(field string) error {
	return all(positive(field, i.Value), nonNegative(field+".Half", i.Half))
}

// PhaseInterval is a phase whose time and energy are uncertain. Energy may be
// known as power for the phase's time, as joules a token that were measured by
// themselves, or in part as either; a token takes
//
//	JPerTok + SPerTok * PowerW
//
// with what is nil left out. All values are > 0 and independent of each other.
type PhaseInterval struct {
	SPerTok Interval  // seconds a token
	PowerW  *Interval // mean watts over SPerTok; nil for none
	JPerTok *Interval // joules a token whose own time is not SPerTok; nil for none
}

// Measured reports whether energy was.
func (p PhaseInterval) Measured() bool { return p.PowerW != nil || p.JPerTok != nil }

// perTokInterval returns the interval of fixed*SPerTok + perJ*joules, the form
// that dollars, joules and grams per token all have. To first order
//
//	half^2 = ((fixed + perJ*W) * dt)^2 + (t * perJ * dW)^2 + (perJ * dJ)^2
//
// so the correlation that time brings into machine time and into energy by
// power is kept, and joules of their own have none with it.
func (p PhaseInterval) perTokInterval(fixed, perJ float64) (Interval, error) {
	if err := p.SPerTok.check("SPerTok"); err != nil {
		return Interval{}, err
	}
	t, rate, dRate := p.SPerTok, fixed, 0.0
	var own Interval
	if p.PowerW != nil {
		if err := p.PowerW.check("PowerW"); err != nil {
			return Interval{}, err
		}
		rate += perJ * p.PowerW.Value
		dRate = perJ * p.PowerW.Half
	}
	if p.JPerTok != nil {
		if err := p.JPerTok.check("JPerTok"); err != nil {
			return Interval{}, err
		}
		own = Interval{Value: perJ * p.JPerTok.Value, Half: perJ * p.JPerTok.Half}
	}
	return Interval{
		Value: t.Value*rate + own.Value,
		Half:  math.Hypot(math.Hypot(rate*t.Half, t.Value*dRate), own.Half),
	}, nil
}

// USDPerM returns the dollars a million tokens cost, energy included when it
// was measured, with first-order propagation of all intervals.
func (p PhaseInterval) USDPerM(at Prices) (Interval, error) {
	if err := at.check(); err != nil {
		return Interval{}, err
	}
	return p.perTokInterval(million*at.USDPerHour/secondsPerHour, million*at.USDPerKWh/joulesPerKWh)
}

// Energy returns joules per token with first-order propagation; ok is false
// when they were not measured.
func (p PhaseInterval) Energy() (j Interval, ok bool, err error) {
	if !p.Measured() {
		return Interval{}, false, nil
	}
	j, err = p.perTokInterval(0, 1)
	return j, err == nil, err
}

// GCO2ePerM returns grams of CO2 equivalent per million tokens with
// first-order propagation; ok is false when energy was not measured.
func (p PhaseInterval) GCO2ePerM(gPerKWh float64) (g Interval, ok bool, err error) {
	if err := nonNegative("gPerKWh", gPerKWh); err != nil {
		return Interval{}, false, err
	}
	if !p.Measured() {
		return Interval{}, false, nil
	}
	g, err = p.perTokInterval(0, million*gPerKWh/joulesPerKWh)
	return g, err == nil, err
}

// MixInterval blends two intervals whose errors are independent:
//
//	value = Input*prefill + Output*decode
//	half  = hypot(Input*prefill.Half, Output*decode.Half)
func (b Blend) MixInterval(prefill, decode Interval) (Interval, error) {
	if err := all(nonNegative("prefill.Half", prefill.Half), nonNegative("decode.Half", decode.Half)); err != nil {
		return Interval{}, err
	}
	value, err := b.Mix(prefill.Value, decode.Value)
	if err != nil {
		return Interval{}, err
	}
	return Interval{Value: value, Half: math.Hypot(b.Input*prefill.Half, b.Output()*decode.Half)}, nil
}
