package econ

// Unit conversions used throughout.
const (
	secondsPerHour = 3600
	joulesPerKWh   = 3.6e6
	million        = 1e6
)

// Prices are the two prices that turn machine time and energy into dollars.
type Prices struct {
	USDPerHour float64 // of the machine, >= 0
	USDPerKWh  float64 // of electricity, >= 0
}

func (p Prices) check() error {
	return all(nonNegative("USDPerHour", p.USDPerHour), nonNegative("USDPerKWh", p.USDPerKWh))
}

// Phase is what was measured of one phase, prefill or decode.
type Phase struct {
	TokPerS float64  // tokens a second, > 0
	JPerTok *float64 // joules a token, >= 0; nil when energy was not measured
}

func (p Phase) check() error {
	errs := []error{positive("TokPerS", p.TokPerS)}
	if p.JPerTok != nil {
		errs = append(errs, nonNegative("JPerTok", *p.JPerTok))
	}
	return all(errs...)
}

// InfraUSDPerM returns what the machine costs for a million tokens:
//
//	1e6 / (3600 * tokPerS) * usdPerHour
//
// with tokPerS > 0 and usdPerHour >= 0. Source: TR123 2.3.
func InfraUSDPerM(tokPerS, usdPerHour float64) (float64, error) {
	if err := all(positive("tokPerS", tokPerS), nonNegative("usdPerHour", usdPerHour)); err != nil {
		return 0, err
	}
	return million / (secondsPerHour * tokPerS) * usdPerHour, nil
}

// JPerTok returns joules per token of a phase that drew powerW watts on
// average while it made tokPerS tokens a second:
//
//	powerW / tokPerS
//
// with powerW >= 0 and tokPerS > 0. Source: TR123, Measurement Definitions.
func JPerTok(powerW, tokPerS float64) (float64, error) {
	if err := all(nonNegative("powerW", powerW), positive("tokPerS", tokPerS)); err != nil {
		return 0, err
	}
	return powerW / tokPerS, nil
}

// KWhPerM returns kilowatt-hours per million tokens, jPerTok * 1e6 / 3.6e6,
// with jPerTok >= 0. Source: TR123 6.2.
func KWhPerM(jPerTok float64) (float64, error) {
	if err := nonNegative("jPerTok", jPerTok); err != nil {
		return 0, err
	}
	return jPerTok * million / joulesPerKWh, nil
}

// TokPerKWh returns tokens per kilowatt-hour, 3.6e6 / jPerTok, with
// jPerTok > 0. Source: TR123 6.2.
func TokPerKWh(jPerTok float64) (float64, error) {
	if err := positive("jPerTok", jPerTok); err != nil {
		return 0, err
	}
	return joulesPerKWh / jPerTok, nil
}

// EnergyUSDPerM returns what the electricity of a million tokens costs:
//
//	KWhPerM(jPerTok) * usdPerKWh
//
// with both >= 0. Source: TR123 2.3.
func EnergyUSDPerM(jPerTok, usdPerKWh float64) (float64, error) {
	if err := nonNegative("usdPerKWh", usdPerKWh); err != nil {
		return 0, err
	}
	kwh, err := KWhPerM(jPerTok)
	return kwh * usdPerKWh, err
}

// GCO2ePerM returns grams of CO2 equivalent per million tokens:
//
//	KWhPerM(jPerTok) * gPerKWh
//
// with both >= 0. Source: TR123 6.3, which uses 500 g/kWh.
func GCO2ePerM(jPerTok, gPerKWh float64) (float64, error) {
	if err := nonNegative("gPerKWh", gPerKWh); err != nil {
		return 0, err
	}
	kwh, err := KWhPerM(jPerTok)
	return kwh * gPerKWh, err
}

// CostPerM returns what a million tokens of the phase cost; the energy part is
// nil when p.JPerTok is. Source: TR123 2.3.
func (p Phase) CostPerM(at Prices) (Cost, error) {
	if err := all(p.check(), at.check()); err != nil {
		return Cost{}, err
	}
	infra, err := InfraUSDPerM(p.TokPerS, at.USDPerHour)
	if err != nil {
		return Cost{}, err
	}
	cost := Cost{InfraUSD: infra}
	if p.JPerTok != nil {
		energy, err := EnergyUSDPerM(*p.JPerTok, at.USDPerKWh)
		if err != nil {
			return Cost{}, err
		}
		cost.EnergyUSD = &energy
	}
	return cost, nil
}
