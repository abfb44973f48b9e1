package analyze

import (
	"fmt"
	"slices"
	"strings"
)

// Table is rows of typed cells under named columns, for any renderer.
type Table struct {
	Name    string // path in the run directory, with slashes, without extension
	Section string // of TR123 that has this table; "" for none
	Title   string // for people
	Columns []Column
	Rows    [][]any // cells: string, bool, int, int64, float64, or nil when absent
	Notes   []string
	Missing string // why there are no rows; "" when there are
}

// Column describes the cells under it.
type Column struct {
	Name   string // for machines: lower case, unit included
	Title  string // for people, without unit; "" for Name
	Unit   string // for people; "" for none
	Digits int    // significant digits of floats for people; 0 for 4
	Blank  bool   // often has nothing to say, so that being empty is no gap
	Hidden bool   // for machines only
}

// Add appends a row. It panics when the row does not fit the columns, which is
// a mistake in the table's definition. Nil pointers become absent cells.
func (t *Table) Add(cells ...any) {
	if len(cells) != len(t.Columns) {
		panic(fmt.Sprintf("analyze: table %s: %d cells for %d columns", t.Name, len(cells), len(t.Columns)))
	}
	row := make([]any, len(cells))
	for i, c := range cells {
		row[i] = cell(c)
	}
	t.Rows = append(t.Rows, row)
}

func cell(c any) any {
	switch v := c.(type) {
	case nil, string, bool, int, int64, float64:
		return v
	case *float64:
		return deref(v)
	case *int64:
		return deref(v)
	case *bool:
		return deref(v)
	}
	panic(fmt.Sprintf("analyze: a cell cannot hold %T", c))
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// ForPeople returns the table without hidden columns and those that have no
// value in any row. A table without rows is returned as it is.
func (t *Table) ForPeople() *Table {
	if len(t.Rows) == 0 {
		return t
	}
	return t.without(func(i int, c Column) bool { return c.Hidden || t.empty(i) })
}

// without returns the table without the columns that drop says.
func (t *Table) without(drop func(i int, c Column) bool) *Table {
	out := *t
	out.Columns, out.Rows = nil, make([][]any, len(t.Rows))
	for i, c := range t.Columns {
		if drop(i, c) {
			continue
		}
		out.Columns = append(out.Columns, c)
		for r, row := range t.Rows {
			out.Rows[r] = append(out.Rows[r], row[i])
		}
	}
	return &out
}

// constant reports whether a column has the same value in all rows.
func (t *Table) constant(column int) bool {
	return !slices.ContainsFunc(t.Rows, func(row []any) bool { return row[column] != t.Rows[0][column] })
}

// markSynthetic adds a column that says whether a row stands for a model whose
// weights are random numbers, or where it names none, whether any model's are.
func (t *Table) markSynthetic(models []string) {
	at := func(name string) int {
		return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	}
	if at(syntheticColumn) >= 0 {
		return
	}
	model := at("model")
	t.Columns = append(slices.Clip(t.Columns), Column{Name: syntheticColumn, Hidden: true})
	for i, row := range t.Rows {
		is := len(models) > 0
		if model >= 0 {
			is = slices.ContainsFunc(models, func(m string) bool { return m == row[model] })
		}
		t.Rows[i] = append(row, is)
	}
}

const syntheticColumn = "synthetic"

// empty reports whether a column has no value in any row.
func (t *Table) empty(column int) bool {
	for _, row := range t.Rows {
		if row[column] != nil && row[column] != "" {
			return false
		}
	}
	return true
}

// gaps says what a column without any value lacks, by words of its name; the
// first that fits counts.
var gaps = []struct{ words, lacks string }{
	{"cuda gap", "times from CUDA events"},
	{"mbu mfu copy matmul gb", "the ceilings of the device, measured before the rows, and the weights of a dense model by their tensors"},
	{"read gflop", "the weights of a dense model by their tensors"},
	{"net idle", "idle power"},
	{"refs least most drift", "energy windows with rows timed around them, and more than one repetition"},
	{"windows consistency counter integral", "energy windows"},
	{"power", "energy of the phase: energy windows, or phases that last for two periods of the power sensor"},
	{"w j joules energy kwh gco2e infra total", "energy of both phases (and a price of electricity or a carbon intensity where they enter)"},
	{"gpu clock temp", "telemetry of a GPU"},
	{"longest limit", "the device's memory, which environment.json names"},
	{"usd tier months", "a price of that kind"},
	{"ci ci95 sd lo hi cv pct t df p holm d extra median", "more repetitions"},
}

// Lacking returns what it takes to fill the columns without any value, and
// those columns, in a table that has rows.
func (t *Table) Lacking() map[string][]string {
	out := map[string][]string{}
	for i, c := range t.Columns {
		if len(t.Rows) == 0 || c.Blank || !t.empty(i) {
			continue
		}
		lacks := "rows that carry it"
		for _, g := range gaps {
			if slices.ContainsFunc(words(c.Name), func(w string) bool { return slices.Contains(strings.Fields(g.words), w) }) {
				lacks = g.lacks
				break
			}
		}
		out[lacks] = append(out[lacks], c.Name)
	}
	return out
}

// words are the parts of a column's name.
func words(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '.' })
}
