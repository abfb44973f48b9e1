package plots

import (
	"fmt"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
)

// cachedVsUncached draws the time of a decoded token with the cache and
// without, and the ratio of the two, against the length of the context.
func cachedVsUncached(in *input) ([]*figure, error) {
	if len(in.Uncached) == 0 {
		return nil, noData("needs scenarios with decode: uncached beside cached ones of the same prompt")
	}
	f := &figure{rowHeight: 290}
	left := newTile("seconds of a decoded token", "context, tokens", "s per token (log)")
	right := newTile("without over with the cache", "context, tokens", "ratio (log)")
	var tokens, seconds span
	var ratios extent
	ratios.add(1, nil, nil)
	type line struct{ with, without, ratio []point }
	byKey := map[analyze.ConfigKey]*line{}
	var order []analyze.ConfigKey
	for i := range in.Uncached {
		u := &in.Uncached[i]
		k := u.Cached.ConfigKey
		l := byKey[k]
		if l == nil {
			l = &line{}
			byKey[k], order = l, append(order, k)
		}
		n := float64(u.Tokens)
		tokens.add(&n)
		seconds.add(&u.CachedSPerTok, &u.PlainSPerTok)
		r := point{x: n, y: u.Ratio}
		if u.CI != nil {
			r.lo, r.hi = &u.CI.Lo, &u.CI.Hi
		}
		ratios.add(r.y, r.lo, r.hi)
		l.with, l.without, l.ratio = append(l.with, point{x: n, y: u.CachedSPerTok}), append(l.without, point{x: n, y: u.PlainSPerTok}), append(l.ratio, r)
	}
	for _, k := range order {
		l, look := byKey[k], in.model[k.Model]
		look.dash = in.backend[k.Backend].dash
		byX(l.with)
		byX(l.without)
		byX(l.ratio)
		left.Add(curve{points: l.with, style: look.line(1.2)}, curve{points: l.without, style: look.line(1.2)},
			dots{points: l.with, style: look.marker(true)}, dots{points: l.without, style: look.marker(false)})
		right.Add(curve{points: l.ratio, style: look.line(1.2)}, dots{points: l.ratio, style: look.marker(false)})
		sty, marker := look.line(1.2), look.marker(false)
		f.legend = append(f.legend, key{label: k.String(), line: &sty, marker: &marker})
	}
	room := 0.08*(tokens.hi-tokens.lo) + 1
	for _, p := range []*plot.Plot{left, right} {
		setLinear(&p.X, span{tokens.lo - room, tokens.hi + room, true}, 5, plain)
	}
	setLog(&left.Y, seconds.times(1.4), plain)
	shown, ends := ratios.within(maxReach)
	setLog(&right.Y, shown.times(1.15), times)
	right.Add(rule{value: 1, style: dashed(faint)})
	f.tiles = [][]*plot.Plot{{left, right}}
	f.notes = []string{fmt.Sprintf("Left, filled: without the cache; hollow: with it. Right: %s Tokens are of the longest context, prompt and generated.", ends)}
	f.caption = "Without the KV cache every step evaluates the whole sequence again. Both sides are over the tokens that the uncached cell decodes."
	return []*figure{f}, nil
}

func times(v float64) string { return plain(v) + "×" }
