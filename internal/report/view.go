package report

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/analyze"
)

// view reads the cells of a table by the names of its columns, so that the prose
// says what the tables do.
type view struct{ *analyze.Table }

// entry is one row of a view.
type entry struct {
	view
	row int
}

// entries returns the rows.
func (v view) entries() []entry {
	out := make([]entry, len(v.Rows))
	for i := range out {
		out[i] = entry{v, i}
	}
	return out
}

// column returns the index of a column. It panics when the table has none of
// that name, which is a mistake in this package.
func (v view) column(name string) int {
	i := slices.IndexFunc(v.Columns, func(c analyze.Column) bool { return c.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("report: table %s has no column %s", v.Name, name))
	}
	return i
}

func (v view) has(name string) bool {
	return slices.ContainsFunc(v.Columns, func(c analyze.Column) bool { return c.Name == name })
}

func (e entry) cell(column string) any { return e.Rows[e.row][e.column(column)] }

// text returns a cell of words; "" when it is absent.
func (e entry) text(column string) string {
	s, _ := e.cell(column).(string)
	return s
}

// is reports whether a cell is true.
func (e entry) is(column string) bool { return e.cell(column) == true }

// number returns a cell as a number; ok is false when it is absent.
func (e entry) number(column string) (v float64, ok bool) {
	switch x := e.cell(column).(type) {
	case float64:
		return x, true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	}
	return 0, false
}

// shown returns a number as the table shows it, "–" when it is absent.
func (e entry) shown(column string) string {
	i := e.column(column)
	return human(e.Rows[e.row][i], e.Columns[i].Digits)
}

// config names the configuration of a row as analyze.ConfigKey does.
func (e entry) config() string {
	s := e.text("model")
	if e.has("backend") {
		s += " on " + e.text("backend")
	}
	if e.has("variant") && e.text("variant") != "" {
		s += " (" + e.text("variant") + ")"
	}
	return s
}

// where returns the rows that a condition holds for.
func (v view) where(holds func(entry) bool) []entry {
	return slices.DeleteFunc(v.entries(), func(e entry) bool { return !holds(e) })
}

// extremes returns the rows with the least and the most of a number; ok is
// false when no row has it.
func extremes(rows []entry, column string) (least, most entry, ok bool) {
	for _, e := range rows {
		v, known := e.number(column)
		if !known {
			continue
		}
		if !ok {
			least, most, ok = e, e, true
		}
		if x, _ := least.number(column); v < x {
			least = e
		}
		if x, _ := most.number(column); v > x {
			most = e
		}
	}
	return least, most, ok
}

// between says how far a number ranges over rows: "a to b unit", or one value
// where that is all there is; "" when no row has it.
func between(rows []entry, column, unit string) string {
	least, most, ok := extremes(rows, column)
	if !ok {
		return ""
	}
	lo, hi := least.shown(column), most.shown(column)
	if lo != hi {
		lo += " to " + hi
	}
	return lo + unit
}
