package power

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// steady is a report on 6 s of a GPU that draws 600 W, with the worker 42 on it.
func steady(change ...func(*Sample)) report { return seenBy(constant(600), change...) }

func seenBy(l load, change ...func(*Sample)) report {
	const period, interval = 100 * time.Millisecond, 20 * time.Millisecond
	samples := device{load: l, period: period}.samples(6*time.Second, interval, 0.1, rand.New(rand.NewPCG(7, 8)))
	for i := range samples {
		s := &samples[i]
		if i%countEvery != 0 {
			s.EnergyJ = nil
		}
		if i%closeEvery == 0 {
			s.slow, s.TempC, s.SMMHz, s.MemMHz, s.procs = true, ptr(40+float64(s.TimeNs)/1e9), ptr(1980.0), ptr(2619.0), []process{{42, ptr(1e3)}}
		}
		for _, f := range change {
			f(s)
		}
	}
	return report{samples: samples, interval: interval, powerPeriod: period, energyPeriod: period}
}

// between changes the samples of a part of the time, in seconds.
func between(start, end float64, f func(*Sample)) func(*Sample) {
	return func(s *Sample) {
		if at := float64(s.TimeNs) / 1e9; at >= start && at < end {
			f(s)
		}
	}
}

// without leaves out the samples of a part of the time.
func without(r report, start, end float64) report {
	r.samples = slices.DeleteFunc(r.samples, func(s Sample) bool {
		at := float64(s.TimeNs) / 1e9
		return at >= start && at < end
	})
	return r
}

// window is open from 1 to 4 s.
func window() record.WindowRecord {
	return record.WindowRecord{DeviceKind: "gpu", OpenNs: 1 * second, EndNs: 4 * second, TokPerS: 300, TokPerSRefs: []float64{300, 300}, RefsBefore: 1, MidNs: 5 * second / 2, TokPerSHalves: [2]float64{300, 300}, TokPerSLike: ptr(303.0)}
}

