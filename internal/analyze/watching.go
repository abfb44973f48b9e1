package analyze

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
	"github.com/phasebench/phasebench/internal/wire"
)

// PowerReads are the times at which power was read during a run, on the clock of
// start_ns, by kind of device and in order.
type PowerReads struct {
	RunID string // of the run; empty when all rows are of one
	AtNs  map[string][]int64
}

// WatchingCost is what reading power cost the decode steps of a backend.
//
// Steps in which power was read are compared with those of times at which it was
// not: a quarter of the time between two readings earlier, so that no reading has
// begun. That matters because a step that something else holds up is longer, and
// so more likely to have power read in it. What a reading does after its step has
// ended is not seen, nor what it does all the time, as a lower clock.
type WatchingCost struct {
	Backend, Device string
	Rows, Steps     int
	Read            int     // steps in which power was read
	Pct             float64 // by which those steps are longer, of all decode time
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
		excess, total []float64 // by row, ms
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
			if excess, total, read, ok := excessOf(r, at, gap[g.DeviceKind]); ok {
				s.excess, s.total = append(s.excess, excess), append(s.total, total)
				s.cost.Rows++
				s.cost.Steps += len(r.StepMs) - wire.SettlingSteps
				s.cost.Read += read
			}
		}
	}
	for _, s := range all {
		if ratio, half, ok := stats.RatioOfSums(s.excess, s.total, Confidence); ok && s.cost.Read >= fewestRead {
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
// its median step, less what is so by chance, and the time of all steps, in ms.
// Steps that settle are left out. ok is false if the steps are too long to tell, or
// power was not read around then; a row without a reading in it counts.
func excessOf(r *record.Record, at []int64, gapNs float64) (excess, total float64, read int, ok bool) {
	if len(r.StepMs) <= wire.SettlingSteps || r.PrefillMs == nil {
		return 0, 0, 0, false
	}
	fromNs := float64(r.StartNs) + *r.PrefillMs*1e6
	for _, ms := range r.StepMs[:wire.SettlingSteps] {
		fromNs += ms * 1e6
	}
	steps := r.StepMs[wire.SettlingSteps:]
	median, _ := stats.Percentile(steps, 50)
	if !(median > 0) || median*1e6*stepsBetween > gapNs {
		return 0, 0, 0, false
	}
	for _, ms := range steps {
		total += ms
	}
	near, _ := slices.BinarySearch(at, int64(fromNs-gapNs))
	if near == len(at) || float64(at[near]) > fromNs+total*1e6+gapNs {
		return 0, 0, 0, false
	}
	excess, read = heldUp(steps, fromNs, at, 0, median)
	chance, _ := heldUp(steps, fromNs, at, int64(gapNs/stepsBetween), median)
	return excess - chance, total, read, true
}

// heldUp returns by how much the steps exceed their median in which any of the
// times lies, each made earlier by a lead, in ms, and how many those are. The
// first step begins at fromNs.
func heldUp(steps []float64, fromNs float64, at []int64, leadNs int64, medianMs float64) (by float64, n int) {
	ns := fromNs
	next, _ := slices.BinarySearch(at, int64(ns)+leadNs)
	for _, ms := range steps {
		ns += ms * 1e6
		in := false
		for ; next < len(at) && float64(at[next]-leadNs) < ns; next++ {
			in = true
		}
		if in {
			by += ms - medianMs
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
			t.find(Warn, fmt.Sprintf("%s: %.2f %%", c.Backend, c.Pct))
		case c.Pct+c.Half < watchingPct:
			t.seen++
		}
	}
	return t.check("reading power", fmt.Sprintf("the decode steps in which power was read are longer by less than %g %% of all decode time", watchingPct), "backends that tell it",
		"no backend has steps short enough and readings enough to tell it")
}

func watchingTable() definition {
	return definition{
		name: studies + "watching", section: "5.7", title: "What reading power cost the steps in which it was", needs: "rows with decode steps shorter than a quarter of the time between two readings of the device's power",
		columns: []Column{
			col("backend", "backend", ""), col("device", "device", ""), col("rows", "rows", ""), col("steps", "steps", ""), col("read", "power read in", "steps"),
			col("cost_pct", "longer by", "% of decode"), plusMinus("cost_ci_pct", "%"),
		},
		fill: func(a *Analysis, t *Table) error {
			for _, c := range a.Watching {
				t.Add(c.Backend, c.Device, c.Rows, c.Steps, c.Read, c.Pct, c.Half)
			}
			return nil
		},
		notes: []string{"Longer by: how much the steps in which power was read exceed the median of their row, less the same of steps at times a quarter of an interval before each reading, over all decode time. A step that something else holds up is longer, so power is more likely read in it; that is taken off so. What a reading does after its step has ended, or all the time, is not in it: bench overhead tells that by rows without any reading. On the CPU only readings of its own power are looked at."},
	}
}
