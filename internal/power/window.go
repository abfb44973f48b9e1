package power

import (
	"math"
	"slices"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"gonum.org/v1/gonum/stat"

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
	// mostOtherRate is how far the rate may be outside of those of rows timed
	// before and after the window, beyond what their scatter can explain.
	mostOtherRate = 0.02
	// mostDriftPct is how far the energy of a token in the second half may be
	// from the first's, beyond the error of that.
	mostDriftPct = 3.0
	confidence   = 0.95
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

// drift returns how far the energy of a token in the second half of a span is
// from that in the first, when it ran at so many tokens a second in each, and
// half of the 95 % interval of that, both in % of the first. By the counter, if
// it counts, the error is that of the times of its steps, else the scatter of
// the sensor's values. ok is false if either half does not tell it.
func (e energies) drift(startNs, endNs int64, tokPerS [2]float64, period, poll time.Duration, counts bool) (driftPct, halfPct float64, ok bool) {
	if tokPerS[0] <= 0 || tokPerS[1] <= 0 {
		return 0, 0, false
	}
	mid := startNs + (endNs-startNs)/2
	first, error1, ok1 := e.meanWithError(startNs, mid, period, poll, counts)
	second, error2, ok2 := e.meanWithError(mid, endNs, period, poll, counts)
	if !ok1 || !ok2 || first <= 0 {
		return 0, 0, false
	}
	ratio := second / tokPerS[1] / (first / tokPerS[0])
	return 100 * (ratio - 1), 100 * 1.96 * ratio * math.Hypot(error1, error2), true
}

// meanWithError returns the mean power over a span, in W, and its standard error
// as a part of it. A step of the counter was anywhere between two polls, so that
// its time has a standard error of 1/√12 of those; a sensor's value is momentary.
func (e energies) meanWithError(startNs, endNs int64, period, poll time.Duration, counts bool) (watts, se float64, ok bool) {
	if counts {
		watts, ok = e.counter.rateBetween(startNs, endNs)
		steps := e.counter.steps(startNs, endNs)
		if !ok || watts <= 0 {
			return 0, 0, false
		}
		return watts, float64(poll) / math.Sqrt(6) / float64(steps[len(steps)-1].ns-steps[0].ns), true
	}
	m, err := stats.MomentsOf(e.power.each(startNs, endNs, period))
	if err != nil || m.Mean <= 0 {
		return 0, 0, false
	}
	return m.Mean, m.SD / math.Sqrt(float64(m.N)) / m.Mean, true
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
	if w.TokPerSLike != nil && otherRate(*w.TokPerSLike, w.TokPerSRefs[:w.RefsBefore], w.TokPerSRefs[w.RefsBefore:]) {
		against(w, record.DifferentWork)
	}
	if len(strangers(inside, pid)) > 0 {
		against(w, record.ForeignProcess)
	}
	if throttle(inside)&hotReasons != 0 {
		against(w, record.Throttled)
	}
	if drift, half, ok := all.drift(w.OpenNs, w.EndNs, w.TokPerSHalves, seen.period(), seen.interval, counted && !stuck); ok {
		w.DriftPct, w.DriftHalfPct = &drift, &half
		if math.Abs(drift)-half > mostDriftPct {
			against(w, record.ThermalDrift)
		}
	}

	switch {
	case w.TokPerS <= 0:
	case counted && !stuck:
		w.JPerToken, w.Method = perToken(counterW, w.TokPerS), "counter"
	case integrated:
		w.JPerToken, w.Method = perToken(integralW, w.TokPerS), "integral"
	}
}

// otherRate reports whether a rate is more than mostOtherRate below or above all
// that the rows before and after allow: the speed of a host changes within
// seconds, and between the two it may have been either. Each side allows the
// confidence interval of its geometric mean, by Student's t over the scatter of
// the logarithms within the sides. Without rows nothing is said.
func otherRate(rate float64, before, after []float64) bool {
	lowest, highest := math.Inf(1), math.Inf(-1)
	var logs [2][]float64
	squares, df := 0.0, 0
	for i, side := range [][]float64{before, after} {
		for _, r := range side {
			logs[i] = append(logs[i], math.Log(r))
		}
		if n := len(side); n > 1 {
			squares += stat.Variance(logs[i], nil) * float64(n-1)
			df += n - 1
		}
	}
	for _, side := range logs {
		if len(side) == 0 {
			continue
		}
		half := 0.0
		if df > 0 {
			half = stats.TQuantile(1-(1-confidence)/2, float64(df)) * math.Sqrt(squares/float64(df)/float64(len(side)))
		}
		mean := stat.Mean(side, nil)
		lowest, highest = min(lowest, mean-half), max(highest, mean+half)
	}
	allowed := math.Log1p(mostOtherRate)
	return math.Log(rate) < lowest-allowed || math.Log(rate) > highest+allowed
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
