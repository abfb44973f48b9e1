package power

import (
	"reflect"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
)

// at returns a sample of a GPU that draws w watts at a time in milliseconds.
func at(ms float64, w float64) Sample {
	return Sample{
		TimeNs: int64(ms * 1e6), PowerInstantW: &w, PowerAverageW: ptr(w / 2),
		TempC: ptr(40 + ms/10), SMMHz: ptr(1000 + ms), MemMHz: ptr(3000.0),
		slow:  true,
		procs: []process{{7, ptr(9e3)}, {42, &ms}}, // its memory grows
	}
}

// noInstant is a sample of a GPU without the instant power field.
func noInstant(s Sample) Sample { s.PowerInstantW = nil; return s }

func throttled(s Sample, r Reasons) Sample { s.Throttle, s.slow = r, true; return s }

// fastOnly is a sample without what lasts.
func fastOnly(s Sample) Sample {
	s.TempC, s.SMMHz, s.MemMHz, s.procs, s.slow = nil, nil, nil, nil, false
	return s
}

func TestAttribute(t *testing.T) {
	// A row from 100 to 200 ms with prefill up to 120.
	span := runner.Span{PID: 42, StartNs: 100e6, PrefillEndNs: 120e6, EndNs: 200e6}
	type phases = record.PhasePower
	for _, tc := range []struct {
		name    string
		samples []Sample
		want    record.Record
	}{
		{
			"ends belong to what follows",
			[]Sample{at(99.9, 1), at(100, 300), at(110, 310), at(120, 500), at(160, 700), at(200, 2)},
			record.Record{
				PhasePower: &phases{
					Source:  "instant",
					Prefill: record.PowerStats{PowerMeanW: ptr(305.0), PowerAverageMeanW: ptr(152.5), TempMeanC: ptr(50.5), ClockMeanMHz: ptr(1105.0), NSamples: 2},
					Decode:  record.PowerStats{PowerMeanW: ptr(600.0), PowerAverageMeanW: ptr(300.0), TempMeanC: ptr(54.0), ClockMeanMHz: ptr(1140.0), NSamples: 2},
				},
				// (110+120+160+100)/4 = 122.5 ms
				GPUTempC: ptr(52.25), GPUClockMHz: ptr(1122.5), GPUMemClockMHz: ptr(3000.0),
				GPUPeakPrefillMB: ptr(110.0), GPUPeakTotalMB: ptr(160.0),
			},
		},
		{
			"a phase without samples has no mean",
			[]Sample{at(90, 1), at(150, 600)},
			record.Record{
				PhasePower: &phases{
					Source: "instant",
					Decode: record.PowerStats{PowerMeanW: ptr(600.0), PowerAverageMeanW: ptr(300.0), TempMeanC: ptr(55.0), ClockMeanMHz: ptr(1150.0), NSamples: 1},
				},
				GPUTempC: ptr(55.0), GPUClockMHz: ptr(1150.0), GPUMemClockMHz: ptr(3000.0),
				GPUPeakPrefillMB: ptr(90.0), GPUPeakTotalMB: ptr(150.0),
			},
		},
		{
			"a row between two samples has the nearest one's state, and no power",
			[]Sample{at(85, 1), at(205, 2)},
			record.Record{
				PhasePower: &phases{},
				GPUTempC:   ptr(60.5), GPUClockMHz: ptr(1205.0), GPUMemClockMHz: ptr(3000.0),
				GPUPeakPrefillMB: ptr(85.0), GPUPeakTotalMB: ptr(85.0),
			},
		},
		{
			"samples between two looks at what lasts: the nearest look, and memory from the one before",
			[]Sample{at(60, 1), fastOnly(at(110, 300)), fastOnly(at(150, 600)), at(210, 2)},
			record.Record{
				PhasePower: &phases{
					Source:  "instant",
					Prefill: record.PowerStats{PowerMeanW: ptr(300.0), PowerAverageMeanW: ptr(150.0), NSamples: 1},
					Decode:  record.PowerStats{PowerMeanW: ptr(600.0), PowerAverageMeanW: ptr(300.0), NSamples: 1},
				},
				GPUTempC: ptr(61.0), GPUClockMHz: ptr(1210.0), GPUMemClockMHz: ptr(3000.0),
				GPUPeakPrefillMB: ptr(60.0), GPUPeakTotalMB: ptr(60.0),
			},
		},
		{"no sample at all", nil, record.Record{PhasePower: &phases{}}},
		{
			"average where there is no instant power",
			[]Sample{noInstant(at(110, 800)), noInstant(at(150, 900))},
			record.Record{
				PhasePower: &phases{
					Source:  "average",
					Prefill: record.PowerStats{PowerMeanW: ptr(400.0), PowerAverageMeanW: ptr(400.0), TempMeanC: ptr(51.0), ClockMeanMHz: ptr(1110.0), NSamples: 1},
					Decode:  record.PowerStats{PowerMeanW: ptr(450.0), PowerAverageMeanW: ptr(450.0), TempMeanC: ptr(55.0), ClockMeanMHz: ptr(1150.0), NSamples: 1},
				},
				GPUTempC: ptr(53.0), GPUClockMHz: ptr(1130.0), GPUMemClockMHz: ptr(3000.0),
				GPUPeakPrefillMB: ptr(110.0), GPUPeakTotalMB: ptr(150.0),
			},
		},
		{
			"the two sources of power are not mixed",
			[]Sample{at(150, 600), noInstant(at(160, 9e9))},
			record.Record{
				PhasePower: &phases{
					Source: "instant",
					Decode: record.PowerStats{PowerMeanW: ptr(600.0), PowerAverageMeanW: ptr((300 + 4.5e9) / 2), TempMeanC: ptr(55.5), ClockMeanMHz: ptr(1155.0), NSamples: 2},
				},
				GPUTempC: ptr(55.5), GPUClockMHz: ptr(1155.0), GPUMemClockMHz: ptr(3000.0),
				GPUPeakTotalMB: ptr(160.0),
			},
		},
		{
			"what holds clocks back in any sample, but idleness",
			[]Sample{
				throttled(Sample{TimeNs: 90e6}, 0x8), throttled(Sample{TimeNs: 110e6}, 0x20), // before; in prefill
				throttled(Sample{TimeNs: 150e6}, 0x5), throttled(Sample{TimeNs: 160e6}, 0x1), // in decode
			},
			record.Record{
				PhasePower: &phases{Prefill: record.PowerStats{NSamples: 1}, Decode: record.PowerStats{NSamples: 2}},
				Throttle:   []string{"sw_power_cap", "sw_thermal_slowdown"},
			},
		},
		{"idle in all samples", []Sample{throttled(Sample{TimeNs: 150e6}, 1)}, record.Record{
			PhasePower: &phases{Decode: record.PowerStats{NSamples: 1}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got record.Record
			attribute(&got, span, tc.samples)
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", got, got.PhasePower, tc.want, tc.want.PhasePower)
			}
		})
	}
}

