package runner

import "github.com/phasebench/phasebench/internal/matrix"

// MayRun reports whether neither a rule of the matrix nor a missing device
// keeps a cell from being measured, so that its model file is needed.
func MayRun(c matrix.Cell, host Host) bool {
	g := GroupCheck{Model: c.Model, Backend: c.Backend, Cells: []CellCheck{{Cell: c}}}
	g.checkRules(host)
	return g.Cells[0].runs()
}

// Memory returns the bytes that the group's worker will hold where the weights
// are, on the GPU or in main memory, and how many are free there now.
func (g *GroupCheck) Memory(host Host) (needBytes, freeBytes int64) {
	freeBytes = host.MemAvailableBytes
	for i, c := range g.Contexts {
		need := c.Need.Host
		if g.Backend.Device == "cuda" {
			need, freeBytes = c.Need.Device, c.Need.FreeDev
		}
		needBytes += need.Sum()
		if i > 0 { // one copy of the weights serves all contexts
			needBytes -= need.Weights
		}
	}
	return needBytes, freeBytes
}
