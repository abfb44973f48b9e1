package plots

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// batched is the run with one scenario on a GPU at further batch sizes, where a
// step takes little longer for more sequences and a token less energy.
func (r *run) batched() *run {
	of := func(scenario, backend string) bool { return scenario == "medium" && backend != "cpu" }
	for _, batch := range []int{2, 8, 32} {
		b := float64(batch)
		for _, row := range slices.Clone(r.rows) {
			if !of(row.Scenario, row.Backend) || row.Batch != 1 {
				continue
			}
			row.Batch, row.CellID = batch, fmt.Sprintf("%s.batch%d", row.CellID, batch)
			row.StepMs = slices.Clone(row.StepMs)
			decode := 0.0
			for i := range row.StepMs {
				row.StepMs[i] *= 1 + 0.03*b
				decode += row.StepMs[i]
			}
			prefill := *row.PrefillMs * b
			row.PrefillMs, row.DecodeMs, row.TotalMs = &prefill, &decode, ptr(prefill+decode)
			row.KVUsedBytes = ptr(*row.KVUsedBytes * int64(batch))
			r.rows = append(r.rows, row)
		}
		for _, w := range slices.Clone(r.options.Windows) {
			if !of(w.Scenario, w.Backend) || w.Batch > 1 || w.JPerToken == nil {
				continue
			}
			w.Batch, w.CellID = batch, fmt.Sprintf("%s.batch%d", w.CellID, batch)
			if w.Phase == "decode" {
				w.JPerToken = ptr(*w.JPerToken * (1 + 0.05*b) / b)
				w.TokPerS *= b / (1 + 0.03*b)
			}
			r.options.Windows = append(r.options.Windows, w)
		}
	}
	return r
}

func batchPlots(t *testing.T, r *run) []Plot {
	t.Helper()
	return slices.DeleteFunc(r.draw(t), func(p Plot) bool { return !strings.HasPrefix(p.Name, "batches") })
}

// A run without prices has no costs to draw, and says so; what was measured is
// drawn all the same.
func TestBatchesWithoutPrices(t *testing.T) {
	r := newRun(t).batched()
	r.options.Pricing = nil
	for _, p := range batchPlots(t, r) {
		text := string(p.SVG)
		if p.Skipped != "" || !strings.Contains(text, "No price is known") || strings.Contains(text, "cost against batch") || !strings.Contains(text, "throughput") {
			t.Errorf("%s: %q", p.Name, p.Skipped)
		}
	}
}

// One batch size is nothing to compare, and each scenario has a picture.
func TestBatchesPerScenario(t *testing.T) {
	if got := batchPlots(t, newRun(t)); len(got) != 1 || got[0].Skipped == "" {
		t.Errorf("a run of one batch size is drawn: %+v", got)
	}
	r := newRun(t).batched()
	for _, row := range slices.Clone(r.rows) {
		if row.Scenario == "medium" && row.DecodeMode == "cached" && row.Status == record.StatusOK && row.Backend == "gpu" {
			row.Scenario = "other"
			r.rows = append(r.rows, row)
		}
	}
	var names []string
	for _, p := range batchPlots(t, r) {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"batches_medium", "batches_other"}) {
		t.Errorf("pictures %v, want one for each scenario", names)
	}
}
