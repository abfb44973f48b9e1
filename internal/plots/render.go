package plots

import (
	"bytes"
	"fmt"
	"html"
	"regexp"

	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// pngDPI is half as much again as a page at 100 % shows, for letters that are
// sharp on finer screens too.
const pngDPI = 144

// render returns the figure in both formats.
func (f *figure) render() (svg, png []byte, err error) {
	var out bytes.Buffer
	vector := vgsvg.New(figureWidth, f.height())
	f.draw(draw.New(vector))
	if _, err := vector.WriteTo(&out); err != nil {
		return nil, nil, err
	}
	svg = inline(out.Bytes(), f.title)

	out.Reset()
	pixels := vgimg.NewWith(vgimg.UseWH(figureWidth, f.height()), vgimg.UseDPI(pngDPI))
	f.draw(draw.New(pixels))
	_, err = vgimg.PngCanvas{Canvas: pixels}.WriteTo(&out)
	return svg, out.Bytes(), err
}

var (
	svgStart  = regexp.MustCompile(`(?s)^.*?<svg ([^>]*)>`)
	fontStyle = regexp.MustCompile(`font-family:Liberation Sans;font-variant:\w+;font-weight:(\w+);font-style:\w+;`)
)

// inline makes of what gonum writes an element for a page: without an XML
// header, with a title, and with letters that any machine has in the widths of
// ours.
func inline(svg []byte, title string) []byte {
	title = html.EscapeString(title)
	svg = svgStart.ReplaceAll(svg, fmt.Appendf(nil, `<svg ${1} role="img" aria-label="%s"><title>%s</title>`, dollar(title), dollar(title)))
	return fontStyle.ReplaceAllFunc(svg, func(found []byte) []byte {
		weight := ""
		if w := string(fontStyle.FindSubmatch(found)[1]); w != "normal" {
			weight = "font-weight:" + w + ";"
		}
		return []byte("font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif;" + weight)
	})
}

// dollar keeps a text from being taken as a template of a replacement.
func dollar(s string) string { return string(bytes.ReplaceAll([]byte(s), []byte("$"), []byte("$$"))) }

// standalone makes a file of an element.
func standalone(svg []byte) []byte {
	return append([]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), svg...)
}
