package plots

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/record"
)

// scored is one scenario of the run with a q8_0 cache of the large model, and the
// perplexities of both models with trained weights.
func (r *run) scored() *run {
	r.rows = slices.DeleteFunc(r.rows, func(row record.Record) bool { return row.Scenario != "medium" })
	for _, row := range r.rows {
		if row.Model != "large" {
			continue
		}
		row.KVTypeK, row.KVTypeV, row.CellID = "q8_0", "q8_0", row.CellID+"q8_0"
		row.DecodeMs = ptr(*row.DecodeMs * 0.8)
		row.KVUsedBytes = nil
		r.rows = append(r.rows, row)
	}
	for i := range r.rows {
		r.rows[i].Synthetic = false
	}
	return r.withPerplexities()
}

// withPerplexities is the run with those of both models, and of a q8_0 cache.
func (r *run) withPerplexities() *run {
	for _, q := range []struct {
		model, kv string
		ppl       float64
	}{{"small", "f16", 24}, {"large", "f16", 11}, {"large", "q8_0", 11.2}} {
		for _, kind := range []string{"gpu", "cpu"} {
			r.options.Quality = append(r.options.Quality, record.QualityRecord{
				Model: q.model, Backend: kind, DeviceKind: kind, KVTypeK: q.kv, KVTypeV: q.kv, Status: record.StatusOK,
				Text: "text.txt", NCtx: 512, Chunks: 40, TokenHash: "h", Vocabulary: "v",
				Tally: &quality.Tally{NLL: quality.Moments{N: 10200, Mean: math.Log(q.ppl), M2: 4 * 10200}},
			})
		}
	}
	return r
}

func TestQualityPlot(t *testing.T) {
	shown := func(r *run) string {
		var all strings.Builder
		for _, p := range r.draw(t) {
			if strings.HasPrefix(p.Name, "quality_cost") {
				if p.Skipped != "" {
					t.Error(p.Skipped)
				}
				all.Write(p.SVG)
			}
		}
		return all.String()
	}
	const ringed = "Ringed: no other is both cheaper and better."
	if text := shown(newRun(t).scored()); !strings.Contains(text, ringed) || !strings.Contains(text, "text.txt, 40 chunks of 512 tokens") {
		t.Error("the picture does not say what it shows")
	}
	random := newRun(t).scored()
	random.options.Quality[0].Synthetic = true
	if text := shown(random); text == "" || strings.Contains(text, ringed) {
		t.Error("random weights are ranked")
	}
}
