package report

import (
	"bytes"
	_ "embed"
	"html"
	"html/template"
	"regexp"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

//go:embed assets/page.html
var pageHTML string

//go:embed assets/page.css
var pageCSS string

//go:embed assets/costs.js
var costsJS string

//go:embed assets/page.js
var pageJS string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"inline": inline, "anchor": anchor, "image": image}).Parse(pageHTML))

// HTML renders the document as one page that needs nothing besides itself.
func (d *Document) HTML() ([]byte, error) {
	var out bytes.Buffer
	err := page.Execute(&out, struct {
		*Document
		CSS    template.CSS
		Script template.JS
	}{d, template.CSS(pageCSS), template.JS(costsJS + pageJS)})
	return out.Bytes(), err
}

var (
	linkMark = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s]+)\)`)
	boldMark = regexp.MustCompile(`\*\*(.+?)\*\*`)
	// warningMark begins an item of the list of warnings.
	warningMark = regexp.MustCompile(`^\*\*(w\d+)\*\* `)
)

// inline renders the marks of a text; everything else in it is shown as it is.
// Links go to places in the page and files beside it only.
func inline(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = html.EscapeString(part)
		if i%2 == 1 {
			out.WriteString("<code>" + part + "</code>")
			continue
		}
		part = boldMark.ReplaceAllString(part, "<strong>$1</strong>")
		out.WriteString(linkMark.ReplaceAllStringFunc(part, func(link string) string {
			m := linkMark.FindStringSubmatch(link)
			if strings.ContainsAny(m[2], `:\`) || strings.HasPrefix(m[2], "/") {
				return link
			}
			return `<a href="` + m[2] + `">` + m[1] + "</a>"
		}))
	}
	return template.HTML(out.String())
}

// anchor returns the address of an item that tables refer to, "" for others.
func anchor(item string) string {
	if m := warningMark.FindStringSubmatch(item); m != nil {
		return m[1]
	}
	return ""
}

// image returns a plot for a page.
func image(svg []byte) template.HTML { return template.HTML(svg) }

// grid is a table as a page shows it.
type grid struct {
	Many bool // too many rows to show all at once
	Head []gridHead
	Rows [][]gridCell
}

type gridHead struct {
	Name, Title, Unit string
	Number            bool
}

type gridCell struct {
	Text  string
	Class string
	Sort  string    // value to sort by where that is not the text
	Marks []warning // that touch the row
}

// The numbers of letters from which a cell is broken into lines, and into
// longer ones.
const (
	longText     = 36
	veryLongText = 100
)

// manyRows is the number of rows from which a table scrolls in its own box.
const manyRows = 20

// Grid returns the table without columns that say nothing.
func (b *tableBlock) Grid() grid {
	t := b.ForPeople()
	g := grid{Many: len(t.Rows) > manyRows}
	for i, c := range t.Columns {
		g.Head = append(g.Head, gridHead{c.Name, title(c), c.Unit, numeric(t, i)})
	}
	if b.Marks != nil {
		g.Head = append(g.Head, gridHead{Name: "warnings", Title: "warnings"})
	}
	for r, row := range t.Rows {
		var cells []gridCell
		for i, cell := range row {
			cells = append(cells, gridCellOf(cell, t.Columns[i], g.Head[i].Number))
		}
		if b.Marks != nil {
			cells = append(cells, gridCell{Class: "short", Marks: b.warnings(b.Marks[r])})
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

func gridCellOf(cell any, c analyze.Column, number bool) gridCell {
	out := gridCell{Text: human(cell, c.Digits)}
	switch {
	case number:
		out.Class, out.Sort = "num", exact(cell)
	case c.Name == "outcome":
		out.Class = strings.ReplaceAll(out.Text, " ", "-")
	case len(out.Text) >= veryLongText:
		out.Class = "long very"
	case len(out.Text) >= longText:
		out.Class = "long"
	default:
		out.Class = "short"
	}
	return out
}

// Touching returns the warnings that touch every row.
func (b *tableBlock) Touching() []warning { return b.warnings(b.Every) }

func (b *tableBlock) warnings(numbers []int) []warning {
	var out []warning
	for _, n := range numbers {
		out = append(out, b.all[n-1])
	}
	return out
}
