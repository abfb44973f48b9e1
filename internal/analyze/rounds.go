package analyze

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/phasebench/phasebench/internal/record"
)

// round is one pass over the scenarios. A run measures them in turns, so what
// disturbs the machine for longer than a row disturbs the round: its scenarios
// are not independent of each other, rounds are.
type round struct{ launch, rep int }

func compareRounds(a, b round) int {
	return cmp.Or(cmp.Compare(a.launch, b.launch), cmp.Compare(a.rep, b.rep))
}

// byRound returns the replicates of values, which belong to g.Rows in order, by
// round; a launch is one round where launch means are the replicates. Nil when
// a round appears twice.
func (g *Group) byRound(values []float64) map[round]float64 {
	out := map[round]float64{}
	if g.ByLaunch {
		launches, means := g.launchMeans(values)
		for i, launch := range launches {
			out[round{launch: launch}] = means[i]
		}
		return out
	}
	for i, r := range g.Rows {
		at := round{r.Launch, r.Rep}
		if _, seen := out[at]; seen {
			return nil
		}
		out[at] = values[i]
	}
	return out
}

// inRounds returns, for each round, the value of each scenario; nil when the
// scenarios were not measured in the same rounds.
func inRounds(scenarios []map[round]float64) [][]float64 {
	if len(scenarios) == 0 || len(scenarios[0]) == 0 {
		return nil
	}
	var out [][]float64
	for _, at := range slices.SortedFunc(maps.Keys(scenarios[0]), compareRounds) {
		var values []float64
		for _, s := range scenarios {
			v, ok := s[at]
			if !ok || len(s) != len(scenarios[0]) {
				return nil
			}
			values = append(values, v)
		}
		out = append(out, values)
	}
	return out
}

// roundMeans returns the geometric mean over the groups of a number of their
// rows, round by round; nil when they were not measured in the same rounds.
func roundMeans(groups []*Group, of func(*record.Record) float64) []float64 {
	var scenarios []map[round]float64
	for _, g := range groups {
		scenarios = append(scenarios, g.byRound(g.values(of)))
	}
	var out []float64
	for _, values := range inRounds(scenarios) {
		logs := 0.0
		for _, v := range values {
			logs += math.Log(v)
		}
		out = append(out, math.Exp(logs/float64(len(values))))
	}
	return out
}
