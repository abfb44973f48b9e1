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

func (i Interval) check(field string) error {
	return all(positive(field, i.Value), nonNegative(field+".Half", i.Half))
}

// PhaseInterval is a phase whose time, and power if measured, are both > 0,
// uncertain
// and independent of each other.
type PhaseInterval struct {
	SPerTok Interval  // seconds a token
	PowerW  *Interval // mean watts over the phase; nil when not measured
}

// perTokInterval returns the interval of SPerTok * (fixed + perW*PowerW), the
// form that dollars, joules and grams per token all have. To first order
//
//	half^2 = ((fixed + perW*W) * dt)^2 + (t * perW * dW)^2
//
// so the correlation that time brings into both parts of a cost is kept.
func (p PhaseInterval) perTokInterval(fixed, perW float64) (Interval, error) {
	if err := p.SPerTok.check("SPerTok"); err != nil {
		return Interval{}, err
	}
	rate, dRate := fixed, 0.0
	if p.PowerW != nil {
		if err := p.PowerW.check("PowerW"); err != nil {
			return Interval{}, err
		}
		rate += perW * p.PowerW.Value
		dRate = perW * p.PowerW.Half
	}
	t := p.SPerTok
	return Interval{Value: t.Value * rate, Half: math.Hypot(rate*t.Half, t.Value*dRate)}, nil
}

// USDPerM returns the dollars a million tokens cost, energy included when
// power was measured, with first-order propagation of both intervals.
func (p PhaseInterval) USDPerM(at Prices) (Interval, error) {
	if err := at.check(); err != nil {
		return Interval{}, err
	}
	return p.perTokInterval(million*at.USDPerHour/secondsPerHour, million*at.USDPerKWh/joulesPerKWh)
}

// JPerTok returns joules per token with first-order propagation; ok is false
// when power was not measured.
func (p PhaseInterval) JPerTok() (j Interval, ok bool, err error) {
	if p.PowerW == nil {
		return Interval{}, false, nil
	}
	j, err = p.perTokInterval(0, 1)
	return j, err == nil, err
}

// GCO2ePerM returns grams of CO2 equivalent per million tokens with
// first-order propagation; ok is false when power was not measured.
func (p PhaseInterval) GCO2ePerM(gPerKWh float64) (g Interval, ok bool, err error) {
	if err := nonNegative("gPerKWh", gPerKWh); err != nil {
		return Interval{}, false, err
	}
	if p.PowerW == nil {
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
