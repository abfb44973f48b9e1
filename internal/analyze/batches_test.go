package analyze

import (
	"math"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// batchRow is a row of so many sequences, with 16 steps of the same length.
func batchRow(batch, rep int, prefillMs, stepMs float64) record.Record {
	r := okRow("m", "gpu", 0, rep, prefillMs, 16*stepMs)
	r.Batch, r.GenTokens = batch, 16
	r.StepMs = nil
	for range r.GenTokens {
		r.StepMs = append(r.StepMs, stepMs)
	}
	return r
}

// The price of decode falls with the batch to 4 and hardly beyond: the knee is the
// smallest batch near the best, and a limit on TPOT chooses among the quick ones.
func TestBatchStudies(t *testing.T) {
	var rows []record.Record
	steps := map[int]float64{1: 5, 2: 5.5, 4: 6, 8: 11.8, 16: 30}
	for _, batch := range []int{16, 8, 4, 2, 1} { // order of the rows must not matter
		for rep := range 3 {
			rows = append(rows, batchRow(batch, rep, 0.01*float64(batch), steps[batch]))
		}
	}
	rate := 3.6
	a := analyzed(t, rows, Options{RateUSDPerHour: &rate, Blend: "balanced"})
	all, err := a.BatchStudies()
	if err != nil || len(all) != 1 || len(all[0].Points) != 5 {
		t.Fatalf("%d studies, %v", len(all), err)
	}
	b := all[0]
	if b.Knee == nil || b.Knee.Batch != 4 {
		t.Errorf("knee %+v, want batch 4", b.Knee)
	}
	var front []int
	for _, p := range b.Points {
		if p.OnFront {
			front = append(front, p.Batch)
		}
		if p.TPOTMs != steps[p.Batch] {
			t.Errorf("batch %d: TPOT %v ms, want %v", p.Batch, p.TPOTMs, steps[p.Batch])
		}
		// $3.6/h is $1e-3 a second: a decoded token of the batch takes step/batch.
		usd := 1e6 * 1e-3 * steps[p.Batch] / 1e3 / float64(p.Batch)
		if got := p.Cost.DecodeAlone.InfraUSD; math.Abs(got-usd) > 1e-9*usd {
			t.Errorf("batch %d: $%v per million decoded tokens, want %v", p.Batch, got, usd)
		}
	}
	if len(front) != 4 || front[3] != 8 {
		t.Errorf("front %v, want 1, 2, 4, 8", front)
	}
	tables, err := a.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		switch table.Name {
		case studies + "batch":
			if len(table.Rows) != 5 {
				t.Errorf("%d operating points, want 5", len(table.Rows))
			}
		case studies + "batch_choice":
			want := map[string]any{"best_batch": 8, "knee_batch": 4, "batch_within_10_ms": 4, "batch_within_20_ms": 8, "batch_within_100_ms": 8}
			for i, c := range table.Columns {
				if w, ok := want[c.Name]; ok && table.Rows[0][i] != w {
					t.Errorf("%s is %v, want %v", c.Name, table.Rows[0][i], w)
				}
			}
		}
	}
}

// One batch size is no study, and without a price there is nothing to choose.
func TestBatchStudiesThatAreNone(t *testing.T) {
	a := analyzed(t, []record.Record{batchRow(4, 0, 1, 5), batchRow(4, 1, 1, 5)}, Options{})
	if all, err := a.BatchStudies(); err != nil || len(all) != 0 {
		t.Errorf("%d studies of one batch size, %v", len(all), err)
	}
	a = analyzed(t, []record.Record{batchRow(1, 0, 1, 5), batchRow(4, 0, 1, 5)}, Options{})
	if all, err := a.BatchStudies(); err != nil || len(all) != 1 || all[0].Knee != nil || all[0].Points[1].USDPerM != nil {
		t.Errorf("without a price: %+v, %v", all, err)
	}
}

// The payload of a batch is that of all its sequences.
func TestKVOfBatches(t *testing.T) {
	r := batchRow(4, 0, 1, 5)
	r.ModelInfo = &record.ModelInfo{Arch: "llama", Layers: 2, Heads: 4, KVHeads: 2, HeadDimK: 64, HeadDimV: 64, CtxTrain: 4096, Params: 1}
	want := int64(4 * 2 * 2 * (64 + 64) * 2 * (r.PromptTokens + r.GenTokens))
	r.KVUsedBytes = &want
	a := analyzed(t, []record.Record{r}, Options{})
	if k := a.KV[0]; k.FormulaBytes == nil || *k.FormulaBytes != want || !*k.Exact {
		t.Errorf("%+v, want %d bytes by the formula", k, want)
	}
}
