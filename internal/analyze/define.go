package analyze

import (
	"cmp"
	"fmt"
)

// definition is one table: what it is called, what it takes and how its rows
// are made.
type definition struct {
	name    string // see Table.Name
	section string // see Table.Section
	title   string
	needs   string // what it takes to have rows, told when there are none and fill does not know better
	columns []Column
	fill    func(a *Analysis, t *Table) error
	notes   []string
}

// studies is the folder of the tables that are not at the places TR123 gives
// them.
const studies = "tables/"

// definitions lists all tables, by section of TR123, ours at the end.
func definitions() []definition {
	var all []definition
	for _, list := range [][]definition{
		modelTables(), latencyTables(), costTables(), blendTables(), energyTables(), capacityTables(), batchTables(), cacheTypeTables(), testTables(), kvTables(), qualityTables(), backendTables(), hardwareTables(), uncachedTables(),
		validationTables(), claimTables(), decisionTables(),
	} {
		all = append(all, list...)
	}
	return all
}

// Tables returns every table of the analysis, each with a column "synthetic".
// One that cannot be filled has no rows and says why.
func (a *Analysis) Tables() ([]*Table, error) {
	var out []*Table
	for _, d := range definitions() {
		t := &Table{Name: d.name, Section: d.section, Title: d.title, Columns: d.columns, Notes: d.notes}
		if err := d.fill(a, t); err != nil {
			return nil, fmt.Errorf("table %s: %w", d.name, err)
		}
		t.markSynthetic(a.Synthetic)
		if len(t.Rows) == 0 {
			t.Missing = "needs " + cmp.Or(t.Missing, d.needs)
		}
		out = append(out, t)
	}
	return out, nil
}
