package models

import (
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/llama"
)

// A matrix takes the types that stand-ins can be made with, and each of them has
// a file of its own.
func TestTypesOfStandIns(t *testing.T) {
	if !slices.Equal(matrix.WeightTypes, llama.SynthTypes()) {
		t.Errorf("a matrix takes %q, stand-ins are made of %q", matrix.WeightTypes, llama.SynthTypes())
	}
	spec := &matrix.Spec{
		Repetitions: 1, Launches: 1, KVTypes: []matrix.KVType{{K: "f16", V: "f16"}},
		Backends: []matrix.Backend{{Name: "cpu", Device: "cpu"}}, Scenarios: []matrix.Scenario{{Name: "a", PromptTokens: 1, GenTokens: 1}},
	}
	for _, weights := range append([]string{""}, matrix.WeightTypes...) {
		spec.Models = append(spec.Models, matrix.Model{Name: "m" + weights, Synth: "tiny-gpt2", Type: weights})
	}
	plan, err := spec.Plan(matrix.Narrow{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(plan, func(matrix.Cell) bool { return true }, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.StandIns) != len(matrix.WeightTypes) { // none and f16 are the same
		t.Errorf("%d files for %d types", len(found.StandIns), len(matrix.WeightTypes))
	}
	if f16, q8 := found.StandIns[0].RoomBytes(), found.StandIns[2].RoomBytes(); q8 != 2*f16 || f16 != found.StandIns[2].Bytes() {
		t.Errorf("quantizing takes room for %d bytes, F16 for %d", q8, f16)
	}
}
