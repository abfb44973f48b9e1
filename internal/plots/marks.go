package plots

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// point is a place in data coordinates; lo and hi bound what is measured there,
// in the direction of the axis that carries it, nil when no interval is known.
type point struct {
	x, y   float64
	lo, hi *float64
}

// curve is a line through points; steps make it hold each value until the next.
type curve struct {
	points []point
	style  draw.LineStyle
	steps  bool
}

// Plot draws the line, cut at the edges of the tile.
func (v curve) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var line []vg.Point
	for i, at := range v.points {
		if v.steps && i > 0 {
			line = append(line, vg.Point{X: x(at.x), Y: y(v.points[i-1].y)})
		}
		line = append(line, vg.Point{X: x(at.x), Y: y(at.y)})
	}
	c.StrokeLines(v.style, c.ClipLinesXY(line)...)
}

// dots are markers at points, with their intervals.
type dots struct {
	points     []point
	style      draw.GlyphStyle
	horizontal bool // lo and hi are in x
}

const capLength = vg.Length(3)

// Plot draws intervals below markers.
func (v dots) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, at := range v.points {
		switch {
		case at.lo == nil || at.hi == nil:
		case v.horizontal:
			whisker{*at.lo, *at.hi, y(at.y), true}.draw(c, p, p.X.Max, solid(v.style.Color, 1.1))
		default:
			whisker{*at.lo, *at.hi, x(at.x), false}.draw(c, p, p.Y.Max, solid(v.style.Color, 1.1))
		}
	}
	for _, at := range v.points {
		c.DrawGlyph(v.style, vg.Point{X: x(at.x), Y: y(at.y)})
	}
}

// whisker is an interval along x or y, at a place across it.
type whisker struct {
	lo, hi     float64
	across     vg.Length
	horizontal bool
}

// draw draws the interval with caps. An end below the axis or above last is cut
// there and has no cap.
func (v whisker) draw(c draw.Canvas, p *plot.Plot, last float64, sty draw.LineStyle) {
	axis, place := &p.Y, c.Y
	if v.horizontal {
		axis, place = &p.X, c.X
	}
	at := func(value float64, off vg.Length) vg.Point {
		along := place(axis.Norm(min(max(value, axis.Min), last)))
		if v.horizontal {
			return vg.Point{X: along, Y: v.across + off}
		}
		return vg.Point{X: v.across + off, Y: along}
	}
	c.StrokeLines(sty, []vg.Point{at(v.lo, 0), at(v.hi, 0)})
	for _, end := range []float64{v.lo, v.hi} {
		if end >= axis.Min && end <= last {
			c.StrokeLines(sty, []vg.Point{at(end, -capLength), at(end, capLength)})
		}
	}
}

// rule is a line across the tile at a value, with a text at its end.
type rule struct {
	value    float64
	vertical bool
	style    draw.LineStyle
	label    string
}

// Plot draws the rule when its value is in range.
func (v rule) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	sty := style(smallSize, false, v.style.Color)
	if v.vertical {
		if pos := x(v.value); c.ContainsX(pos) {
			c.StrokeLine2(v.style, pos, c.Min.Y, pos, c.Max.Y)
			c.FillText(at(sty, text.XLeft, text.YTop), vg.Point{X: pos + 3, Y: c.Max.Y}, v.label)
		}
		return
	}
	if pos := y(v.value); c.ContainsY(pos) {
		c.StrokeLine2(v.style, c.Min.X, pos, c.Max.X, pos)
		c.FillText(at(sty, text.XLeft, text.YBottom), vg.Point{X: c.Min.X + 3, Y: pos + 1}, v.label)
	}
}

// band shades the tile between two values of x.
type band struct {
	from, to float64
	color    color.Color
}

// Plot shades what of the band is in range.
func (v band) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	from, to := max(x(v.from), c.Min.X), min(x(v.to), c.Max.X)
	if from >= to {
		return
	}
	c.FillPolygon(v.color, []vg.Point{{X: from, Y: c.Min.Y}, {X: to, Y: c.Min.Y}, {X: to, Y: c.Max.Y}, {X: from, Y: c.Max.Y}})
}

// note is a text beside a point.
type note struct {
	x, y   float64
	text   string
	style  text.Style
	dx, dy vg.Length
}

// Plot writes the text.
func (v note) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	c.FillText(v.style, vg.Point{X: x(v.x) + v.dx, Y: y(v.y) + v.dy}, v.text)
}