func TestAttributeIdle(t *testing.T) {
	span := runner.Span{StartNs: 100e6, PrefillEndNs: 120e6, EndNs: 200e6}
	var got record.Record
	attributeIdle(&got, span, []Sample{at(90, 1e3), at(100, 70), at(150, 80)})
	if want := (record.Record{GPUIdlePowerW: ptr(75.0)}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUpdates(t *testing.T) {
	check := func(name string, want time.Duration, see func(u *updates)) {
		t.Helper()
		var u updates
		see(&u)
		if got := u.period(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	// steps polls every 20 ms a sensor that changes every period.
	steps := func(polls int, period int64) func(*updates) {
		return func(u *updates) {
			for i := range int64(polls) {
				u.see(i*20e6, float64(i*20e6/period))
			}
		}
	}
	check("100 ms", 100*time.Millisecond, steps(200, 100e6))
	check("slower than seen often enough", 0, steps(40, 100e6))
	check("faster than polled", 20*time.Millisecond, steps(200, 7e6))
	check("stuck", 0, func(u *updates) {
		for i := range int64(10_000) {
			u.see(i*20e6, 5)
		}
	})
	check("the same value twice now and then", 100*time.Millisecond, func(u *updates) {
		for i := range int64(400) {
			v := i / 5
			u.see(i*20e6, float64(v-v%7/6)) // the seventh of seven values is the sixth
		}
	})
}
