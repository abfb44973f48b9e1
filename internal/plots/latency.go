package plots

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// cdfPoints is how many points a distribution is drawn with at most.
const cdfPoints = 160

// latencyCDF draws how first tokens and decode steps were spread in one
// scenario, models below each other.
func latencyCDF(in *input) ([]*figure, error) {
	groups := in.plain()
	if len(groups) == 0 {
		return nil, noRow
	}
	groups = inScenario(groups, commonScenario(groups))
	f := &figure{rowHeight: 138}
	drawn := map[string]bool{}
	noSteps := 0
	for _, model := range in.models {
		ttft, tpot := newTile(model+", first token", "ms", "share of rows"), newTile(model+", between tokens", "ms", "share of steps")
		var ttftSpan, tpotSpan span
		for _, g := range groups {
			if g.Model != model {
				continue
			}
			drawn[g.Backend] = true
			var first, steps []float64
			for _, r := range g.Rows {
				first, steps = append(first, *r.PrefillMs), append(steps, r.StepMs...)
			}
			line := in.look(g.ConfigKey).line(lineWidth)
			ttft.Add(curve{distribution(first), line, true})
			ttftSpan.add(&g.TTFTMs.Max)
			lowest := slices.Min(first)
			ttftSpan.add(&lowest)
			if g.TPOTMs == nil {
				noSteps++
				continue
			}
			tpot.Add(curve{distribution(steps), line, true})
			lowest = slices.Min(steps)
			tpotSpan.add(&lowest, &g.TPOTMs.P99)
		}
		if !ttftSpan.some {
			continue
		}
		setLog(&ttft.X, ttftSpan.times(1.04), plain)
		setLinear(&ttft.Y, share, 4, percent)
		row := []*plot.Plot{ttft, nil}
		if tpotSpan.some {
			setLog(&tpot.X, tpotSpan.times(1.04), plain)
			setLinear(&tpot.Y, share, 4, percent)
			row[1] = tpot
		}
		f.tiles = append(f.tiles, row)
	}
	first := groups[0]
	f.legend = legend(in.backends, drawn, func(name string) key { return lineKey(name, in.backend[name].line(lineWidth)) })
	f.notes = []string{fmt.Sprintf("Scenario %s (%d + %d tokens). Log scales, which differ; those of steps end at the slowest p99.", first.Scenario, first.PromptTokens, first.GenTokens)}
	f.caption = "Cumulative distributions: the share of rows whose first token came within a time, without tokenization, and the share of decode steps that took no longer. Few repetitions make few steps of a first-token curve."
	if noSteps > 0 {
		f.caption += " Where the single steps were not timed, there is no curve of them."
	}
	return []*figure{f}, nil
}

// share is the range of a distribution, with room for a line at its end.
var share = span{0, 1.04, true}

func percent(v float64) string { return plain(100*v) + "\u00a0%" }

// distribution returns the cumulative distribution of values as steps, thinned
// evenly by rank.
func distribution(values []float64) []point {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	out := []point{{x: sorted[0]}}
	for i := range min(n, cdfPoints) {
		rank := i
		if n > cdfPoints {
			rank = i * (n - 1) / (cdfPoints - 1)
		}
		out = append(out, point{x: sorted[rank], y: float64(rank+1) / float64(n)})
	}
	return out
}

// commonScenario returns the scenario that most groups have; of several the one
// of middle length.
func commonScenario(groups []*analyze.Group) string {
	count := map[string]int{}
	var firsts []*analyze.Group // of each scenario
	for _, g := range groups {
		if count[g.Scenario] == 0 {
			firsts = append(firsts, g)
		}
		count[g.Scenario]++
	}
	most := 0
	for _, n := range count {
		most = max(most, n)
	}
	firsts = slices.DeleteFunc(firsts, func(g *analyze.Group) bool { return count[g.Scenario] < most })
	slices.SortStableFunc(firsts, func(a, b *analyze.Group) int {
		return cmp.Or(cmp.Compare(a.PromptTokens, b.PromptTokens), cmp.Compare(a.GenTokens, b.GenTokens))
	})
	return firsts[(len(firsts)-1)/2].Scenario
}

func inScenario(groups []*analyze.Group, scenario string) []*analyze.Group {
	var out []*analyze.Group
	for _, g := range groups {
		if g.Scenario == scenario {
			out = append(out, g)
		}
	}
	return out
}

