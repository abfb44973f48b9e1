package runner

import "github.com/phasebench/phasebench/internal/matrix"

// MayRun reports whether neither a rule of the matrix nor a missing device
// keeps a cell from being measured, so that its model file is needed.
func MayRun(c matrix.Cell, host Host) bool {
	g := GroupCheck{Model: c.Model, Backend: c.Backend, Cells: []CellCheck{{Cell: c}}}
	g.checkRules(host)
	return g.Cells[0].runs()
}
