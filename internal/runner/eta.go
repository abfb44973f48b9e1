package runner

import (
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
)

// eta predicts how long what is left will take: the rows from those measured so
// far, each by the mean of its own cell, else of its model and backend, else of
// all. Loading is not in it.
type eta struct {
	ahead map[string]*ahead // by cell
	seen  map[string]mean   // by cell ID, by model and backend, and by "" for all
	fixed time.Duration     // of what is left and takes a time that is known
}

type ahead struct {
	rows  int
	group string
}

type mean struct {
	sum time.Duration
	n   int
}

func newETA() eta { return eta{ahead: map[string]*ahead{}, seen: map[string]mean{}} }

func groupName(c *matrix.Cell) string { return c.Model.Name + "/" + c.Backend.Name }

// plan adds rows of a cell to those that are left.
func (e *eta) plan(c *matrix.Cell, rows int) {
	a := e.ahead[c.ID]
	if a == nil {
		a = &ahead{group: groupName(c)}
		e.ahead[c.ID] = a
	}
	a.rows += rows
}

// drop takes a row of a cell off those that are left.
func (e *eta) drop(cell string) {
	if a := e.ahead[cell]; a != nil {
		a.rows = max(a.rows-1, 0)
	}
}

// took notes that a row of a cell was measured.
func (e *eta) took(c *matrix.Cell, d time.Duration) {
	e.drop(c.ID)
	for _, k := range []string{c.ID, groupName(c), ""} {
		m := e.seen[k]
		e.seen[k] = mean{m.sum + d, m.n + 1}
	}
}

// left returns the time that is left, 0 if there are rows among it and none was
// measured yet.
func (e *eta) left() time.Duration {
	sum := e.fixed
	for cell, a := range e.ahead {
		if a.rows > 0 && e.seen[""].n == 0 {
			return 0
		}
		for _, k := range []string{cell, a.group, ""} {
			if m := e.seen[k]; m.n > 0 {
				sum += m.sum / time.Duration(m.n) * time.Duration(a.rows)
				break
			}
		}
	}
	return sum
}