// stepTimeline draws every step of one decode, models below each other.
func stepTimeline(in *input) ([]*figure, error) {
	var groups []*analyze.Group
	for _, g := range in.plain() {
		if g.TPOTMs != nil {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		return nil, noData("needs rows whose single steps were timed (step_ms)")
	}
	groups = inScenario(groups, boundaryScenario(groups))
	f := &figure{rowHeight: 124}
	drawn, crossed := map[string]bool{}, false
	for _, model := range in.models {
		p := newTile(model, "", "ms")
		var positions, times span
		var rings []dots
		for _, g := range groups {
			if g.Model != model {
				continue
			}
			drawn[g.Backend] = true
			l := in.look(g.ConfigKey)
			r := typicalRow(g)
			var line, first []point
			for i, ms := range r.StepMs {
				at := point{x: float64(r.PromptTokens + i), y: ms}
				line = append(line, at)
				positions.add(&at.x)
				times.add(&at.y)
				if i == 0 {
					first = append(first, at)
				}
			}
			p.Add(curve{thinned(line), solid(l.color, 1.2), false})
			rings = append(rings, dots{points: first, style: l.marker(true)})
		}
		if !positions.some {
			continue
		}
		setLinear(&p.X, span{positions.lo - 2, positions.hi + 1, true}, 10, plain)
		if times.hi > 6*times.lo {
			setLog(&p.Y, times.times(1.2), plain)
			p.Y.Tick.Marker = logarithmic{4, plain} // the tile is low
		} else {
			setLinear(&p.Y, times.from0(0.1), 4, plain)
		}
		for at := ceilTo(positions.lo, graphBlock); at <= positions.hi; at += graphBlock {
			p.Add(rule{value: at, vertical: true, style: dashed(faint)})
			crossed = true
		}
		for _, r := range rings {
			p.Add(r)
		}
		f.tiles = append(f.tiles, []*plot.Plot{p})
	}
	f.tiles[len(f.tiles)-1][0].X.Label.Text = "position in the sequence, tokens"
	first := groups[0]
	f.legend = legend(in.backends, drawn, func(name string) key { return lineKey(name, solid(in.backend[name].color, lineWidth)) })
	f.legend = append(f.legend, markerKey("first step", other.marker(true)))
	if crossed {
		f.legend = append(f.legend, lineKey(fmt.Sprintf("multiple of %d positions", graphBlock), dashed(faint)))
	}
	f.notes = []string{fmt.Sprintf("One decode of scenario %s (%d + %d tokens) each: the repetition of median time.", first.Scenario, first.PromptTokens, first.GenTokens)}
	f.caption = fmt.Sprintf("Milliseconds of every decode step. Where positions cross a multiple of %d the engine's kernels change shape and a captured graph no longer fits.", graphBlock)
	return []*figure{f}, nil
}

// timelinePoints is how many points a line of steps is drawn with at most, but
// for a few.
const timelinePoints = 400

// thinned keeps the lowest and the highest of as many neighbours as it takes, so
// that every spike stays.
func thinned(line []point) []point {
	if len(line) <= timelinePoints {
		return line
	}
	n := (2*len(line) + timelinePoints - 1) / timelinePoints
	var out []point
	for part := range slices.Chunk(line, n) {
		byY := func(a, b point) int { return cmp.Compare(a.y, b.y) }
		ends := []point{slices.MinFunc(part, byY), slices.MaxFunc(part, byY)}
		byX(ends)
		out = append(out, ends...)
	}
	return out
}

// graphBlock is how many positions the engine's kernels are shaped for at a
// time.
const graphBlock = 256

func ceilTo(v, step float64) float64 {
	for k := step; ; k += step {
		if k >= v {
			return k
		}
	}
}

// boundaryScenario returns the scenario to see steps in: that most groups have,
// of those the one whose decode crosses most multiples of graphBlock, of those
// the longest.
func boundaryScenario(groups []*analyze.Group) string {
	count := map[string]int{}
	for _, g := range groups {
		count[g.Scenario]++
	}
	crossings := func(g *analyze.Group) int {
		return (g.PromptTokens+g.GenTokens-1)/graphBlock - g.PromptTokens/graphBlock
	}
	return slices.MaxFunc(groups, func(a, b *analyze.Group) int {
		return cmp.Or(cmp.Compare(count[a.Scenario], count[b.Scenario]), cmp.Compare(crossings(a), crossings(b)), cmp.Compare(a.GenTokens, b.GenTokens))
	}).Scenario
}

// typicalRow returns the row with steps whose decode time is nearest to the
// median.
func typicalRow(g *analyze.Group) *record.Record {
	var times []float64
	var rows []*record.Record
	for _, r := range g.Rows {
		if len(r.StepMs) > 0 {
			times, rows = append(times, *r.DecodeMs), append(rows, r)
		}
	}
	median, _ := stats.Percentile(times, 50)
	return slices.MinFunc(rows, func(a, b *record.Record) int {
		return cmp.Compare(abs(*a.DecodeMs-median), abs(*b.DecodeMs-median))
	})
}

func abs(v float64) float64 { return max(v, -v) }
