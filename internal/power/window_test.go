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
		if i%closeEvery == 0 {
			s.slow, s.TempC, s.SMMHz, s.procs = true, ptr(40+float64(s.TimeNs)/1e9), ptr(1980.0), []process{{42, ptr(1e3)}}
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
	return record.WindowRecord{DeviceKind: "gpu", OpenNs: 1 * second, EndNs: 4 * second, TokPerS: 300, TokPerSRefs: []float64{300, 300}, TokPerSLike: ptr(303.0)}
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
	drifting := func(s float64) float64 { return 600 + 20*s } // 640 W, then 670 W: 4.6 %
	for _, tc := range []struct {
		name   string
		seen   report
		change func(*record.WindowRecord)
		want   []record.Reason
	}{
		{"steady", steady(), nil, nil},
		{"at its power limit", steady(throttledBy(0x4)), nil, nil},
		{"20 periods", steady(), func(w *record.WindowRecord) { w.EndNs = 3 * second }, nil},
		{"19.7 periods", steady(), func(w *record.WindowRecord) { w.EndNs = 3*second - 3*second/100 }, nil},
		{"19.5 periods", steady(), func(w *record.WindowRecord) { w.EndNs = 3*second - 5*second/100 }, []record.Reason{record.TooShort}},
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
		{"3 % faster than rows that scatter by as much", steady(), func(w *record.WindowRecord) {
			w.TokPerSLike, w.TokPerSRefs = ptr(309.0), []float64{291, 300, 303, 309}
		}, nil},
		{"3 % faster than all rows around", steady(), func(w *record.WindowRecord) {
			w.TokPerSLike, w.TokPerSRefs = ptr(309.0), []float64{299, 300, 301, 300}
		}, []record.Reason{record.DifferentWork}},
		{"3 % faster than the one row there is", steady(), func(w *record.WindowRecord) {
			w.TokPerSLike, w.TokPerSRefs = ptr(309.0), []float64{300}
		}, []record.Reason{record.DifferentWork}},
		{"nothing to compare the rate with", steady(), func(w *record.WindowRecord) { w.TokPerSLike = nil }, nil},
		{"other tokens", steady(), func(w *record.WindowRecord) { w.Reasons = []record.Reason{record.DifferentWork} }, []record.Reason{record.DifferentWork}},
		{"another process for a moment", steady(between(2, 2.3, listed(42, 77))), nil, []record.Reason{record.ForeignProcess}},
		{"another process before", steady(between(0, 0.9, listed(42, 77))), nil, nil},
		{"the worker under another id", steady(listed(31337)), nil, nil},
		{"and another process", steady(listed(31337, 31338)), nil, []record.Reason{record.ForeignProcess}},
		{"heat", steady(between(2, 2.3, throttledBy(0x40))), nil, []record.Reason{record.Throttled}},
		{"heat afterwards", steady(between(4.1, 5, throttledBy(0x40))), nil, nil},
		{"drift", seenBy(drifting), nil, []record.Reason{record.ThermalDrift}},
		{
			"much at once", steady(throttledBy(0x8|0x80), listed(77, 78)),
			func(w *record.WindowRecord) { w.EndNs = 2 * second; w.TokPerSLike = ptr(1.0) },
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
