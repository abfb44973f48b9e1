package power

import (
	"cmp"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
)

// attribute adds to a row on the GPU what samples say about it: those from one
// interval before the row to one after it, oldest first.
//
// Power belongs to a phase only if it was read inside it. Temperature, clocks
// and throttle reasons last: a row that is over between two samples takes them
// from the nearest one, which is less than an interval away.
func attribute(r *record.Record, span runner.Span, samples []Sample) {
	row := within(samples, span.StartNs, span.EndNs)
	source := powerSource(row...)
	r.PhasePower = &record.PhasePower{
		Prefill: stats(within(row, span.StartNs, span.PrefillEndNs), source),
		Decode:  stats(within(row, span.PrefillEndNs, span.EndNs), source),
		Source:  source,
	}
	if len(row) == 0 {
		row = nearest(samples, span.StartNs, span.EndNs)
	}
	r.GPUTempC = mean(row, func(s *Sample) *float64 { return s.TempC })
	r.GPUClockMHz = mean(row, func(s *Sample) *float64 { return s.SMMHz })
	r.GPUMemClockMHz = mean(row, func(s *Sample) *float64 { return s.MemMHz })
	r.Throttle = throttle(row).Names()

	// What a worker holds when a row begins it held an interval before, too. In
	// prefill it may not hold yet what it takes for decode: nothing later counts.
	r.GPUPeakPrefillMB = peakMB(within(samples, span.StartNs-int64(interval), span.PrefillEndNs), span.PID)
	r.GPUPeakTotalMB = peakMB(within(samples, span.StartNs-int64(interval), span.EndNs), span.PID)
}

// attributeIdle adds to a row on the CPU what the GPU drew meanwhile, which is
// not what the row took.
func attributeIdle(r *record.Record, span runner.Span, samples []Sample) {
	row := within(samples, span.StartNs, span.EndNs)
	source := powerSource(row...)
	r.GPUIdlePowerW = mean(row, func(s *Sample) *float64 { return s.powerW(source) })
}

// stats summarises the samples of one phase.
func stats(phase []Sample, source string) record.PowerStats {
	return record.PowerStats{
		PowerMeanW:        mean(phase, func(s *Sample) *float64 { return s.powerW(source) }),
		PowerAverageMeanW: mean(phase, func(s *Sample) *float64 { return s.PowerAverageW }),
		TempMeanC:         mean(phase, func(s *Sample) *float64 { return s.TempC }),
		ClockMeanMHz:      mean(phase, func(s *Sample) *float64 { return s.SMMHz }),
		NSamples:          len(phase),
	}
}

// mean returns the mean over the samples that tell a quantity; nil if none do.
func mean(samples []Sample, of func(*Sample) *float64) *float64 {
	sum, n := 0.0, 0
	for i := range samples {
		if v := of(&samples[i]); v != nil {
			sum += *v
			n++
		}
	}
	if n == 0 {
		return nil
	}
	sum /= float64(n)
	return &sum
}

// throttle returns what held the clocks back in any sample. Idleness lowers
// clocks too, but holds nothing back.
func throttle(samples []Sample) Reasons {
	var seen Reasons
	for _, s := range samples {
		seen |= s.Throttle
	}
	return seen &^ nvml.ClocksEventReasonGpuIdle
}

// peakMB returns the most memory that a process held in any sample, in 10^6
// bytes; nil if none lists it.
func peakMB(samples []Sample, pid int) *float64 {
	var peak *float64
	for _, s := range samples {
		for _, p := range s.procs {
			if p.pid == pid && (peak == nil || p.usedMB > *peak) {
				peak = &p.usedMB
			}
		}
	}
	return peak
}

// within returns the samples with startNs <= time < endNs.
func within(samples []Sample, startNs, endNs int64) []Sample {
	at := func(ns int64) int {
		i, _ := slices.BinarySearchFunc(samples, ns, func(s Sample, ns int64) int { return cmp.Compare(s.TimeNs, ns) })
		return i
	}
	return samples[at(startNs):at(endNs)]
}

// nearest returns the sample closest to a span that holds none; nothing if
// there are no samples.
func nearest(samples []Sample, startNs, endNs int64) []Sample {
	if len(samples) == 0 {
		return nil
	}
	away := func(s Sample) int64 { return max(startNs-s.TimeNs, s.TimeNs-endNs) }
	return []Sample{slices.MinFunc(samples, func(a, b Sample) int { return cmp.Compare(away(a), away(b)) })}
}
