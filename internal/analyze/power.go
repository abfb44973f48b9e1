package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/record"
)

// minPeriods is how many periods of the power sensor a phase must last for its
// power to count. The sensor's first value in a phase may stand for the time
// before it, by up to a period; with two periods at least half of the phase is
// seen by values that are its own.
const minPeriods = 2

// averageWindowMs is what stands for the sensor's period where the GPU tells
// only its mean over the second before.
const averageWindowMs = 1000

// power is the mean power of one phase of a row, and how it is known; without a
// method it is not.
type power struct {
	watts  float64
	method string
}

// prefillRow and decodeRow are the phases of a row.
func prefillRow(r *record.Record) phaseRow {
	return phaseRow{r.PromptTokens, *r.PrefillMs, powerOf(r, func(p *record.PhasePower) record.PowerStats { return p.Prefill }, *r.PrefillMs)}
}

func decodeRow(r *record.Record) phaseRow {
	return phaseRow{r.GenTokens, *r.DecodeMs, powerOf(r, func(p *record.PhasePower) record.PowerStats { return p.Decode }, *r.DecodeMs)}
}

func powerOf(r *record.Record, phase func(*record.PhasePower) record.PowerStats, ms float64) power {
	if r.PhasePower != nil {
		if watts, _ := phasePower(r.PhasePower, phase(r.PhasePower), ms); watts != nil && *watts > 0 {
			return power{*watts, MethodSamples}
		}
	}
	if w := r.AssumedCPUW; w != nil && *w > 0 {
		return power{*w, MethodAssumed}
	}
	return power{}
}

// sampled returns measured power; nil for none.
func (p power) sampled() *float64 {
	if p.method != MethodSamples {
		return nil
	}
	return &p.watts
}

// neededMs is how long a phase must last for its power to count; the period of
// the sensor must be known.
func neededMs(of *record.PhasePower) float64 {
	period := *of.SensorPeriodMs
	if of.Source == "average" {
		period = max(period, averageWindowMs)
	}
	return minPeriods * period
}

// phasePower returns the mean power of one phase of a row; when it does not
// count, nil, and why unless there was just no sample.
func phasePower(of *record.PhasePower, p record.PowerStats, ms float64) (watts *float64, why string) {
	if of.SensorPeriodMs == nil {
		if p.PowerMeanW == nil {
			return nil, ""
		}
		return nil, "the period of the power sensor is not known: no energy"
	}
	if ms < neededMs(of) {
		return nil, fmt.Sprintf("shorter than %d periods of the power sensor: no energy", minPeriods)
	}
	if p.NSamples == 0 {
		return nil, ""
	}
	return p.PowerMeanW, ""
}
