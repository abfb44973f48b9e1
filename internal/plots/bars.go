package plots

import (
	"image/color"
	"sort"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bar is one row of a bar chart: a bar to the right with its interval and value
// written behind it, or a heading when it has no color.
type bar struct {
	label  string
	value  float64
	lo, hi *float64
	color  color.Color
}

// bars are rows from top to bottom, in order.
type bars struct {
	rows   []bar
	format format  // of the axis
	text   format  // of values
	max    float64 // where intervals are cut
}

const barRowHeight = vg.Length(20)

// maxReach is how far intervals are shown, in values.
const maxReach = 2

// barTile returns a bar chart from 0. Lengths can be compared, so the axis is
// linear.
func barTile(heading, unit string, b bars) (*plot.Plot, reach) {
	p := newTile(heading, unit, "")
	var values extent
	var labels []plot.Tick
	for i, r := range b.rows {
		if r.color == nil {
			continue
		}
		values.add(r.value, nil, r.hi)
		labels = append(labels, plot.Tick{Value: b.at(i), Label: r.label})
	}
	shown, ends := values.within(maxReach)
	b.max = shown.hi
	setLinear(&p.X, shown.from0(0.25), 4, b.format) // room for the values
	p.Y.Min, p.Y.Max = -0.5, float64(len(b.rows))-0.5
	p.Y.Tick.Marker = newRowLabels(labels)
	p.Y.Tick.Length = 0
	p.Add(b)
	return p, ends
}

// rowLabels are the ticks of an axis that has no values but names rows.
type rowLabels struct{ plot.ConstantTicks }

// maxLabelWidth is what names may take of a tile, of which there are three
// beside each other at most: longer ones would leave nothing for the picture.
const maxLabelWidth = figureWidth / 4

// newRowLabels names rows, with an ellipsis in names that are too long.
func newRowLabels(ticks []plot.Tick) rowLabels {
	sty := style(smallSize, false, ink)
	for i := range ticks {
		lines := strings.Split(ticks[i].Label, "\n")
		for j, line := range lines {
			lines[j] = cut(sty, line, maxLabelWidth)
		}
		ticks[i].Label = strings.Join(lines, "\n")
	}
	return rowLabels{ticks}
}

// cut returns the text, or as much of its beginning as fits with an ellipsis.
func cut(sty text.Style, s string, width vg.Length) string {
	if sty.Width(s) <= width {
		return s
	}
	letters := []rune(s)
	n := sort.Search(len(letters), func(n int) bool { return sty.Width(string(letters[:n])+"…") > width })
	return string(letters[:max(n-1, 0)]) + "…"
}

func (b bars) at(row int) float64 { return float64(len(b.rows) - 1 - row) }

// Plot draws the bars.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	thick := min(13, (y(1)-y(0))*0.68)
	for i, r := range b.rows {
		middle := y(b.at(i))
		if r.color == nil {
			writeMiddle(c, at(style(labelSize, true, ink), text.XLeft, text.YCenter), vg.Point{X: c.Min.X + 4, Y: middle - 3}, r.label)
			continue
		}
		lo, hi := middle-thick/2, middle+thick/2
		c.FillPolygon(r.color, []vg.Point{{X: x(0), Y: lo}, {X: x(r.value), Y: lo}, {X: x(r.value), Y: hi}, {X: x(0), Y: hi}})
		end := x(r.value)
		if r.lo != nil && r.hi != nil {
			interval := whisker{*r.lo, *r.hi, middle, true}
			interval.draw(c, p, b.max, solid(color.White, 2.6)) // to be seen on dark bars
			interval.draw(c, p, b.max, solid(ink, 1.1))
			end = max(end, x(min(*r.hi, b.max)))
		}
		writeMiddle(c, at(style(smallSize, false, ink), text.XLeft, text.YCenter), vg.Point{X: end + 5, Y: middle}, b.text(r.value))
	}
}

// barsHeight is the height of a tile of so many rows.
func barsHeight(rows int) vg.Length { return 58 + barRowHeight*vg.Length(rows) }

// rowBands shades every other row, to lead the eye from its name.
type rowBands int

// Plot shades.
func (n rowBands) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for row := 0; row < int(n); row += 2 {
		lo, hi := y(float64(row)-0.5), y(float64(row)+0.5)
		c.FillPolygon(color.NRGBA{0, 0, 0, 10}, []vg.Point{{X: c.Min.X, Y: lo}, {X: c.Max.X, Y: lo}, {X: c.Max.X, Y: hi}, {X: c.Min.X, Y: hi}})
	}
}
