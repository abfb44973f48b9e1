package matrix

import (
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// maxBatch is how many sequences the engine evaluates together at most.
const maxBatch = 256

// batches reads the list of batch sizes at a key, which may be absent.
func (t *table) batches(key string) []int {
	seen := map[int]bool{}
	return list(t, key, func(n ast.Node) int {
		s := n.GetToken().Value
		size, err := strconv.Atoi(s)
		if _, whole := n.(*ast.IntegerNode); !whole || !decimal.MatchString(s) || err != nil || size < 1 || size > maxBatch {
			t.r.errorf(start(n), "a batch must be a whole number from 1 to %d, not %s", maxBatch, describe(n))
			return 1
		}
		if seen[size] {
			t.r.errorf(start(n), "batch %d is named twice", size)
		}
		seen[size] = true
		return size
	})
}

// scenarios reads the list of scenarios; those that name no batch sizes have the
// matrix's.
func (r *reader) scenarios(t *table) []Scenario {
	all := t.batches("batch")
	if all == nil {
		all = []int{1}
	}
	return list(t, "scenarios", func(n ast.Node) Scenario { return r.scenario(n, all) })
}

// batches returns the batch sizes of a scenario; 1 when it names none, as one that
// was not read from a file may.
func (s Scenario) batches() []int {
	if len(s.Batch) == 0 {
		return []int{1}
	}
	return s.Batch
}
