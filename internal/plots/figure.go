package plots

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figure is a title, what holds for all of it, a legend and tiles below each
// other in that order, so that nothing lies over data.
type figure struct {
	title, part string   // part of what the title says, for one that has several figures
	caption     string   // for below the picture, in a report
	notes       []string // for under the title: they go where the picture goes
	legend      []key
	tiles       [][]*plot.Plot // by row; nil for an empty place
	rowHeight   vg.Length
}

// key is an entry of a legend: what of line, marker and box are set.
type key struct {
	label  string
	line   *draw.LineStyle
	marker *draw.GlyphStyle
	box    color.Color
}

func lineKey(label string, line draw.LineStyle) key { return key{label: label, line: &line} }

func markerKey(label string, marker draw.GlyphStyle) key { return key{label: label, marker: &marker} }

// newTile returns a tile in our style. Its ranges are still to be set. What y is
// stands above its axis, where it can be read without turning the head.
func newTile(heading, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding = 0
		a.LineStyle, a.Tick.LineStyle = solid(faint, 0.7), solid(faint, 0.7)
		a.Tick.Length = 4
	}
	p.X.Label.Text, p.X.Label.Padding = x, 2
	p.X.Label.TextStyle = at(style(labelSize, false, ink), text.XCenter, text.YBottom)
	p.X.Tick.Label = at(style(smallSize, false, ink), text.XCenter, text.YTop)
	p.Y.Tick.Label = at(style(smallSize, false, ink), text.XRight, text.YCenter)
	p.Add(gridLines{}, head{heading, y})
	return p
}

// head is what stands above a tile: its heading, and below that what y is.
type head struct{ heading, y string }

// lines calls f for each line with its height above the tile, and returns the
// height of all.
func (h head) lines(f func(s string, sty text.Style, above vg.Length)) vg.Length {
	height := vg.Length(0)
	for _, line := range []struct {
		text string
		sty  text.Style
	}{{h.y, style(smallSize, false, ink)}, {h.heading, style(headingSize, true, ink)}} {
		if line.text != "" {
			f(line.text, line.sty, height+5)
			height += line.sty.Font.Size * 1.3
		}
	}
	return height
}

// Plot writes the head.
func (h head) Plot(c draw.Canvas, _ *plot.Plot) {
	h.lines(func(s string, sty text.Style, above vg.Length) {
		c.FillText(sty, vg.Point{X: c.Min.X, Y: c.Max.Y + above}, s)
	})
}

// GlyphBoxes keeps the room.
func (h head) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	height := 5 + h.lines(func(string, text.Style, vg.Length) {})
	return []plot.GlyphBox{{Y: 1, Rectangle: vg.Rectangle{Max: vg.Point{Y: height}}}}
}

// gridLines are faint lines at labelled ticks, but not at
// rows and columns.
type gridLines struct{}

// Plot draws them.
func (gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	sty := solid(grid, 0.7)
	if _, columns := p.X.Tick.Marker.(rowLabels); columns {
		return
	}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if pos := x(t.Value); !t.IsMinor() && c.ContainsX(pos) {
			c.StrokeLine2(sty, pos, c.Min.Y, pos, c.Max.Y)
		}
	}
	if _, rows := p.Y.Tick.Marker.(rowLabels); rows {
		return
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if pos := y(t.Value); !t.IsMinor() && c.ContainsY(pos) {
			c.StrokeLine2(sty, c.Min.X, pos, c.Max.X, pos)
		}
	}
}

// setLinear gives an axis a range and about so many ticks.
func setLinear(a *plot.Axis, s span, about int, f format) {
	a.Min, a.Max = s.lo, s.hi
	a.Tick.Marker = linear{about, f}
}

// setLog gives an axis a log scale over a range above 0.
func setLog(a *plot.Axis, s span, f format) {
	a.Min, a.Max = s.lo, s.hi
	a.Scale = plot.LogScale{}
	a.Tick.Marker = logarithmic{8, f}
}

// height is that of the whole figure.
func (f *figure) height() vg.Length {
	return f.headHeight() + f.rowHeight*vg.Length(len(f.tiles)) + 2*margin
}

const (
	noteHeight   = smallSize * 1.35
	legendHeight = labelSize * 1.6
)

func (f *figure) headHeight() vg.Length {
	rows := 0
	f.eachKey(func(_ key, _ vg.Length, row int) { rows = row + 1 })
	return titleSize*1.5 + noteHeight*vg.Length(len(f.lines())) + legendHeight*vg.Length(rows) + 8
}

// lines are the notes, broken to the figure's width.
func (f *figure) lines() []string {
	sty := style(smallSize, false, faint)
	var out []string
	for _, note := range f.notes {
		line := ""
		for _, word := range strings.Split(note, " ") {
			longer := strings.TrimSpace(line + " " + word)
			if line != "" && sty.Width(longer) > figureWidth-2*margin {
				out, longer = append(out, line), word
			}
			line = longer
		}
		out = append(out, line)
	}
	return out
}

const swatch = vg.Length(26)

// eachKey calls f with the place of every entry of the legend, which runs over
// as many rows as it needs.
func (f *figure) eachKey(place func(k key, x vg.Length, row int)) {
	sty := style(labelSize, false, ink)
	x, row := vg.Length(0), 0
	for _, k := range f.legend {
		width := swatch + 5 + sty.Width(k.label) + 16
		if x > 0 && x+width-16 > figureWidth-2*margin {
			x, row = 0, row+1
		}
		place(k, x, row)
		x += width
	}
}

// draw draws the figure over the whole of a canvas of its size.
func (f *figure) draw(c draw.Canvas) {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)
	top := c.Max.Y - titleSize
	c.FillText(style(titleSize, true, ink), vg.Point{X: c.Min.X, Y: top}, f.title)
	top -= titleSize * 0.5
	for _, line := range f.lines() {
		c.FillText(style(smallSize, false, faint), vg.Point{X: c.Min.X, Y: top - smallSize}, line)
		top -= noteHeight
	}
	f.eachKey(func(k key, x vg.Length, row int) {
		k.draw(c, vg.Point{X: c.Min.X + x, Y: top - legendHeight*(vg.Length(row)+0.6)})
	})

	tiles := draw.Tiles{Rows: len(f.tiles), Cols: len(f.tiles[0]), PadX: 26, PadY: 10}
	area := draw.Crop(c, 0, 0, 0, -f.headHeight())
	for i, row := range plot.Align(f.tiles, tiles, area) {
		for j, place := range row {
			if f.tiles[i][j] != nil {
				f.tiles[i][j].Draw(place)
			}
		}
	}
}

// draw draws a swatch and its label, centred on a line at the height of from.
func (k key) draw(c draw.Canvas, from vg.Point) {
	middle := vg.Point{X: from.X + swatch/2, Y: from.Y}
	if k.box != nil {
		r := vg.Rectangle{Min: vg.Point{X: from.X + 4, Y: from.Y - 4.5}, Max: vg.Point{X: from.X + swatch - 4, Y: from.Y + 4.5}}
		c.SetColor(k.box)
		c.Fill(r.Path())
	}
	if k.line != nil {
		c.StrokeLine2(*k.line, from.X, from.Y, from.X+swatch, from.Y)
	}
	if k.marker != nil {
		c.DrawGlyphNoClip(*k.marker, middle)
	}
	writeMiddle(c, at(style(labelSize, false, ink), text.XLeft, text.YCenter), vg.Point{X: from.X + swatch + 5, Y: from.Y}, k.label)
}
