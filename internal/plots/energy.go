package plots

import (
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/phasebench/phasebench/internal/analyze"
)

// energyHeatmap draws joules a token by model and configuration, one tile a
// phase.
func energyHeatmap(in *input) ([]*figure, error) {
	var columns []string
	at := map[[2]string]*analyze.Config{} // by model and column
	for _, c := range in.Configs {
		if uncached(c.ConfigKey) {
			continue
		}
		column := series(c.ConfigKey)
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		at[[2]string{c.Model, column}] = c
	}
	prefill := in.heat(columns, at, func(c *analyze.Config) analyze.Rate { return c.Prefill })
	decode := in.heat(columns, at, func(c *analyze.Config) analyze.Rate { return c.Decode })
	var joules span
	for _, h := range []*heat{prefill, decode} {
		for _, v := range h.values {
			joules.add(v)
		}
	}
	if !joules.some {
		return nil, noData("needs energy of a phase: energy windows, or phases that last for two periods of the power sensor")
	}
	f := &figure{rowHeight: 54 + 26*vg.Length(len(in.models))}
	for _, phase := range []struct {
		name string
		*heat
	}{{"prefill", prefill}, {"decode", decode}} {
		phase.scale = joules
		f.tiles = append(f.tiles, []*plot.Plot{phase.tile(phase.name + ", J per token")})
	}
	f.notes = []string{"Gross: what the device draws idle is in it. Darker is more, on one log scale for both phases."}
	if prefill.assumed || decode.assumed {
		f.notes = append(f.notes, "* by watts that were given, not measured.")
	}
	if prefill.partly || decode.partly {
		f.notes = append(f.notes, "† measured in some of the scenarios; the others count at the mean power of those.")
	}
	f.caption = "Joules per token by model and backend, pooled over the scenarios. Cells without energy say so."
	return []*figure{f}, nil
}

// heat is a matrix of models by columns.
type heat struct {
	models, columns []string
	values          []*float64 // by row, nil when there is none
	texts           []string
	scale           span
	assumed, partly bool
}

func (in *input) heat(columns []string, at map[[2]string]*analyze.Config, phase func(*analyze.Config) analyze.Rate) *heat {
	h := &heat{models: in.models, columns: columns}
	for _, model := range in.models {
		for _, column := range columns {
			c := at[[2]string{model, column}]
			if c == nil {
				h.values, h.texts = append(h.values, nil), append(h.texts, "not run")
				continue
			}
			r := phase(c)
			j := r.JPerTok()
			label := "not measured"
			if j != nil {
				label = exact(*j)
				switch {
				case strings.Contains(r.Energy.Method, analyze.MethodAssumed):
					label, h.assumed = label+" *", true
				case len(r.EnergyOf) < len(r.Scenarios):
					label, h.partly = label+" †", true
				}
			}
			h.values, h.texts = append(h.values, j), append(h.texts, label)
		}
	}
	return h
}

func (h *heat) tile(heading string) *plot.Plot {
	p := newTile(heading, "", "")
	var columns, rows []plot.Tick
	for i, name := range h.columns {
		columns = append(columns, plot.Tick{Value: float64(i), Label: wrapped(name, 470/vg.Length(len(h.columns)))})
	}
	for i, name := range h.models {
		rows = append(rows, plot.Tick{Value: float64(len(h.models) - 1 - i), Label: name})
	}
	p.X.Min, p.X.Max = -0.5, float64(len(h.columns))-0.5
	p.Y.Min, p.Y.Max = -0.5, float64(len(h.models))-0.5
	p.X.Tick.Marker, p.Y.Tick.Marker = newRowLabels(columns), newRowLabels(rows)
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	p.X.Tick.Length, p.Y.Tick.Length = 2, 2
	p.X.Tick.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	p.Add(h)
	return p
}

// wrapped breaks a name at spaces and after hyphens where it gets wider than
// that.
func wrapped(name string, width vg.Length) string {
	sty := style(smallSize, false, ink)
	out, line := "", ""
	for _, part := range strings.SplitAfter(strings.ReplaceAll(name, " ", " \x00"), "-") {
		for _, word := range strings.Split(part, "\x00") {
			if line != "" && sty.Width(line+word) > width {
				out, line = out+strings.TrimSpace(line)+"\n", ""
			}
			line += word
		}
	}
	return out + line
}

// Plot fills the cells and writes what they hold.
func (h *heat) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, v := range h.values {
		column, row := float64(i%len(h.columns)), float64(len(h.models)-1-i/len(h.columns))
		fill, ink := color.NRGBA{245, 245, 245, 255}, faint
		if v != nil {
			fill, ink = h.shade(*v)
		}
		const gap = 1
		l, r, b, t := x(column-0.5)+gap, x(column+0.5)-gap, y(row-0.5)+gap, y(row+0.5)-gap
		c.FillPolygon(fill, []vg.Point{{X: l, Y: b}, {X: r, Y: b}, {X: r, Y: t}, {X: l, Y: t}})
		writeMiddle(c, at(style(labelSize, v != nil, ink), text.XCenter, text.YCenter), vg.Point{X: x(column), Y: y(row)}, h.texts[i])
	}
}

// shade returns the colour of a cell, from pale to dark blue by the log of its
// value, and one to write on it.
func (h *heat) shade(v float64) (fill, on color.NRGBA) {
	share := 0.5
	if h.scale.hi > h.scale.lo {
		share = math.Log(v/h.scale.lo) / math.Log(h.scale.hi/h.scale.lo)
	}
	if share > 0.55 {
		return mixed(blue, 0.9*(1-share)), color.NRGBA{255, 255, 255, 255}
	}
	return mixed(blue, 0.9*(1-share)), ink
}