func TestJudge(t *testing.T) {
	listed := func(pids ...int) func(*Sample) {
		return func(s *Sample) {
			if s.slow {
				s.procs = nil
				for _, pid := range pids {
					s.procs = append(s.procs, process{pid: pid})
				}
			}
		}
	}
	throttledBy := func(r Reasons) func(*Sample) {
		return func(s *Sample) {
			if s.slow {
				s.Throttle = r
			}
		}
	}
	drifting := func(s float64) float64 { return 600 + 50*s } // 687 W, then 762 W: 11 %
	falling := func(s float64) float64 { return 800 - 50*s }  // 712 W, then 637 W: 11 %
	// 20 % up and down, and 8 % less in the second half.
	jumping := func(s float64) float64 { return (600 - 48*math.Floor(s/2.5)) * (1 + 0.2*math.Cos(20*math.Pi*s/3)) }
	noCounter := func(s *Sample) { s.EnergyJ = nil }
	rates := func(like float64, before int, refs ...float64) func(*record.WindowRecord) {
		return func(w *record.WindowRecord) { w.TokPerSLike, w.RefsBefore, w.TokPerSRefs = &like, before, refs }
	}
	ends := func(ns int64) func(*record.WindowRecord) {
		return func(w *record.WindowRecord) { w.EndNs, w.MidNs = ns, (w.OpenNs+ns)/2 }
	}
	for _, tc := range []struct {
		name   string
		seen   report
		change func(*record.WindowRecord)
		want   []record.Reason
	}{
		{"steady", steady(), nil, nil},
		{"at its power limit", steady(throttledBy(0x4)), nil, nil},
		{"20 periods", steady(), ends(3 * second), nil},
		{"19.7 periods", steady(), ends(3*second - 3*second/100), nil},
		{"19.5 periods", steady(), ends(3*second - 5*second/100), []record.Reason{record.TooShort}},
		{"a hole of less than 3 periods", without(steady(), 2, 2.24), nil, nil},
		{"a hole of more", without(steady(), 2, 2.35), nil, []record.Reason{record.Gap}},
		{"a hole over the end", without(steady(), 3.9, 4.3), nil, []record.Reason{record.Gap}},
		{"nothing after the end", without(steady(), 3.6, 9), nil, []record.Reason{record.Gap}},
		{"a hole before", without(steady(), 0.2, 0.8), nil, nil},
		{"the counter is stuck", steady(func(s *Sample) { s.EnergyJ = ptr(5.0) }), nil, []record.Reason{record.CounterStuck}},
		{"the counter stops at a third", steady(between(2, 9, func(s *Sample) { s.EnergyJ = ptr(1200.0) })), nil, []record.Reason{record.CounterStuck}},
		{"no counter", steady(func(s *Sample) { s.EnergyJ = nil }), nil, nil},
		{"no power sensor", steady(func(s *Sample) { s.PowerInstantW = nil }), nil, nil},
		{"neither", steady(func(s *Sample) { s.PowerInstantW, s.EnergyJ = nil, nil }), nil, []record.Reason{record.NoSource}},
		{"no samples", report{}, nil, []record.Reason{record.NoSource}},
		{"3 % faster", steady(), func(w *record.WindowRecord) { w.TokPerSLike = ptr(309.0) }, []record.Reason{record.DifferentWork}},
		{"3 % slower", steady(), func(w *record.WindowRecord) { w.TokPerSLike = ptr(291.0) }, []record.Reason{record.DifferentWork}},
		{"3 % faster than rows that scatter by as much", steady(), rates(309, 2, 291, 309, 303, 297), nil},
		{"4 % faster than all rows around", steady(), rates(312, 2, 299, 300, 301, 300), []record.Reason{record.DifferentWork}},
		{"3 % faster than the one row there is", steady(), rates(309, 1, 300), []record.Reason{record.DifferentWork}},
		{"between a slow before and a fast after", steady(), rates(309, 3, 270, 271, 269, 350, 351, 349), nil},
		{"slower than a slow before and a fast after", steady(), rates(260, 3, 270, 271, 269, 350, 351, 349), []record.Reason{record.DifferentWork}},
		{"like those before only", steady(), rates(309, 2, 309, 310), nil},
		{"faster than those after only", steady(), rates(320, 0, 309, 309.1), []record.Reason{record.DifferentWork}},
		{"as fast as rows of which one was held up", steady(), rates(303, 4, 300, 300, 301, 150, 300, 301, 299, 300), nil},
		{"faster than rows of which one was held up", steady(), rates(380, 4, 300, 300, 301, 270, 300, 301, 299, 300), []record.Reason{record.DifferentWork}},
		{"no rows around", steady(), rates(309, 0), nil},
		{"nothing to compare the rate with", steady(), func(w *record.WindowRecord) { w.TokPerSLike = nil }, nil},
		{"other tokens", steady(), func(w *record.WindowRecord) { w.Reasons = []record.Reason{record.OtherTokens} }, []record.Reason{record.OtherTokens}},
		{"another process for a moment", steady(between(2, 2.3, listed(42, 77))), nil, []record.Reason{record.ForeignProcess}},
		{"another process before", steady(between(0, 0.9, listed(42, 77))), nil, nil},
		{"the worker under another id", steady(listed(31337)), nil, nil},
		{"and another process", steady(listed(31337, 31338)), nil, []record.Reason{record.ForeignProcess}},
		{"heat", steady(between(2, 2.3, throttledBy(0x40))), nil, []record.Reason{record.Throttled}},
		{"heat afterwards", steady(between(4.1, 5, throttledBy(0x40))), nil, nil},
		{"drift", seenBy(drifting), nil, []record.Reason{record.ThermalDrift}},
		{"drift by the counter alone", seenBy(drifting, func(s *Sample) { s.PowerInstantW = nil }), nil, []record.Reason{record.ThermalDrift}},
		{"one repetition", seenBy(drifting), func(w *record.WindowRecord) { w.MidNs = 0 }, nil},
		{"as much more work as power", seenBy(drifting), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 333} }, nil},
		{"as much power for less work", steady(), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 280} }, nil},
		{"as much power for less work at a lower clock", steady(between(2.5, 9, func(s *Sample) { s.SMMHz = ptr(1850.0) })), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 280} }, []record.Reason{record.ThermalDrift}},
		{"as much power for less work without a clock", steady(func(s *Sample) { s.SMMHz = nil }), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 280} }, []record.Reason{record.ThermalDrift}},
		{"less power at a pace that is lower still", seenBy(falling), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 240} }, nil},
		{"more power for less work", seenBy(drifting), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 210} }, []record.Reason{record.ThermalDrift}},
		{"less work at a lower clock of the memory", steady(between(2.5, 9, func(s *Sample) { s.MemMHz = ptr(2000.0) })), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 280} }, []record.Reason{record.ThermalDrift}},
		{"less power at nearly the same pace", seenBy(falling), func(w *record.WindowRecord) { w.TokPerSHalves = [2]float64{300, 291} }, []record.Reason{record.ThermalDrift}},
		{"a change that the counter tells", seenBy(jumping), nil, []record.Reason{record.ThermalDrift}},
		{"a change that the scatter of the sensor can make", seenBy(jumping, noCounter), nil, nil},
		{
			"much at once", steady(throttledBy(0x8|0x80), listed(77, 78)),
			func(w *record.WindowRecord) { ends(2 * second)(w); w.TokPerSLike = ptr(1.0) },
			[]record.Reason{record.TooShort, record.DifferentWork, record.ForeignProcess, record.Throttled},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := window()
			if tc.change != nil {
				tc.change(&w)
			}
			judge(&w, tc.seen, 42)
			if !slices.Equal(w.Reasons, tc.want) || w.Valid != (len(tc.want) == 0) {
				t.Errorf("reasons %q, valid %v, want %q", w.Reasons, w.Valid, tc.want)
			}
			if drifted := w.DriftPct != nil && math.Abs(*w.DriftPct)-*w.DriftHalfPct > mostDriftPct; drifted != (len(w.Notes) > 0 || slices.Contains(w.Reasons, record.ThermalDrift)) {
				t.Errorf("drift %v, reasons %q, notes %q", w.DriftPct, w.Reasons, w.Notes)
			}
		})
	}
}

