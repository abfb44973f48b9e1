package power

import (
	"math"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// The rules of an energy window.
const (
	// periodError is how far the period that a window was asked with, learned
	// earlier, may be from what it is known to be now.
	periodError = 0.02
	// A hole of holePeriods periods or holePolls polls, whichever is longer, is
	// a gap.
	holePeriods = 3
	holePolls   = 5
	// leastMoved is the part of the integrated power that the counter must show.
	leastMoved = 0.5
	// mostOtherRate is how far the rate may be from that of rows timed around the
	// window, beyond what their scatter can explain.
	mostOtherRate = 0.02
	// mostDrift is how far the power of the second half may be from the first's.
	mostDrift = 0.03
)

// hotReasons hold clocks back for heat or the power supply. A GPU at its power
// limit is in its normal state under load and is not among them.
const hotReasons = Reasons(nvml.ClocksThrottleReasonHwSlowdown |
	nvml.ClocksEventReasonSwThermalSlowdown |
	nvml.ClocksThrottleReasonHwThermalSlowdown |
	nvml.ClocksThrottleReasonHwPowerBrakeSlowdown)

// energies are the two quantities that tell energy; either may be empty.
type energies struct{ power, counter series }

func energiesOf(samples []Sample) energies {
	source := powerSource(samples...)
	return energies{
		power:   seriesOf(samples, func(s *Sample) *float64 { return s.powerW(source) }),
		counter: seriesOf(samples, func(s *Sample) *float64 { return s.EnergyJ }),
	}
}

// meanW returns the mean power over a span: by the sensor, which can be cut
// anywhere, and where there is none by the counter.
func (e energies) meanW(startNs, endNs int64) (watts float64, ok bool) {
	if len(e.power) > 0 {
		return e.power.meanBetween(startNs, endNs)
	}
	return e.counter.rateBetween(startNs, endNs)
}

// halves returns the mean power of each half of a span.
func (e energies) halves(startNs, endNs int64) (first, second float64, ok bool) {
	mid := startNs + (endNs-startNs)/2
	first, ok = e.meanW(startNs, mid)
	if ok {
		second, ok = e.meanW(mid, endNs)
	}
	return first, second, ok
}

// judge adds to a window what samples from around it say, and whether it is
// valid. pid is the worker's process. Reasons that are there already stay.
func judge(w *record.WindowRecord, seen report, pid int) {
	defer func() { w.Valid = len(w.Reasons) == 0 }()
	inside := within(seen.samples, w.OpenNs, w.EndNs)
	w.NSamples = len(inside)
	all := energiesOf(seen.samples)
	counting := len(all.counter.inside(w.OpenNs, w.EndNs)) > 0
	sensing := len(all.power.inside(w.OpenNs, w.EndNs)) > 0
	if !counting && !sensing {
		against(w, record.NoSource)
		return
	}
	w.Source = inside[0].Source
	w.SensorPeriodMs = milliseconds(seen.period())
	state(w, seen.samples)

	integralW, integrated := all.power.meanBetween(w.OpenNs, w.EndNs)
	counterW, counted := all.counter.rateBetween(w.OpenNs, w.EndNs)
	if integrated {
		w.IntegralW = &integralW
	}
	if counted {
		w.CounterW = &counterW
	}

	// A sensor whose period is not known had fewer values than it takes to
	// learn it, which are fewer than a window needs.
	if period := seen.period(); period == 0 || float64(w.EndNs-w.OpenNs) < record.WindowPeriods*(1-periodError)*float64(period) {
		against(w, record.TooShort)
	}
	hole := max(holePeriods*int64(seen.period()), holePolls*int64(seen.interval))
	if counting && all.counter.longestHoleNs(w.OpenNs, w.EndNs) > hole || sensing && all.power.longestHoleNs(w.OpenNs, w.EndNs) > hole {
		against(w, record.Gap)
	}
	moved := all.counter.held(w.EndNs) - all.counter.held(w.OpenNs)
	stuck := counting && (moved <= 0 || integrated && moved < leastMoved*integralW*float64(w.EndNs-w.OpenNs)/1e9)
	if stuck {
		against(w, record.CounterStuck)
	}
	if w.TokPerSLike != nil && otherRate(*w.TokPerSLike, w.TokPerSRefs) {
		against(w, record.DifferentWork)
	}
	if len(strangers(inside, pid)) > 0 {
		against(w, record.ForeignProcess)
	}
	if throttle(inside)&hotReasons != 0 {
		against(w, record.Throttled)
	}
	if first, second, ok := all.halves(w.OpenNs, w.EndNs); ok && first > 0 && math.Abs(second/first-1) > mostDrift {
		against(w, record.ThermalDrift)
	}

	switch {
	case w.TokPerS <= 0:
	case counted && !stuck:
		w.JPerToken, w.Method = perToken(counterW, w.TokPerS), "counter"
	case integrated:
		w.JPerToken, w.Method = perToken(integralW, w.TokPerS), "integral"
	}
}

// otherRate reports whether a rate is farther than mostOtherRate from the
// geometric mean of references, and not only since these scatter: the 95 %
// interval of that mean, by Student's t over their logarithms, leaves no value
// within mostOtherRate of the rate. One reference has no scatter to tell of, and
// none nothing at all.
func otherRate(rate float64, references []float64) bool {
	if len(references) == 0 {
		return false
	}
	logs := make([]float64, len(references))
	for i, r := range references {
		logs[i] = math.Log(r)
	}
	over, _ := stats.Describe(logs, 0.95)
	allowed := math.Log1p(mostOtherRate)
	if over.Half != nil {
		allowed += *over.Half
	}
	return math.Abs(math.Log(rate)-over.Mean) > allowed
}

func perToken(watts, tokPerS float64) *float64 {
	joules := watts / tokPerS
	return &joules
}

// against adds a reason once.
func against(w *record.WindowRecord, why record.Reason) {
	if !slices.Contains(w.Reasons, why) {
		w.Reasons = append(w.Reasons, why)
	}
}

// state adds what lasts: at the edges from the nearest sample, in between from
// those inside.
func state(w *record.WindowRecord, samples []Sample) {
	temp := func(s *Sample) *float64 { return s.TempC }
	w.TempStartC = mean(lasting(samples, w.OpenNs, w.OpenNs), temp)
	w.TempEndC = mean(lasting(samples, w.EndNs, w.EndNs), temp)
	row := lasting(samples, w.OpenNs, w.EndNs)
	w.SMMHz = mean(row, func(s *Sample) *float64 { return s.SMMHz })
	w.Throttle = throttle(row).Names()
}
