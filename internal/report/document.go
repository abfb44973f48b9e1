package report

import (
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/plots"
)

// Document is a report before it is rendered: Markdown and HTML show the same
// words and tables. Text may hold `code`, **bold** and [links](address).
type Document struct {
	Title     string
	Synthetic bool // some model's weights are random numbers
	Failed    bool // the validation did
	Sections  []*Section
	Warnings  []warning // numbered from 1, as the marks of tables do
}

// Section is a numbered part of a report. ID is its anchor.
type Section struct {
	ID, Title string
	Blocks    []Block
}

// Block is one piece of a section: exactly one of its fields is set.
type Block struct {
	Heading   string
	Text      string
	Lead      string // the paragraph that says what matters most
	Notice    string // a paragraph that must not be missed
	Items     []string
	Checklist []string // to be ticked off
	Code      string
	Table     *tableBlock
	Figure    *plots.Plot
	Prices    *prices // controls to try other prices; in a browser only
}

// tableBlock is a table with what belongs beside it.
type tableBlock struct {
	*analyze.Table
	CSV     string    // address of its rows, relative to the report; "" for none
	Marks   [][]int   // of each row, numbers of the warnings that touch it; nil for none at all
	Every   []int     // numbers of the warnings that touch every row
	Notices []string  // what must stand beside its numbers
	Folded  bool      // shown when asked for
	all     []warning // of the document
}

func (s *Section) add(b Block) { s.Blocks = append(s.Blocks, b) }

// heading starts a subsection.
func (s *Section) heading(title string) { s.add(Block{Heading: title}) }

// text adds a paragraph of the sentences that say something.
func (s *Section) text(sentences ...string) {
	if t := strings.Join(nonEmpty(sentences...), " "); t != "" {
		s.add(Block{Text: t})
	}
}

func (s *Section) textf(format string, args ...any) { s.text(fmt.Sprintf(format, args...)) }

// items adds a list of what is not empty.
func (s *Section) items(items ...string) {
	if items = nonEmpty(items...); len(items) > 0 {
		s.add(Block{Items: items})
	}
}
