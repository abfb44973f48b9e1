package plots

import (
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/stats"
)

// cacheTypes draws, for each scenario measured with several types of cache, how
// fast decode and prefill are beside f16 against the memory a token takes.
func cacheTypes(in *input) ([]*figure, error) {
	all, err := in.CacheStudies()
	if err != nil {
		return nil, err
	}
	var scenarios []string
	of := map[string][]analyze.CacheTypes{}
	for _, s := range all {
		// What stands beside f16 needs f16, the first point, and an interval.
		if !slices.ContainsFunc(s.Points, func(p analyze.CachePoint) bool { return p.TimesF16 != nil && p.Decode16 != nil }) {
			continue
		}
		if of[s.Scenario] == nil {
			scenarios = append(scenarios, s.Scenario)
		}
		of[s.Scenario] = append(of[s.Scenario], s)
	}
	if len(scenarios) == 0 {
		return nil, noData("needs a scenario measured with an f16 cache and one of another type, more than once")
	}
	var out []*figure
	for _, scenario := range scenarios {
		f := in.cacheFigure(of[scenario])
		if len(scenarios) > 1 {
			f.part = scenario
		}
		out = append(out, f)
	}
	return out, nil
}

func (in *input) cacheFigure(all []analyze.CacheTypes) *figure {
	f := &figure{rowHeight: 290}
	for _, s := range all {
		l := in.cacheLook(s)
		sty, marker := l.line(1.2), l.marker(false)
		k := s.ConfigKey
		k.KVTypeK, k.KVTypeV = "f16", "f16"
		f.legend = append(f.legend, key{label: k.String(), line: &sty, marker: &marker})
	}
	decode, ofDecode := in.cacheTile("decode", all, func(p analyze.CachePoint) *stats.Ratio { return p.Decode16 })
	prefill, ofPrefill := in.cacheTile("prefill", all, func(p analyze.CachePoint) *stats.Ratio { return p.Prefill16 })
	f.tiles = [][]*plot.Plot{{decode, prefill}}
	f.notes = []string{fmt.Sprintf("%s Types of K and V by their bytes of a token, of which those of f16 are 1.", ofDecode.and(ofPrefill))}
	f.caption = "What a smaller cache costs or gains in speed: above the line a type is faster than f16."
	return f
}

func (in *input) cacheLook(s analyze.CacheTypes) look {
	l := in.model[s.Model]
	l.dash = in.backend[s.Backend].dash
	if s.Batch > 1 {
		l.color = mixed(l.color, 0.45)
	}
	return l
}

// cacheTile draws the ratio of one phase.
func (in *input) cacheTile(phase string, all []analyze.CacheTypes, of func(analyze.CachePoint) *stats.Ratio) (*plot.Plot, reach) {
	p := newTile(phase+" beside f16", "bytes of a token, × f16", "times as fast as f16 (log)")
	one := 1.0
	var sizes span
	sizes.add(&one)
	var ratios extent
	ratios.add(1, nil, nil)
	types := map[float64][]string{1: {"f16"}}
	for _, s := range all {
		line := []point{{x: 1, y: 1}}
		for _, c := range s.Points {
			r := of(c)
			if r == nil || c.TimesF16 == nil {
				continue
			}
			at := point{x: *c.TimesF16, y: r.Value, lo: &r.CI.Lo, hi: &r.CI.Hi}
			sizes.add(&at.x)
			ratios.add(at.y, at.lo, at.hi)
			line = append(line, at)
			name := c.KVTypeK
			if c.KVTypeV != c.KVTypeK {
				name += "/" + c.KVTypeV
			}
			if !slices.Contains(types[at.x], name) {
				types[at.x] = append(types[at.x], name)
			}
		}
		byX(line)
		l := in.cacheLook(s)
		p.Add(curve{points: line, style: l.line(1.2)}, dots{points: line, style: l.marker(false)})
	}
	var labels plot.ConstantTicks
	for x, names := range types {
		labels = append(labels, plot.Tick{Value: x, Label: strings.Join(names, "\n") + "\n" + plain(x)})
	}
	slices.SortFunc(labels, func(a, b plot.Tick) int {
		if a.Value < b.Value {
			return -1
		}
		return 1
	})
	room := 0.1*(sizes.hi-sizes.lo) + 0.05
	setLinear(&p.X, span{sizes.lo - room, sizes.hi + room, true}, 5, plain)
	p.X.Tick.Marker = labels
	shown, ends := ratios.within(maxReach)
	setLog(&p.Y, shown.times(1.1), times)
	p.Add(rule{value: 1, style: dashed(faint)})
	return p, ends
}
