package plots

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/analyze"
)

const noShape = noData("needs the shapes of the models, which the first row of a launch carries, and the size of their weights")

// What marks a length on the line or in the row of a model.
func crossoverMark(l look) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: 5, Shape: shape{hollow: true}}
}

func positionsMark(l look) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: 4, Shape: shape{sides: 4, angle: 0.5}}
}

func longestMark(l look) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: 4, Shape: shape{sides: 3, angle: 3}}
}

// kvScaling draws the bytes of the cache against the length of the context: the
// formula as a line, what was measured as markers on it.
func kvScaling(in *input) ([]*figure, error) {
	all, err := in.Crossovers()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noShape
	}
	p := newTile("", "context, tokens (log)", "KV cache of one sequence, bytes (log)")
	var tokens, bytes span
	shortest := 64.0
	tokens.add(&shortest)
	for _, x := range all {
		n, w := float64(max(x.Tokens, int64(x.Model.Info.CtxTrain))), float64(*x.Model.WeightsBytes)
		tokens.add(&n)
		bytes.add(&w)
	}
	for _, x := range all {
		for _, n := range []float64{tokens.lo, tokens.hi} {
			at := n * float64(x.BytesPerTok)
			bytes.add(&at)
		}
	}
	f := &figure{tiles: [][]*plot.Plot{{p}}, rowHeight: 360}
	var budgets []string
	beyond, measured := false, false
	for _, x := range all {
		l := in.model[x.Model.Name]
		at := func(n float64) point { return point{x: n, y: n * float64(x.BytesPerTok)} }
		positions := float64(x.Model.Info.CtxTrain)
		line := solid(l.color, lineWidth)
		p.Add(curve{points: []point{at(tokens.lo), at(min(positions, tokens.hi))}, style: line})
		if positions < tokens.hi {
			thin := solid(l.color, 0.8)
			thin.Dashes = []vg.Length{2, 3}
			p.Add(curve{points: []point{at(positions), at(tokens.hi)}, style: thin})
			beyond = true
		}
		used := in.kvMeasured(x)
		measured = measured || len(used) > 0
		p.Add(dots{points: used, style: l.marker(false)}, dots{points: []point{at(float64(x.Tokens))}, style: crossoverMark(l)})
		k := lineKey(cacheName(x), line)
		marker := l.marker(false)
		k.marker = &marker
		f.legend = append(f.legend, k)
		if x.DeviceBytes != nil {
			if label := fmt.Sprintf("memory of %s, %s", x.Model.Device, bytesText(float64(*x.DeviceBytes))); !slices.Contains(budgets, label) {
				budgets = append(budgets, label)
				v := float64(*x.DeviceBytes)
				bytes.add(&v)
				p.Add(rule{value: v, style: dashed(ink), label: label})
			}
		}
	}
	setLog(&p.X, span{tokens.lo, tokens.hi, true}, scaled)
	setLog(&p.Y, bytes.times(1.6), bytesText)
	f.legend = append(f.legend, markerKey("as large as the weights", crossoverMark(other)))
	note := "Lines: formula."
	if measured {
		note += " Filled markers: measured."
	}
	if beyond {
		note += " Dotted: beyond the model's positions."
	}
	if len(budgets) == 0 {
		note += " The memory of the device is not known."
	}
	f.notes = []string{note}
	f.caption = "Bytes of keys and values of one sequence against its length, with the length at which they are as large as the model's weights."
	return []*figure{f}, nil
}

// kvMeasured returns the lengths at which the cache of a model was measured:
// length by length, and what rows held.
func (in *input) kvMeasured(x analyze.Crossover) []point {
	var out []point
	add := func(tokens int, bytes int64) {
		at := point{x: float64(tokens), y: float64(bytes)}
		if !slices.ContainsFunc(out, func(p point) bool { return p.x == at.x && p.y == at.y }) {
			out = append(out, at)
		}
	}
	for _, k := range in.KVPoints {
		if k.Model == x.Model.Name && k.KVTypeK == x.KVTypeK && k.KVTypeV == x.KVTypeV {
			add(k.Tokens, k.UsedBytes)
		}
	}
	for _, k := range in.KV {
		if k.Model == x.Model.Name && k.KVTypeK == x.KVTypeK && k.KVTypeV == x.KVTypeV {
			add(k.Positions, k.UsedBytes/int64(k.Batch))
		}
	}
	return out
}

// kvCrossover draws, for each model, the lengths that end or mark its context.
func kvCrossover(in *input) ([]*figure, error) {
	all, err := in.Crossovers()
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noShape
	}
	p := newTile("", "context, tokens (log)", "")
	var tokens span
	var labels []plot.Tick
	known, byMemory := false, false
	p.Add(rowBands(len(all)))
	for i, x := range all {
		l := in.model[x.Model.Name]
		row := float64(len(all) - 1 - i)
		labels = append(labels, plot.Tick{Value: row, Label: cacheName(x)})
		mark := func(v float64, marker draw.GlyphStyle, below bool) {
			tokens.add(&v)
			y, dy := text.YBottom, vg.Length(7)
			if below {
				y, dy = text.YTop, -6
			}
			p.Add(dots{points: []point{{x: v, y: row}}, style: marker},
				note{x: v, y: row, text: plain(v), style: at(style(smallSize, false, ink), text.XCenter, y), dy: dy})
		}
		mark(float64(x.Tokens), crossoverMark(l), false)
		mark(float64(x.Model.Info.CtxTrain), positionsMark(l), true)
		if x.Longest != nil {
			known = true
			if x.LimitedBy == econ.LimitMemory {
				byMemory = true
				mark(float64(*x.Longest), longestMark(l), true)
			}
		}
	}
	setLog(&p.X, tokens.times(1.6), scaled)
	p.Y.Min, p.Y.Max = -0.5, float64(len(all))-0.5
	p.Y.Tick.Marker, p.Y.Tick.Length = newRowLabels(labels), 0
	f := &figure{tiles: [][]*plot.Plot{{p}}, rowHeight: 44 + 42*vg.Length(len(all))}
	f.legend = []key{
		markerKey("cache as large as the weights", crossoverMark(other)),
		markerKey("positions of the model", positionsMark(other)),
	}
	switch {
	case byMemory:
		f.legend = append(f.legend, markerKey("longest that fits, where memory ends it", longestMark(other)))
	case known:
		f.notes = []string{"Beside its weights, each model's longest context fits into the memory of the device."}
	default:
		f.notes = []string{"The longest context that fits needs the device's memory, which environment.json names."}
	}
	f.caption = "Tokens of context, one sequence, at which the cache is as large as the model's weights, beside the positions the model has. A crossover beyond its positions is never reached."
	return []*figure{f}, nil
}

// cacheName names a model, and the types of its cache unless they are the usual
// ones.
func cacheName(x analyze.Crossover) string {
	if v := (analyze.ConfigKey{KVTypeK: x.KVTypeK, KVTypeV: x.KVTypeV}).Variant(); v != "" {
		return x.Model.Name + " (" + v + ")"
	}
	return x.Model.Name
}
