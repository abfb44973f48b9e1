package matrix

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

func mustParse(t *testing.T, text string) *Spec {
	t.Helper()
	s, err := Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPlan(t *testing.T, s *Spec, n Narrow) *Plan {
	t.Helper()
	p, err := s.Plan(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const grid = `name: m
seed: 42
repetitions: 3
launches: 2
models: [{name: a, synth: gpt2}, {name: b, synth: phi-2}]
backends: [{name: x, device: cuda, graphs: false}, {name: y, device: cpu}]
scenarios: [{name: s, prompt_tokens: 8, gen_tokens: 4}, {name: t, prompt_tokens: 9, gen_tokens: 4}]
kv_types: [f16, {k: f16, v: q8_0}]
skip:
  - {model: b, backend: y, reason: first}
  - {model: b, scenario: t, reason: second}
`

func TestPlanOrderAndIDs(t *testing.T) {
	p := mustPlan(t, mustParse(t, grid), Narrow{})
	// The hashes pin the format of the ID: rows written by earlier versions
	// are found again only as long as they stay.
	want := `a.x.f16.s.17bd896d
a.x.f16.t.df9a6b30
a.x.f16-q8_0.s.1f952104
a.x.f16-q8_0.t.be582f26
a.y.f16.s.db60dd3b
a.y.f16.t.ca637ac2
a.y.f16-q8_0.s.3432e6b6
a.y.f16-q8_0.t.2380ff26
b.x.f16.s.dc2f1d91
b.x.f16.t.2ca190fd skipped: second
b.x.f16-q8_0.s.40e72e8f
b.x.f16-q8_0.t.95d18364 skipped: second
b.y.f16.s.b751cdcc skipped: first
b.y.f16.t.affa86d0 skipped: first
b.y.f16-q8_0.s.9f113fc8 skipped: first
b.y.f16-q8_0.t.cf5bba02 skipped: first
`
	var got strings.Builder
	for _, c := range p.Cells {
		got.WriteString(c.ID)
		if c.Skip != "" {
			got.WriteString(" skipped: " + c.Skip)
		}
		got.WriteString("\n")
		if c.Batch != 1 || c.Seed != 42 {
			t.Errorf("%s: batch %d, seed %d", c.ID, c.Batch, c.Seed)
		}
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if p.Rows() != 16*3*2 {
		t.Errorf("Rows = %d, want 96", p.Rows())
	}
}

// The ID changes with the work and with nothing else.
// Each batch of a scenario is a cell of its own, and that of one sequence is the
// cell there was before there were batches.
func TestBatchesAreCells(t *testing.T) {
	const one = `name: m
repetitions: 2
models: [{name: a, synth: gpt2}]
backends: [{name: y, device: cpu}]
scenarios: [{name: s, prompt_tokens: 8, gen_tokens: 4}]
`
	p := mustPlan(t, mustParse(t, one+"batch: [1, 4, 64]\n"), Narrow{})
	if len(p.Cells) != 3 || p.Rows() != 6 {
		t.Fatalf("%d cells, %d rows, want 3 and 6", len(p.Cells), p.Rows())
	}
	if alone := mustPlan(t, mustParse(t, one), Narrow{}).Cells[0].ID; p.Cells[0].ID != alone {
		t.Errorf("the cell of one sequence is %s, without batches %s", p.Cells[0].ID, alone)
	}
	for i, want := range []string{`^a\.y\.f16\.s\.[0-9a-f]{8}$`, `^a\.y\.f16\.s\.batch4\.[0-9a-f]{8}$`, `^a\.y\.f16\.s\.batch64\.[0-9a-f]{8}$`} {
		c := p.Cells[i]
		if c.Batch != []int{1, 4, 64}[i] || !regexp.MustCompile(want).MatchString(c.ID) {
			t.Errorf("cell %d is %s with batch %d, want %s", i, c.ID, c.Batch, want)
		}
	}
	shared := mustPlan(t, mustParse(t, strings.Replace(one, "device: cpu", "device: cpu, kv_unified: true", 1)), Narrow{})
	if shared.Cells[0].ID == p.Cells[0].ID {
		t.Error("one buffer for all sequences is the same cell as one for each")
	}
}

func TestIDStability(t *testing.T) {
	promise.Of(t, "cells that are named otherwise the next time", "a matrix with other names, paths, repetitions and with defaults written out, and with each part of the work changed",
		"IDs change with the work and with nothing else")
	id := func(old, new string) string {
		t.Helper()
		if strings.Count(grid, old) != 1 {
			t.Fatalf("%q is not in the matrix once", old)
		}
		return mustPlan(t, mustParse(t, strings.Replace(grid, old, new, 1)), Narrow{}).Cells[0].ID
	}
	base := mustPlan(t, mustParse(t, grid), Narrow{}).Cells[0].ID
	if !regexp.MustCompile(`^a\.x\.f16\.s\.[0-9a-f]{8}$`).MatchString(base) {
		t.Errorf("ID = %q", base)
	}
	same := func(old, new string) {
		t.Helper()
		if got := id(old, new); got != base {
			t.Errorf("%s: ID %s, want %s as before", new, got, base)
		}
	}
	same("name: m\n", "name: other\n")
	same("repetitions: 3", "repetitions: 4")
	same("launches: 2", "launches: 1")
	same("name: a, synth", "name: a, path: models/a.gguf, synth")
	same("graphs: false", "graphs: false, warmup: 2, mmap: true, flash_attn: auto, gpu_layers: -1, env: {}")
	differs := func(old, new string) {
		t.Helper()
		if got := id(old, new); got == base {
			t.Errorf("%s: ID is still %s", new, got)
		}
	}
	differs("seed: 42", "seed: 43")
	differs("synth: gpt2", "synth: tiny-llama")
	differs("graphs: false", "graphs: true")
	differs("graphs: false", "graphs: false, threads: 1")
	differs("graphs: false", `graphs: false, env: {A: "1"}`)
	differs("prompt_tokens: 8", "prompt_tokens: 7")
	differs("prompt_tokens: 8,", "prompt_tokens: 8, decode: uncached,")
}

func TestNarrow(t *testing.T) {
	s := mustParse(t, grid)
	all := map[string]bool{}
	for _, c := range mustPlan(t, s, Narrow{}).Cells {
		all[c.ID] = true
	}
	p := mustPlan(t, s, Narrow{Models: []string{"b", "a"}, Backends: []string{"y"}, Scenarios: []string{"t"}, Reps: 5, Launches: 1})
	var names []string
	for _, c := range p.Cells {
		if !all[c.ID] {
			t.Errorf("cell %s is not in the whole plan", c.ID)
		}
		names = append(names, c.Model.Name+c.Backend.Name+c.KV.String()+c.Scenario.Name)
	}
	if got, want := strings.Join(names, " "), "ayf16t ayf16-q8_0t byf16t byf16-q8_0t"; got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	if p.Rows() != 4*5 || len(p.Spec.Models) != 2 || len(p.Spec.Backends) != 1 || p.Spec.Repetitions != 5 {
		t.Errorf("Rows = %d, spec %+v", p.Rows(), p.Spec)
	}
	if s.Repetitions != 3 || len(s.Backends) != 2 {
		t.Error("narrowing changed the spec it was called on")
	}

	_, err := s.Plan(Narrow{Models: []string{"c", ""}, Backends: []string{"xx"}, Reps: -1, Launches: 1001})
	want := `no model of the matrix is called "c"; did you mean "a"? (known: a, b)
no model of the matrix is called "" (known: a, b)
no backend of the matrix is called "xx"; did you mean "x"? (known: x, y)
repetitions must be from 1 to 10000, not -1
launches must be from 1 to 1000, not 1001`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"gpt2", "llama-3.2-1b", "llama-3.2-3b", "phi-2"}
	check := func(name, want string) {
		t.Helper()
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
	check("gpt-2", "gpt2")
	check("llama-3.2-1B", "llama-3.2-1b")
	check("llama-3.2-2b", "llama-3.2-1b") // equally near: the first
	check("phi2", "phi-2")
	check("mistral", "")
	check("x", "")
	check("", "")
}

func TestEdits(t *testing.T) {
	check := func(a, b string, want int) {
		t.Helper()
		if got := edits(a, b); got != want {
			t.Errorf("edits(%q, %q) = %d, want %d", a, b, got, want)
		}
	}
	check("", "", 0)
	check("", "abc", 3)
	check("abc", "", 3)
	check("kitten", "sitting", 3) // two substitutions and an insertion
	check("graph", "grpah", 2)
}

func TestEngineEnv(t *testing.T) {
	yes, no := true, false
	check := func(b Backend, want map[string]string) {
		t.Helper()
		if got := b.EngineEnv(); got == nil || !maps.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", b, got, want)
		}
	}
	check(Backend{Device: "cpu"}, nil)
	check(Backend{Device: "cuda", Graphs: &yes}, nil)
	check(Backend{Device: "cuda", Graphs: &no}, map[string]string{"GGML_CUDA_DISABLE_GRAPHS": "1"})
	check(Backend{Device: "cuda", Graphs: &yes, Env: map[string]string{"GGML_CUDA_GRAPH_OPT": "1"}},
		map[string]string{"GGML_CUDA_GRAPH_OPT": "1"})
	env := map[string]string{"A": "1"}
	Backend{Graphs: &no, Env: env}.EngineEnv()["B"] = "2"
	if len(env) != 1 {
		t.Error("EngineEnv handed out the backend's own map")
	}
}

func TestScenariosWithWindows(t *testing.T) {
	for energy, want := range map[string]string{
		"":                                     "s t",
		"energy: {windows: 0}":                 "",
		"energy: {scenarios: [t]}":             "t",
		"energy: {windows: 0, scenarios: [s]}": "",
		"energy: {windows: 1, scenarios: [t, s]}": "s t",
	} {
		spec := mustParse(t, grid+energy)
		var got []string
		for _, s := range spec.Scenarios {
			if spec.Energy.Covers(s.Name) {
				got = append(got, s.Name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q covers %q, want %q", energy, got, want)
		}
	}
}
