package matrix

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shard is one of several parts that a plan is divided into, to be measured by
// as many runs.
type Shard struct {
	Index int    `json:"index"` // 1 to Of
	Of    int    `json:"of"`
	Pairs []Pair `json:"pairs"` // that it has; nil until a plan was divided
}

// Pair is a model on a backend. What is measured of it is measured by one run.
type Pair struct {
	Model   string `json:"model"`
	Backend string `json:"backend"`
}

func (p Pair) String() string { return p.Model + " on " + p.Backend }

// Pair returns the pair that the cell belongs to.
func (c Cell) Pair() Pair { return Pair{c.Model.Name, c.Backend.Name} }

// maxShards is far more than the pairs of any matrix.
const maxShards = 10000

// ParseShard reads "i/n".
func ParseShard(text string) (Shard, error) {
	index, of, _ := strings.Cut(text, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if err := errors.Join(err, err2); err != nil || n < 1 || n > maxShards || i < 1 || i > n {
		return Shard{}, fmt.Errorf("%q: need i/n with i from 1 to n and n at most %d, e.g. 2/4", text, maxShards)
	}
	return Shard{Index: i, Of: n}, nil
}

// String returns "i/n".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Of) }

// Pairs returns the pairs of the plan, in its order.
func (p *Plan) Pairs() []Pair {
	var out []Pair
	seen := map[Pair]bool{}
	for _, c := range p.Cells {
		if !seen[c.Pair()] {
			seen[c.Pair()] = true
			out = append(out, c.Pair())
		}
	}
	return out
}

// Divide returns the pairs of each of n shards, in the order of the plan. It
// gives the pairs one by one, the longest first, to the shard that has least to
// do so far: the shards then differ by no more than the longest pair takes. The
// times are estimates in any unit, none below 0. It depends on plan, times and n
// alone, so that runs on different machines divide a plan alike. Each shard must
// get a pair, so n may be at most their number.
func (p *Plan) Divide(n int, times map[Pair]float64) ([][]Pair, error) {
	pairs := p.Pairs()
	if n > len(pairs) {
		return nil, fmt.Errorf("%d shards of a plan with %d pairs of model and backend, which stay whole: use at most %d", n, len(pairs), len(pairs))
	}
	longest := slices.Clone(pairs)
	slices.SortStableFunc(longest, func(a, b Pair) int {
		switch {
		case times[a] > times[b]:
			return -1
		case times[a] < times[b]:
			return 1
		}
		return 0
	})
	of := map[Pair]int{}
	load, count := make([]float64, n), make([]int, n)
	for _, pair := range longest {
		least := 0
		for i := range load {
			// Pairs that take no time are spread by their number.
			if load[i] < load[least] || load[i] == load[least] && count[i] < count[least] {
				least = i
			}
		}
		of[pair] = least
		load[least] += times[pair]
		count[least]++
	}
	out := make([][]Pair, n)
	for _, pair := range pairs {
		out[of[pair]] = append(out[of[pair]], pair)
	}
	return out, nil
}

// Only returns the part of the plan that has the given pairs.
func (p *Plan) Only(pairs []Pair) *Plan {
	out := &Plan{Spec: p.Spec}
	for _, c := range p.Cells {
		if slices.Contains(pairs, c.Pair()) {
			out.Cells = append(out.Cells, c)
		}
	}
	return out
}
