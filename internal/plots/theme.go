package plots

import (
	"image/color"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	glyphs "gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours of Okabe and Ito, "Color Universal Design" (2008), which people
// with any kind of colour vision can tell apart. Their yellow is left out: it
// cannot be seen as a line on white.
var (
	black      = color.NRGBA{0, 0, 0, 255}
	orange     = color.NRGBA{230, 159, 0, 255}
	skyBlue    = color.NRGBA{86, 180, 233, 255}
	green      = color.NRGBA{0, 158, 115, 255}
	blue       = color.NRGBA{0, 114, 178, 255}
	vermillion = color.NRGBA{213, 94, 0, 255}
	purple     = color.NRGBA{204, 121, 167, 255}
)

// Backends and models take the palette from different ends, so that the few of
// each that a run has seldom share a colour.
var (
	backendColors = []color.NRGBA{blue, orange, skyBlue, black, purple, green, vermillion}
	modelColors   = []color.NRGBA{vermillion, green, purple, black, blue, orange, skyBlue}
)

var (
	ink   = color.NRGBA{34, 34, 34, 255}
	faint = color.NRGBA{110, 110, 110, 255}
	grid  = color.NRGBA{226, 226, 226, 255}
)

// look is how one series is drawn, the same in every plot. Shape and dashes tell
// series apart where colours cannot.
type look struct {
	color color.NRGBA
	shape shape
	dash  []vg.Length
}

var dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {4, 2}, {10, 3}, {1, 3}}

// looks gives each name the next look, in order.
func looks(names []string, colors []color.NRGBA) map[string]look {
	out := map[string]look{}
	for i, name := range names {
		out[name] = look{colors[i%len(colors)], shapes[i%len(shapes)], dashes[i%len(dashes)]}
	}
	return out
}

// other is the look of what stands for every model or backend in a legend.
var other = look{color: faint}

func (l look) line(width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: l.color, Width: width, Dashes: l.dash}
}

func (l look) marker(hollow bool) draw.GlyphStyle {
	s := l.shape
	s.hollow = hollow
	return draw.GlyphStyle{Color: l.color, Radius: markerRadius, Shape: s}
}

func solid(c color.Color, width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: width}
}

func pale(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// Sizes in points, of which 3 are 4 pixels of a page at 100 %.
const (
	figureWidth  = 9 * vg.Inch
	margin       = vg.Length(10)
	markerRadius = vg.Length(3.2)
	lineWidth    = vg.Length(1.6)

	titleSize, headingSize, labelSize, smallSize = vg.Length(14), vg.Length(11), vg.Length(10), vg.Length(9.5)
)

func style(size vg.Length, bold bool, c color.Color) text.Style {
	f := glyphs.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = font.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: plot.DefaultTextHandler}
}

// at returns the style with an alignment.
func at(s text.Style, x text.XAlignment, y text.YAlignment) text.Style {
	s.XAlign, s.YAlign = x, y
	return s
}

// writeMiddle writes a text whose style is centred vertically so that its
// letters, without what hangs below their line, are.
func writeMiddle(c draw.Canvas, sty text.Style, at vg.Point, s string) {
	at.Y += sty.FontExtents().Descent
	c.FillText(sty, at, s)
}

// mixed returns a colour with a share of white in it.
func mixed(c color.NRGBA, white float64) color.NRGBA {
	mix := func(v uint8) uint8 { return uint8(float64(v) + white*(255-float64(v))) }
	return color.NRGBA{mix(c.R), mix(c.G), mix(c.B), c.A}
}

func dashed(c color.Color) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: 1, Dashes: []vg.Length{4, 3}}
}
