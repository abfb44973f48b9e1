package matrix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomPlan returns a plan of any shape, some cells of which are skipped.
func randomPlan(t *testing.T, r *rand.Rand) (*Plan, map[string]int64) {
	t.Helper()
	s := &Spec{Repetitions: 1 + r.IntN(5), Launches: 1 + r.IntN(3), Energy: Energy{Windows: r.IntN(4), WindowS: 3 * r.Float64()}}
	bytes := map[string]int64{}
	for i := range 1 + r.IntN(8) {
		name := fmt.Sprintf("m%d", i)
		s.Models = append(s.Models, Model{Name: name, Synth: name})
		bytes[name] = int64(1e6 * (1 + r.ExpFloat64()*1000))
	}
	for i := range 1 + r.IntN(4) {
		s.Backends = append(s.Backends, Backend{Name: fmt.Sprintf("b%d", i), Device: []string{"cpu", "cuda"}[r.IntN(2)], Warmup: r.IntN(3)})
	}
	for i := range 1 + r.IntN(4) {
		s.Scenarios = append(s.Scenarios, Scenario{Name: fmt.Sprintf("s%d", i), PromptTokens: 1 + r.IntN(2000), GenTokens: 1 + r.IntN(200), Decode: []string{"cached", "uncached"}[r.IntN(2)]})
	}
	for range 1 + r.IntN(2) {
		s.KVTypes = append(s.KVTypes, KVType{"f16", fmt.Sprintf("v%d", len(s.KVTypes))})
	}
	for range r.IntN(3) {
		s.Skip = append(s.Skip, SkipRule{Backend: s.Backends[r.IntN(len(s.Backends))].Name, Model: s.Models[r.IntN(len(s.Models))].Name, Reason: "no"})
	}
	p, err := s.Plan(Narrow{})
	if err != nil {
		t.Fatal(err)
	}
	return p, bytes
}

// Shards are the plan, each cell once, no pair in two, and none has more to do
// than another by more than the longest pair takes.
func TestDivide(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	divided := 0
	for range 1000 {
		p, bytes := randomPlan(t, r)
		times := p.NominalSeconds(bytes)
		n := 1 + r.IntN(len(p.Pairs()))
		shards, err := p.Divide(n, times)
		if err != nil || len(shards) != n {
			t.Fatalf("%d shards of %d pairs: %d, %v", n, len(p.Pairs()), len(shards), err)
		}
		if n > 1 {
			divided++
		}
		again, _ := p.Divide(n, p.NominalSeconds(bytes))
		where := map[Pair]int{}
		cells := map[string]int{}
		var loads []float64
		longest := 0.0
		for i, pairs := range shards {
			if !slices.Equal(pairs, again[i]) {
				t.Fatalf("shard %d is %v, then %v", i, pairs, again[i])
			}
			if len(pairs) == 0 {
				t.Errorf("shard %d of %d is empty", i, n)
			}
			load := 0.0
			for _, pair := range pairs {
				if at, seen := where[pair]; seen {
					t.Fatalf("%v is in shards %d and %d", pair, at, i)
				}
				where[pair] = i
				load += times[pair]
				longest = max(longest, times[pair])
			}
			loads = append(loads, load)
			part := p.Only(pairs)
			if !slices.IsSortedFunc(part.Cells, func(a, b Cell) int { return index(p, a) - index(p, b) }) {
				t.Errorf("shard %d is not in the order of the plan", i)
			}
			for _, c := range part.Cells {
				cells[c.ID]++
				if where[c.Pair()] != i {
					t.Errorf("shard %d has a cell of %v, which is of shard %d", i, c.Pair(), where[c.Pair()])
				}
			}
		}
		for _, c := range p.Cells {
			if cells[c.ID] != 1 {
				t.Fatalf("cell %s is in %d shards", c.ID, cells[c.ID])
			}
		}
		if len(cells) != len(p.Cells) {
			t.Fatalf("%d cells in shards, %d in the plan", len(cells), len(p.Cells))
		}
		if most, least := slices.Max(loads), slices.Min(loads); most-least > longest*(1+1e-9) {
			t.Fatalf("%d shards take from %g to %g s, the longest pair %g s", n, least, most, longest)
		}
	}
	if divided < 500 {
		t.Errorf("only %d plans were divided", divided)
	}
}

func index(p *Plan, c Cell) int {
	return slices.IndexFunc(p.Cells, func(x Cell) bool { return x.ID == c.ID })
}

func TestDivideRefuses(t *testing.T) {
	p, err := (&Spec{Repetitions: 1, Launches: 1, Models: []Model{{Name: "m"}}, Backends: []Backend{{Name: "b", Device: "cpu"}},
		Scenarios: []Scenario{{Name: "s"}}, KVTypes: []KVType{{"f16", "f16"}}}).Plan(Narrow{})
	if err != nil {
		t.Fatal(err)
	}
	if shards, err := p.Divide(2, nil); err == nil {
		t.Errorf("one pair in two shards: %v", shards)
	}
	// Where nothing takes time, as when every pair is skipped, each gets one.
	if shards, err := p.Divide(1, nil); err != nil || len(shards[0]) != 1 {
		t.Errorf("%v, %v", shards, err)
	}
}

func TestNominalSeconds(t *testing.T) {
	cell := func(device, decode string) Cell {
		return Cell{Backend: Backend{Device: device}, Scenario: Scenario{PromptTokens: 100, GenTokens: 10, Decode: decode}}
	}
	// 1e9 bytes on the CPU: 2 ms a prompt token, 20 ms a step.
	if got := cell("cpu", "cached").nominalSeconds(1e9); !near(got, 0.2+0.2) {
		t.Errorf("cached: %g s", got)
	}
	// 11 tokens, each after 105 others on average.
	if got := cell("cpu", "uncached").nominalSeconds(1e9); !near(got, 11*105*0.002) {
		t.Errorf("uncached: %g s", got)
	}
	if cpu, gpu := cell("cpu", "cached").nominalSeconds(1e9), cell("cuda", "cached").nominalSeconds(1e9); gpu >= cpu {
		t.Errorf("%g s on the GPU, %g s on the CPU", gpu, cpu)
	}
	p := &Plan{Spec: &Spec{Repetitions: 2, Launches: 3}, Cells: []Cell{cell("cpu", "cached"), cell("cpu", "cached")}}
	p.Cells[0].Backend.Warmup, p.Cells[1].Backend.Warmup = 1, 1
	p.Cells[1].Skip = "no"
	// Nine rows, and three loads of a second beside the start.
	if got := p.NominalSeconds(map[string]int64{"": 1e9})[Pair{}]; !near(got, 9*0.4+3*2) {
		t.Errorf("pair: %g s", got)
	}
}

func near(got, want float64) bool { return got > want*(1-1e-9) && got < want*(1+1e-9) }

func TestParseShard(t *testing.T) {
	if s, err := ParseShard("2/4"); err != nil || s.Index != 2 || s.Of != 4 || s.String() != "2/4" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "2", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2", "1/99999"} {
		if s, err := ParseShard(text); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
}
