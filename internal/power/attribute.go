package power

import (
	"cmp"
	"math"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
)

// lookback is how long before a span samples still say something about it:
// twice the longest time between two samples with what lasts.
const lookback = 2 * slowEvery * longestInterval

// attribute adds to a row on the GPU what samples say about it: those from
// lookback before the row to now, oldest first.
//
// Power belongs to a phase only if it was read inside it. Temperature, clocks
// and throttle reasons last: a row that is over between two looks at them takes
// them from the nearest one.
func attribute(r *record.Record, span runner.Span, samples []Sample) {
	row := within(samples, span.StartNs, span.EndNs)
	source := powerSource(row...)
	r.PhasePower = &record.PhasePower{
		Prefill: phaseStats(within(row, span.StartNs, span.PrefillEndNs), source),
		Decode:  phaseStats(within(row, span.PrefillEndNs, span.EndNs), source),
		Source:  source,
	}
	state := lasting(samples, span.StartNs, span.EndNs)
	r.GPUTempC = mean(state, func(s *Sample) *float64 { return s.TempC })
	r.GPUClockMHz = mean(state, func(s *Sample) *float64 { return s.SMMHz })
	r.GPUMemClockMHz = mean(state, func(s *Sample) *float64 { return s.MemMHz })
	r.Throttle = throttle(state).Names()

	r.GPUPeakPrefillMB = peakMB(heldIn(samples, span.StartNs, span.PrefillEndNs), span.PID)
	r.GPUPeakTotalMB = peakMB(heldIn(samples, span.StartNs, span.EndNs), span.PID)
}

// leastCPUSamples is how many samples of its counter a phase on the CPU must
// hold for its power to be told: with fewer, what is cut off at its ends may be
// more than a third of it.
const leastCPUSamples = 5

// attributeCPU adds to a row on the CPU what its energy counter says.
func attributeCPU(r *record.Record, span runner.Span, samples []Sample) {
	counter := seriesOf(samples, func(s *Sample) *float64 { return s.EnergyJ })
	phase := func(startNs, endNs int64) record.PowerStats {
		stats := record.PowerStats{NSamples: len(within(samples, startNs, endNs))}
		if watts, ok := counter.rateBetween(startNs, endNs); ok && stats.NSamples >= leastCPUSamples {
			stats.PowerMeanW = &watts
		}
		return stats
	}
	r.PhasePower = &record.PhasePower{
		Prefill: phase(span.StartNs, span.PrefillEndNs),
		Decode:  phase(span.PrefillEndNs, span.EndNs),
		Source:  sourceRAPL,
	}
}

// attributeIdle adds to a row on the CPU what the GPU drew meanwhile, which is
// not what the row took.
func attributeIdle(r *record.Record, span runner.Span, samples []Sample) {
	row := within(samples, span.StartNs, span.EndNs)
	source := powerSource(row...)
	r.GPUIdlePowerW = mean(row, func(s *Sample) *float64 { return s.powerW(source) })
}

// phaseStats summarises the samples of one phase.
func phaseStats(phase []Sample, source string) record.PowerStats {
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
			if p.pid == pid && p.usedMB != nil && (peak == nil || *p.usedMB > *peak) {
				peak = p.usedMB
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

// lasting returns the samples inside a span that tell what lasts, and without
// any the one that is closest to it; nothing if there is none at all.
func lasting(samples []Sample, startNs, endNs int64) []Sample {
	if in := slowOf(within(samples, startNs, endNs)); len(in) > 0 {
		return in
	}
	all := slowOf(samples)
	if len(all) == 0 {
		return nil
	}
	away := func(s Sample) int64 { return max(startNs-s.TimeNs, s.TimeNs-endNs) }
	return []Sample{slices.MinFunc(all, func(a, b Sample) int { return cmp.Compare(away(a), away(b)) })}
}

// heldIn returns the samples inside a span that tell what processes held, and
// without any the last one before: a worker holds on to what it has, but may
// not have yet what it takes afterwards.
func heldIn(samples []Sample, startNs, endNs int64) []Sample {
	if in := slowOf(within(samples, startNs, endNs)); len(in) > 0 {
		return in
	}
	before := slowOf(within(samples, math.MinInt64, startNs))
	return before[max(len(before)-1, 0):]
}

// slowOf returns the samples that tell what lasts.
func slowOf(samples []Sample) []Sample {
	var out []Sample
	for _, s := range samples {
		if s.slow {
			out = append(out, s)
		}
	}
	return out
}
