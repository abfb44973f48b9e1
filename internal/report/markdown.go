package report

import (
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// PlotDir is the folder of the plots in a run directory.
const PlotDir = "plots"

// Markdown renders the document as report.md.
func (d *Document) Markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# %s\n\n", d.Title)
	for _, section := range d.Sections {
		fmt.Fprintf(&s, "## %s\n\n", section.Title)
		for _, b := range section.Blocks {
			b.markdown(&s)
		}
	}
	return strings.TrimRight(s.String(), "\n") + "\n"
}

func (b Block) markdown(s *strings.Builder) {
	switch {
	case b.Heading != "":
		fmt.Fprintf(s, "### %s\n\n", b.Heading)
	case b.Text != "" || b.Lead != "":
		fmt.Fprintf(s, "%s\n\n", b.Text+b.Lead)
	case b.Notice != "":
		fmt.Fprintf(s, "> %s\n\n", b.Notice)
	case b.Items != nil:
		bullets(s, "-", b.Items)
	case b.Checklist != nil:
		bullets(s, "- [ ]", b.Checklist)
	case b.Code != "":
		fmt.Fprintf(s, "```\n%s\n```\n\n", b.Code)
	case b.Table != nil:
		b.Table.markdown(s)
	case b.Figure != nil:
		fmt.Fprintf(s, "![%s](%s/%s.svg)\n\n%s\n\n", b.Figure.Title, PlotDir, b.Figure.Name, b.Figure.Caption)
	}
}

func bullets(s *strings.Builder, mark string, items []string) {
	for _, item := range items {
		fmt.Fprintf(s, "%s %s\n", mark, item)
	}
	s.WriteString("\n")
}

func (b *tableBlock) markdown(s *strings.Builder) {
	source := ""
	if b.CSV != "" {
		source = fmt.Sprintf(" ([CSV](%s))", b.CSV)
	}
	if b.Folded {
		fmt.Fprintf(s, "<details><summary>%s%s</summary>\n\n%s\n\n", b.Title, ofSection(b.Table), strings.TrimSpace(source))
		defer s.WriteString("</details>\n\n")
	} else {
		fmt.Fprintf(s, "**%s**%s\n\n", b.Title, source)
	}
	for _, notice := range b.Notices {
		fmt.Fprintf(s, "> %s\n\n", notice)
	}
	s.WriteString(Markdown(b.marked()) + "\n")
	if len(b.Every) > 0 {
		fmt.Fprintf(s, "Warnings of every row: %s.\n\n", marks(b.Every))
	}
}

// marked returns the table with a column that refers to warnings, where some of
// its rows have one.
func (b *tableBlock) marked() *analyze.Table {
	if b.Marks == nil {
		return b.Table
	}
	t := *b.Table
	t.Columns = append(append([]analyze.Column{}, t.Columns...), analyze.Column{Name: "warnings"})
	t.Rows = nil
	for i, row := range b.Rows {
		t.Rows = append(t.Rows, append(append([]any{}, row...), marks(b.Marks[i])))
	}
	return &t
}

// marks refers to warnings by their numbers.
func marks(numbers []int) string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprintf("w%d", n))
	}
	return strings.Join(out, ", ")
}
