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
	// steadyClock is by how much a clock may change between the halves when
	// that is not for the GPU's own reasons.
	steadyClock = 0.01
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

// drift returns how far the energy of a token in the second part of a window is
// from that in the first, and half of the 95 % interval of that, both in % of the
// first. By the counter, if it counts, the error is that of the times of its
// steps, else the scatter of the sensor's values. ok is false if either part does
// not tell it.
func (e energies) drift(w *record.WindowRecord, period time.Duration, counts bool) (driftPct, halfPct float64, ok bool) {
	rates := w.TokPerSHalves
	if w.MidNs <= w.OpenNs || w.MidNs >= w.EndNs || rates[0] <= 0 || rates[1] <= 0 {
		return 0, 0, false
	}
	first, error1, ok1 := e.meanWithError(w.OpenNs, w.MidNs, period, counts)
	second, error2, ok2 := e.meanWithError(w.MidNs, w.EndNs, period, counts)
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	ratio := second / rates[1] / (first / rates[0])
	return 100 * (ratio - 1), 100 * 1.96 * ratio * math.Hypot(error1, error2), true
}

// meanWithError returns the mean power over a span, above 0 W, and its standard
// error as a part of it. A value of the sensor is momentary.
func (e energies) meanWithError(startNs, endNs int64, period time.Duration, counts bool) (watts, se float64, ok bool) {
	if counts {
		watts, se, ok = e.counter.rateWithError(startNs, endNs)
		return watts, se, ok && watts > 0
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
	if least, most, ok := allowedRates(w.TokPerSRefs[:w.RefsBefore], w.TokPerSRefs[w.RefsBefore:]); ok {
		w.TokPerSAllowed = [2]float64{least, most}
		if w.TokPerSLike != nil && (*w.TokPerSLike < least || *w.TokPerSLike > most) {
			against(w, record.DifferentWork)
		}
	}
	if len(strangers(inside, pid)) > 0 {
		against(w, record.ForeignProcess)
	}
	if throttle(inside)&hotReasons != 0 {
		against(w, record.Throttled)
	}
	if drift, half, ok := all.drift(w, seen.period(), counted && !stuck); ok {
		w.DriftPct, w.DriftHalfPct = &drift, &half
		if math.Abs(drift)-half > mostDriftPct {
			if unevenPace(w, seen.samples, drift, half) {
				w.Notes = append(w.Notes, record.UnevenPace)
			} else {
				against(w, record.ThermalDrift)
			}
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

// unevenPace reports whether the energy of a token changed because something held
// the work up on its way to the GPU, not the GPU. It is power over pace: a GPU
// that gets hot draws more at the same pace or, at its limit, lowers its clock;
// one that waits draws less, but not as much less as the work is slower, and never
// more. Without clocks the two cannot be told apart.
func unevenPace(w *record.WindowRecord, samples []Sample, driftPct, halfPct float64) bool {
	for _, clock := range []func(*Sample) *float64{
		func(s *Sample) *float64 { return s.SMMHz }, func(s *Sample) *float64 { return s.MemMHz },
	} {
		first, second := mean(lasting(samples, w.OpenNs, w.MidNs), clock), mean(lasting(samples, w.MidNs, w.EndNs), clock)
		if first == nil || second == nil || math.Abs(*second / *first - 1) > steadyClock {
			return false
		}
	}
	pace := math.Log(w.TokPerSHalves[1] / w.TokPerSHalves[0])
	power := math.Log1p(driftPct/100) + pace
	alike := power*math.Copysign(1, pace) > -halfPct/100
	return alike && math.Abs(pace) > math.Abs(power)
}

// allowedRates returns the lowest and the highest rate that rows before and after
// a window allow it: the speed of a host changes within seconds, and between the
// two it may have been either. Each side allows mostOtherRate beyond the 95 %
// interval of its median, by Student's t over the scatter of the logarithms
// within the sides; a median scatters √(π/2) times as much as a mean, but rows
// that were held up do not move it. ok is false without rows.
func allowedRates(before, after []float64) (least, most float64, ok bool) {
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
	least, most = math.Inf(1), math.Inf(-1)
	for _, side := range logs {
		median, some := stats.Percentile(side, 50)
		if !some {
			continue
		}
		allowed := math.Log1p(mostOtherRate)
		if df > 0 {
			allowed += stats.TQuantile(0.975, float64(df)) * math.Sqrt(math.Pi/2*squares/float64(df)/float64(len(side)))
		}
		least, most = min(least, math.Exp(median-allowed)), max(most, math.Exp(median+allowed))
		ok = true
	}
	return least, most, ok
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
