package plots

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// shape is a marker: a polygon of so many sides with a corner at an angle, or a
// circle for no sides.
type shape struct {
	sides  int
	angle  float64 // of the first corner, in quarters of a turn from the right
	hollow bool
}

var shapes = []shape{
	{},                     // circle
	{sides: 4, angle: 0.5}, // square
	{sides: 3, angle: 1},   // triangle
	{sides: 4, angle: 1},   // diamond
	{sides: 3, angle: 3},   // triangle that points down
	{sides: 6, angle: 1},   // hexagon
	{sides: 3, angle: 0},   // triangle that points right
}

// DrawGlyph draws the marker with the area of a circle of the style's radius.
func (s shape) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	path := s.path(sty.Radius, at)
	if s.hollow {
		c.SetColor(color.White)
		c.Fill(path)
		c.SetLineStyle(solid(sty.Color, 1.3))
		c.Stroke(path)
		return
	}
	c.SetColor(sty.Color)
	c.Fill(path)
}

// path returns the outline.
func (s shape) path(radius vg.Length, at vg.Point) vg.Path {
	var p vg.Path
	if s.sides == 0 {
		p.Move(vg.Point{X: at.X + radius, Y: at.Y})
		p.Arc(at, radius, 0, 2*math.Pi)
		p.Close()
		return p
	}
	turn := 2 * math.Pi / float64(s.sides)
	r := radius * vg.Length(math.Sqrt(2*math.Pi/(float64(s.sides)*math.Sin(turn))))
	for i := range s.sides {
		sin, cos := math.Sincos(s.angle*math.Pi/2 + float64(i)*turn)
		corner := vg.Point{X: at.X + r*vg.Length(cos), Y: at.Y + r*vg.Length(sin)}
		if i == 0 {
			p.Move(corner)
		} else {
			p.Line(corner)
		}
	}
	p.Close()
	return p
}
