package analyze

import "fmt"

// Table is rows of typed cells under named columns, for any renderer.
type Table struct {
	Name    string // file name without extension
	Title   string // for people
	Columns []Column
	Rows    [][]any // cells: string, bool, int, int64, float64, or nil when absent
	Notes   []string
}

// Column describes the cells under it.
type Column struct {
	Name   string // for machines: lower case, unit included
	Title  string // for people, without unit
	Unit   string // for people; "" for none
	Digits int    // significant digits of floats for people; 0 for 4
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

// DropEmpty returns the table without the columns that have no value in any
// row. A table without rows is returned as it is.
func (t *Table) DropEmpty() *Table {
	if len(t.Rows) == 0 {
		return t
	}
	out := &Table{Name: t.Name, Title: t.Title, Notes: t.Notes, Rows: make([][]any, len(t.Rows))}
	for i, c := range t.Columns {
		empty := true
		for _, row := range t.Rows {
			if row[i] != nil && row[i] != "" {
				empty = false
				break
			}
		}
		if empty {
			continue
		}
		out.Columns = append(out.Columns, c)
		for r, row := range t.Rows {
			out.Rows[r] = append(out.Rows[r], row[i])
		}
	}
	return out
}
