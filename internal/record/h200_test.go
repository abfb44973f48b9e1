package record

import (
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// What a run wrote down on an H200 whose memory another process held.
func TestFaultGPUOutOfMemory(t *testing.T) {
	promise.Of(t, "the GPU runs out of memory", "rows of a run on an H200 while another process took its memory: reports/h200-energy-2026-11-24/out_of_memory.jsonl",
		"rows before are kept; an error row for each other one says how much was asked for, whether for weights or for a context; the next model is tried")
	rows, warnings := mustRead(t, "../../reports/h200-energy-2026-11-24/out_of_memory.jsonl")
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	ended := map[string]map[Status]int{} // by model
	for _, r := range rows {
		if ended[r.Model] == nil {
			ended[r.Model] = map[Status]int{}
		}
		ended[r.Model][r.Status]++
		if r.Status == StatusError && (!strings.Contains(r.Error.Message, "allocating ") || !strings.Contains(r.Error.Message, "out of memory")) {
			t.Errorf("%s: %+v", r.CellID, r.Error)
		}
	}
	for model, want := range map[string]map[Status]int{"gpt2": {StatusOK: 7}, "phi-2": {StatusError: 7}, "llama-3.2-3b": {StatusError: 2}} {
		for status, n := range want {
			if ended[model][status] != n || len(ended[model]) != 1 {
				t.Errorf("%s: %v, want %v", model, ended[model], want)
			}
		}
	}
}
