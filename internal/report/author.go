package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/plots"
	"github.com/phasebench/phasebench/internal/rundir"
)

// Origin is what a report says about where its rows come from, besides what
// they say themselves.
type Origin struct {
	Runs  []environ.Environment // of the run, or of each that was merged; those that have one
	Files []HashedFile          // that were read
	Power []plots.PowerSample   // taken while the run went on, or while the one with PowerRunID did

	// Beside are other systems at the same work; nil for none.
	Beside *analyze.Table

	PowerRunID string        // empty when it is the only one
	RunID      string        // of a merged run; empty for the rows' own
	Parts      []rundir.Part // that were merged
}

// HashedFile is a file of a run directory.
type HashedFile struct {
	Name   string
	SHA256 string // hex
	Bytes  int64
}

// author writes a document about an analysis.
type author struct {
	a       *analyze.Analysis
	from    Origin
	tables  []*analyze.Table
	figures []plots.Plot
	shown   map[string]bool // tables that are in the text, by name
	doc     *Document
}

// NewDocument writes the report of an analysis whose tables and plots are given.
func NewDocument(a *analyze.Analysis, tables []*analyze.Table, figures []plots.Plot, from Origin) *Document {
	w := &author{a: a, from: from, tables: tables, figures: figures, shown: map[string]bool{}}
	w.doc = &Document{
		Title:     "What a million tokens cost: run " + cmp.Or(from.RunID, strings.Join(a.RunIDs, ", "), "without rows"),
		Synthetic: len(a.Synthetic) > 0,
		Failed:    a.Failed(),
		Warnings:  numbered(a.Warnings),
	}
	w.section("summary", "Summary", w.summary)
	w.section("definitions", "How the numbers are defined", definitions)
	w.section("questions", "1. Research questions", w.questions)
	w.section("method", "2. What was measured", w.method)
	w.section("environment", "3. Environment", w.environment)
	if len(a.Groups) > 0 {
		w.section("models", "4. Models and architectures", w.models)
		w.section("results", "5. Results", w.results)
		w.section("cost", "6. Cost and energy", w.cost)
		w.section("statistics", "7. Statistics", w.statistics)
		w.section("kv", "8. KV cache memory", w.kv)
		w.section("graphs", "9. CUDA graphs", w.graphs)
		w.section("tiers", "10. Price tiers", w.tiers)
		w.section("capacity", "11. Capacity and break-even", w.capacity)
	}
	w.section("crosscutting", "12. Across the sections", w.crossCutting)
	if len(a.Groups) > 0 {
		w.section("guidance", "13. Guidance", w.guidance)
		w.section("decisions", "14. Decisions, limits and failure modes", w.decisions)
	}
	w.section("reproduce", "15. Reproducibility", w.reproduce)
	w.section("warnings", "Warnings", w.warnings)
	w.section("missing", "What could not be computed", w.notComputed)
	w.section("tables", "More tables", w.moreTables)
	w.section("glossary", "Glossary", glossary)
	return w.doc
}

// section writes a section; one that says nothing is left out.
func (w *author) section(id, title string, write func(*Section)) {
	s := &Section{ID: id, Title: title}
	write(s)
	if len(s.Blocks) > 0 {
		w.doc.Sections = append(w.doc.Sections, s)
	}
}

// view returns the table of that name, which is one of those analyze defines;
// ok is false when it has no rows.
func (w *author) view(name string) (v view, ok bool) {
	i := slices.IndexFunc(w.tables, func(t *analyze.Table) bool { return t.Name == name })
	if i < 0 {
		panic("report: no table " + name)
	}
	return view{w.tables[i]}, w.tables[i].Missing == ""
}

// rows returns the rows of a table; none when it has none.
func (w *author) rows(name string) []entry {
	v, _ := w.view(name)
	return v.entries()
}

// needs says what it takes to have the rows of a table.
func (w *author) needs(name string) string {
	v, _ := w.view(name)
	return v.Missing
}

// table shows a table and reports whether it has rows; if not, the section says
// what is missing in its place.
func (w *author) table(s *Section, name string, notices ...string) bool {
	v, ok := w.view(name)
	if !ok {
		w.lack(s, name)
		return false
	}
	w.shown[name] = true
	w.show(s, &tableBlock{Table: firstRows(sayOnce(ownPrices(v.Table))), CSV: name + ".csv", Notices: nonEmpty(notices...)})
	return true
}

// lack says that a table has no rows, and why.
func (w *author) lack(s *Section, name string) {
	v, _ := w.view(name)
	s.textf("Not in this run: %s. It %s.", v.Title, v.Missing)
}

// show adds a table with the warnings that touch its rows.
func (w *author) show(s *Section, b *tableBlock) {
	b.mark(w.doc.Warnings)
	s.add(Block{Table: b})
}

// figure shows the plots of a name, which may be in parts.
func (w *author) figure(s *Section, name string) {
	for i := range w.figures {
		f := &w.figures[i]
		if part, ok := strings.CutPrefix(f.Name, name); ok && (part == "" || part[0] == '_') && f.Skipped == "" {
			s.add(Block{Figure: f})
		}
	}
}

// ownPrices returns the table without the rows at a scenario's rate when there
// are others: in the text they would hide what the measured machines cost.
func ownPrices(t *analyze.Table) *analyze.Table {
	v := view{t}
	if !v.has("price") {
		return t
	}
	own := v.where(func(e entry) bool { return strings.HasPrefix(e.text("price"), "own ") })
	if len(own) == 0 || len(own) == len(t.Rows) {
		return t
	}
	out := *t
	out.Rows = nil
	for _, e := range own {
		out.Rows = append(out.Rows, t.Rows[e.row])
	}
	out.Notes = append([]string{fmt.Sprintf("At own rates; the %d rows at the scenario's are in `%s.csv`.", len(t.Rows)-len(own), t.Name)}, t.Notes...)
	return &out
}

// constants are columns that have one value in most tables.
var constants = []string{"price", "total_is", "synthetic"}

// sayOnce returns the table without the constants that have the same value in
// all of several rows, and says that value below.
func sayOnce(t *analyze.Table) *analyze.Table {
	if len(t.Rows) < 2 {
		return t
	}
	out := *t
	var said []string
	for i, c := range t.Columns {
		first := t.Rows[0][i]
		if c.Hidden || first == nil || !slices.Contains(constants, c.Name) ||
			slices.ContainsFunc(t.Rows, func(row []any) bool { return row[i] != first }) {
			continue
		}
		said = append(said, title(c)+" "+human(first, c.Digits))
		out.Columns = slices.Clone(out.Columns)
		out.Columns[i].Hidden = true
	}
	if said != nil {
		out.Notes = append([]string{"The same in every row: " + strings.Join(said, "; ") + "."}, t.Notes...)
	}
	return &out
}

// mostRows is how many rows of a table a report shows; the CSV has all.
const mostRows = 60

func firstRows(t *analyze.Table) *analyze.Table {
	n := len(t.Rows)
	if n <= mostRows {
		return t
	}
	out := *t
	out.Rows = t.Rows[:mostRows]
	out.Notes = append([]string{fmt.Sprintf("The first %d of %d rows; the CSV has all.", mostRows, n)}, t.Notes...)
	return &out
}

// syntheticNotice is what stands beside figures that random weights may change;
// "" when none are.
func (w *author) syntheticNotice() string {
	if len(w.a.Synthetic) == 0 {
		return ""
	}
	return fmt.Sprintf("**Synthetic weights** (%s): joules of random weights, which can draw other power than trained ones.", strings.Join(w.a.Synthetic, ", "))
}