func TestJudgeFigures(t *testing.T) {
	about := func(name string, got *float64, want float64) {
		t.Helper()
		if got == nil || math.Abs(*got/want-1) > 0.007 {
			t.Errorf("%s: %v, want about %v", name, got, want)
		}
	}
	w := window()
	judge(&w, steady(), 42)
	about("counter", w.CounterW, 600)
	about("integral", w.IntegralW, 600)
	about("J/token", w.JPerToken, 2)
	about("temperature at the start", w.TempStartC, 41) // the nearest look is up to 100 ms away: 0.2 %
	about("at the end", w.TempEndC, 44)
	about("clock", w.SMMHz, 1980)
	about("samples", ptr(float64(w.NSamples)), 150)
	about("lowest rate", &w.TokPerSAllowed[0], 300/1.02) // one row on each side tells of no scatter
	about("highest rate", &w.TokPerSAllowed[1], 300*1.02)
	if w.DriftPct == nil || math.Abs(*w.DriftPct) > *w.DriftHalfPct {
		t.Errorf("drift %v", w.DriftPct)
	}
	// Power rises by 60 W from 670 W, the rate by 5 %: less energy a token than the power says.
	rising := func(s float64) float64 { return 600 + 40*s }
	for name, tc := range map[string]struct {
		seen report
		half float64 // in %
	}{
		"counter": {seenBy(rising), 1.96 * 40 / 1300 / math.Sqrt(3) * 100},                                                // 13 or 14 periods between polls of 40 ms
		"sensor":  {seenBy(rising, func(s *Sample) { s.EnergyJ = nil }), 1.96 * math.Sqrt(2*320/15.0) / 700 / 1.05 * 100}, // 15 values, 4 W apart
	} {
		w = window()
		w.TokPerSHalves = [2]float64{300, 315}
		judge(&w, tc.seen, 42)
		if want := 100 * (730/670.0/1.05 - 1); w.DriftPct == nil || math.Abs(*w.DriftPct-want) > tc.half || math.Abs(*w.DriftHalfPct/tc.half-1) > 0.15 {
			t.Errorf("%s: drift %v ± %v %%, want about %.2f ± %.2f %%", name, *w.DriftPct, *w.DriftHalfPct, want, tc.half)
		}
	}
	w = window()
	judge(&w, steady(), 42)
	if w.Source != "nvml" || w.Method != "counter" || *w.SensorPeriodMs != 100 || *w.JPerToken != *w.CounterW/300 || w.Throttle != nil {
		t.Errorf("%+v", w)
	}

	w = window()
	judge(&w, steady(func(s *Sample) { s.EnergyJ = ptr(5.0) }), 42)
	if w.CounterW != nil || w.Method != "integral" || *w.JPerToken != *w.IntegralW/300 {
		t.Errorf("with a stuck counter: %+v", w)
	}

	w = window()
	judge(&w, steady(func(s *Sample) { s.Source, s.PowerInstantW = sourceRAPL, nil }), 42)
	about("counter alone", w.CounterW, 600)
	if w.IntegralW != nil || w.Source != "rapl" || w.Method != "counter" {
		t.Errorf("with a counter alone: %+v", w)
	}

	w = window()
	judge(&w, report{}, 42)
	if w.JPerToken != nil || w.CounterW != nil || w.IntegralW != nil || w.Source != "" || w.Method != "" || w.NSamples != 0 || w.SensorPeriodMs != nil {
		t.Errorf("from nothing: %+v", w)
	}

	w = window()
	w.TokPerS = 0
	judge(&w, steady(func(s *Sample) { s.Throttle = 0x5 }), 42)
	if w.JPerToken != nil || w.Method != "" || !slices.Equal(w.Throttle, []string{"sw_power_cap"}) {
		t.Errorf("without a rate: %+v", w)
	}
}
