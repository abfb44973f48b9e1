package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/stats"
)

// slowSteps is how many times the median a decode step must take to be named.
const slowSteps = 2

// Steps is how the single decode steps of a group were spread. Two kinds stand
// out by what the engine does in them: the first two of a decode, in which it
// builds its graph anew and captures it, and the first two after the positions
// cross a multiple of graphBlock in the middle of a decode, where kernels change
// shape and a captured graph no longer fits.
type Steps struct {
	*Group
	MedianMs    float64
	FirstP50Ms  float64
	Boundary    int      // steps at a boundary, all rows
	BoundaryP50 *float64 // their median in ms; nil when there is none

	// Steps that take more than slowSteps medians.
	SlowFirst, SlowBoundary, SlowOther int

	SlowestMs float64
	Slowest   string // which step that is
}

// steps describes the groups whose steps were timed and that decode with the
// cache.
func steps(groups []*Group) []Steps {
	var out []Steps
	for _, g := range groups {
		if g.TPOTMs == nil || g.DecodeMode == "uncached" {
			continue
		}
		s := Steps{Group: g, MedianMs: g.TPOTMs.P50}
		var first, boundary []float64
		for _, r := range g.Rows {
			for i, ms := range r.StepMs {
				position := r.PromptTokens + i
				crossing := i > 1 && position%graphBlock < 2
				counted := &s.SlowOther
				switch {
				case i == 0:
					first, counted = append(first, ms), &s.SlowFirst
				case i == 1:
					counted = &s.SlowFirst
				case crossing:
					boundary, counted = append(boundary, ms), &s.SlowBoundary
				}
				if ms > slowSteps*s.MedianMs {
					*counted++
				}
				if ms > s.SlowestMs {
					s.SlowestMs, s.Slowest = ms, stepName(i, position, crossing)
				}
			}
		}
		s.FirstP50Ms, _ = stats.Percentile(first, 50)
		if p50, ok := stats.Percentile(boundary, 50); ok {
			s.Boundary, s.BoundaryP50 = len(boundary), &p50
		}
		out = append(out, s)
	}
	return out
}

// stepName says which step of a decode one is, counted from 1.
func stepName(i, position int, crossing bool) string {
	switch {
	case i == 0:
		return "first step"
	case i == 1:
		return "second step"
	case crossing:
		return fmt.Sprintf("step %d, at position %d", i+1, position-position%graphBlock)
	}
	return fmt.Sprintf("step %d", i+1)
}

func stepsTable() definition {
	return definition{
		name: studies + "step_latency", title: "Time to first token, and between tokens", needs: "rows whose single steps were timed",
		columns: append(groupColumns(),
			col("ttft_p50_ms", "TTFT p50", "ms"), col("ttft_p95_ms", "p95", "ms"), col("ttft_p99_ms", "p99", "ms"), col("ttft_max_ms", "max", "ms"), col("n", "n", ""),
			col("tpot_p50_ms", "TPOT p50", "ms"), col("tpot_p95_ms", "p95", "ms"), col("tpot_p99_ms", "p99", "ms"), col("tpot_max_ms", "max", "ms"), col("steps", "steps", ""),
			Column{Name: "first_over_p50", Title: "first step", Unit: "× p50", Digits: 3}, Column{Name: "boundary_over_p50", Title: "at 256-boundary", Unit: "× p50", Digits: 3, Blank: true},
			col("boundary_steps", "boundary steps", ""), col("slow_first", "slow steps of the first two", ""), col("slow_boundary", "slow boundary steps", ""), col("slow_other", "other slow steps", ""),
			col("slowest", "slowest", "")),
		fill: func(a *Analysis, t *Table) error {
			for _, s := range a.Steps {
				ttft, tpot := s.TTFTMs, s.TPOTMs
				t.Add(append(groupCells(s.Key), ttft.P50, ttft.P95, ttft.P99, ttft.Max, s.PrefillMs.N,
					tpot.P50, tpot.P95, tpot.P99, tpot.Max, s.Group.Steps,
					s.FirstP50Ms/s.MedianMs, over(s.BoundaryP50, &s.MedianMs), s.Boundary, s.SlowFirst, s.SlowBoundary, s.SlowOther, s.Slowest)...)
			}
			return nil
		},
		notes: []string{fmt.Sprintf("TPOT is of single steps, all rows pooled, so the time between tokens (ITL) of one sequence. Boundary steps are the first two after the positions cross a multiple of %d, where the engine's kernels change shape. Slow: more than %d times the median. n: rows behind the TTFT; a p99 of few is their largest.", graphBlock, slowSteps)},
	}
}
