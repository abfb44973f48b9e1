package analyze

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// PowerReads are the times at which power was read during a run, on the clock of
// start_ns, by kind of device and in order.
type PowerReads struct {
	RunID string // of the run; empty when all rows are of one
	AtNs  map[string][]int64
}

// WatchingCost is what reading power cost the decode steps of a backend.
//
// A step in which power was read is compared with what it would have been, by
// times at which power was not read: the same ones, later by a quarter, a half and
// three quarters of the time between two. That matters because a step that
// something else holds up is longer, and so more likely to have power read in it.
// Only what ends with the step is seen: a slower clock of the GPU is in all steps.
type WatchingCost struct {
	Backend, Device string
	Rows, Steps     int
	Read            int     // steps in which power was read
	Pct             float64 // of the decode time
	Half            float64 // of its 95 % interval over rows
}

const (
	// A step longer than 1/stepsBetween of the time between two readings has one
	// in it too often to compare.
	stepsBetween = 4
	fewestRead   = 30  // steps, for a cost
	watchingPct  = 0.5 // that reading power may cost
)

// watchingCosts returns the costs of the backends where steps tell them.
func (a *Analysis) watchingCosts(reads PowerReads) []WatchingCost {
	var out []WatchingCost
	on := a.ClockOf(reads.RunID)
	gap := map[string]float64{}
	for kind, at := range reads.AtNs {
		gap[kind] = medianGap(at)
	}
	type sums struct {
		cost          WatchingCost
		excess, steps []float64 // by row, in steps of its median
	}
	var all []*sums
	for _, g := range a.Groups {
		at := reads.AtNs[g.DeviceKind]
		if g.DecodeMode != "cached" || !(gap[g.DeviceKind] > 0) {
			continue
		}
		i := slices.IndexFunc(all, func(s *sums) bool { return s.cost.Backend == g.Backend && s.cost.Device == g.Device })
		if i < 0 {
			all, i = append(all, &sums{cost: WatchingCost{Backend: g.Backend, Device: g.Device}}), len(all)
		}
		s := all[i]
		for _, r := range g.Rows {
			if !on(r.RunID, r.Timestamp, r.StartNs) {
				continue
			}
			if excess, steps, read, ok := excessOf(r, at, gap[g.DeviceKind]); ok {
				s.excess, s.steps = append(s.excess, excess), append(s.steps, steps)
				s.cost.Rows++
				s.cost.Steps += len(r.StepMs)
				s.cost.Read += read
			}
		}
	}
	for _, s := range all {
		if ratio, half, ok := stats.RatioOfSums(s.excess, s.steps, Confidence); ok && s.cost.Read >= fewestRead {
			s.cost.Pct, s.cost.Half = 100*ratio, 100*half
			out = append(out, s.cost)
		}
	}
	return out
}

// medianGap returns the median time between two readings, 0 for fewer.
func medianGap(at []int64) float64 {
	var gaps []float64
	for i := 1; i < len(at); i++ {
		gaps = append(gaps, float64(at[i]-at[i-1]))
	}
	m, _ := stats.Percentile(gaps, 50)
	return m
}

// excessOf returns by how much the steps of a row in which power was read exceed
// its median step, less what is so by chance, and the time of all steps, both in
// median steps. ok is false if the steps are too long to tell, or power was not
// read about then. A row counts for a time between two readings as for a reading:
// were it left out without one, so would be the stalls on one side only.
func excessOf(r *record.Record, at []int64, gapNs float64) (excess, steps float64, read int, ok bool) {
	median, known := stats.Percentile(r.StepMs, 50)
	if !known || r.PrefillMs == nil || !(median > 0) || median*1e6*stepsBetween > gapNs {
		return 0, 0, 0, false
	}
	excess, read = heldUp(r, at, 0, median)
	watched := read
	for k := 1; k < stepsBetween; k++ {
		by, n := heldUp(r, at, int64(gapNs*float64(k)/stepsBetween), median)
		excess -= by / (stepsBetween - 1)
		watched += n
	}
	for _, ms := range r.StepMs {
		steps += ms / median
	}
	return excess, steps, read, watched > 0
}

// heldUp returns by how much the steps exceed the median in which any of the times
// lies, each made later by a shift, in median steps, and how many those are.
func heldUp(r *record.Record, at []int64, shiftNs int64, medianMs float64) (by float64, n int) {
	ns := float64(r.StartNs) + *r.PrefillMs*1e6
	next, _ := slices.BinarySearch(at, int64(ns)-shiftNs)
	for _, ms := range r.StepMs {
		ns += ms * 1e6
		in := false
		for ; next < len(at) && float64(at[next]+shiftNs) < ns; next++ {
			in = true
		}
		if in {
			by += ms/medianMs - 1
			n++
		}
	}
	return by, n
}

// checkWatching looks at what reading power cost. A cost whose interval reaches
// from below the limit to above it is not counted either way.
func (a *Analysis) checkWatching() Check {
	var t tally
	for _, c := range a.Watching {
		switch {
		case c.Pct-c.Half > watchingPct:
			t.seen++
			t.find(Warn, c.Backend+": "+fmt.Sprintf("%.2f %%", c.Pct))
		case c.Pct+c.Half < watchingPct:
			t.seen++
		}
	}
	return t.check("reading power", fmt.Sprintf("reading power costs less than %g %% of the decode time, by the steps in which it was read", watchingPct), "backends that tell it",
		"no backend has steps short enough and readings enough to tell it")
}

func watchingTable() definition {
	return definition{
		name: studies + "watching", section: "5.7", title: "What reading power cost", needs: "rows with short decode steps during which power was read",
		columns: []Column{
			col("backend", "backend", ""), col("device", "device", ""), col("rows", "rows", ""), col("steps", "steps", ""), col("read", "power read in", "steps"),
			col("cost_pct", "cost", "%"), plusMinus("cost_ci_pct", "%"),
		},
		fill: func(a *Analysis, t *Table) error {
			for _, c := range a.Watching {
				t.Add(c.Backend, c.Device, c.Rows, c.Steps, c.Read, c.Pct, c.Half)
			}
			return nil
		},
		notes: []string{"Cost: by how much the steps in which power was read exceed the median of their row, less the same at times between two readings, over all decode time. A step that something else holds up is longer, so power is more likely read in it; that is taken off so. What outlasts a step is not in it: bench overhead tells that by rows without any reading."},
	}
}
