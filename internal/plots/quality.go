package plots

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
)

// qualityCost draws, for each scenario, what the blend costs against how well the
// model predicts the text: a tile for each text and tokenizer, as perplexities of
// different tokens have no common scale.
func qualityCost(in *input) ([]*figure, error) {
	all := in.QualityStudies()
	var scenarios []string
	for _, s := range all {
		if !slices.Contains(scenarios, s.Scenario) {
			scenarios = append(scenarios, s.Scenario)
		}
	}
	if len(scenarios) == 0 {
		return nil, noData("needs priced models that were scored on a text: the quality block of a matrix")
	}
	var out []*figure
	for _, scenario := range scenarios {
		f := &figure{
			rowHeight: 270,
			caption:   "What a million tokens cost against the perplexity of the model, with its 95 % interval: better is lower, cheaper is further left.",
		}
		if len(scenarios) > 1 {
			f.part = scenario
		}
		ranked := false
		for _, s := range all {
			if s.Scenario != scenario {
				continue
			}
			tile := in.qualityTile(f, s)
			if tile == nil {
				return nil, noCost
			}
			f.tiles = append(f.tiles, []*plot.Plot{tile})
			ranked = ranked || s.Ranked
			if f.notes == nil {
				f.notes = []string{fmt.Sprintf("Prices: %s.", s.Groups[0].Cost.Label())}
			}
		}
		if ranked {
			f.notes = append(f.notes, "Ringed: no other is both cheaper and better.")
		}
		out = append(out, f)
	}
	return out, nil
}

// qualityTile draws what can be compared, and adds it to the figure's legend; nil
// when something costs nothing.
func (in *input) qualityTile(f *figure, s analyze.Scored) *plot.Plot {
	p := newTile(fmt.Sprintf("%s, %d chunks of %d tokens", s.Text, s.Groups[0].Quality.Chunks, s.Groups[0].Quality.NCtx),
		"$ per million tokens of the blend (log)", "perplexity (log)")
	var xs, ys span
	for i := range s.Groups {
		g := &s.Groups[i]
		if !(g.USDPerM > 0) {
			return nil
		}
		l := in.model[g.Model]
		l.shape = in.shapeOf(g.ConfigKey)
		sty := l.marker(false)
		if label := g.ConfigKey.String(); !slices.ContainsFunc(f.legend, func(k key) bool { return k.label == label }) {
			f.legend = append(f.legend, markerKey(label, sty))
		}
		at := []point{{x: g.USDPerM, y: g.Perplexity.Value, lo: &g.Perplexity.Low, hi: &g.Perplexity.High}}
		xs.add(&g.USDPerM)
		ys.add(&g.Perplexity.Low)
		ys.add(&g.Perplexity.High)
		p.Add(dots{points: at, style: sty})
		if g.OnFront {
			p.Add(dots{points: []point{{x: g.USDPerM, y: g.Perplexity.Value}}, style: crossoverMark(l)})
		}
	}
	setLog(&p.X, xs.times(1.3), dollars)
	setLog(&p.Y, ys.times(1.1), plain)
	return p
}

// shapeOf is one of its own for each way of running a model: backends and caches
// of a model share its colour.
func (in *input) shapeOf(k analyze.ConfigKey) shape {
	var ways []string
	for _, g := range in.Groups {
		if way := series(g.ConfigKey); !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return shapes[slices.Index(ways, series(k))%len(shapes)]
}
