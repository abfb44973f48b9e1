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

// powers returns the mean power of each phase of a row in watts; nil where it
// does not count.
func powers(r *record.Record) (prefill, decode *float64) {
	if r.PhasePower == nil {
		return nil, nil
	}
	prefill, _ = phasePower(r.PhasePower, r.PhasePower.Prefill, *r.PrefillMs)
	decode, _ = phasePower(r.PhasePower, r.PhasePower.Decode, *r.DecodeMs)
	return prefill, decode
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
	period := *of.SensorPeriodMs
	if of.Source == "average" {
		period = max(period, averageWindowMs)
	}
	if ms < minPeriods*period {
		return nil, fmt.Sprintf("shorter than %d periods of %.0f ms of the power sensor: no energy", minPeriods, period)
	}
	if p.NSamples == 0 {
		return nil, ""
	}
	return p.PowerMeanW, ""
}
