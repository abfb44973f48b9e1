package analyze

import (
	"math"
	"testing"

	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/record"
)

// scoredAs is a record of a model and cache with a perplexity, and the ratio to a
// reference if that has a name.
func scoredAs(model, kv string, ppl float64, reference string, ratio float64) record.QualityRecord {
	around := func(mean float64) quality.Moments { return quality.Moments{N: 101, Mean: mean, M2: 1e-4 * 100 * 101} }
	r := record.QualityRecord{Model: model, Backend: "gpu", DeviceKind: "gpu", KVTypeK: kv, KVTypeV: kv, Status: record.StatusOK,
		Text: "t.txt", NCtx: 64, Chunks: 3, TokenHash: "h", Vocabulary: "v", FileType: "F16", Tally: &quality.Tally{NLL: around(math.Log(ppl))}}
	if reference != "" {
		r.Reference = &record.QualityReference{Model: reference, KVTypeK: "f16", KVTypeV: "f16"}
		r.Tally.Reference = &quality.Comparison{NLL: around(math.Log(ppl / ratio)), Diff: around(math.Log(ratio)), KL: around(0.02), SameTop: 95}
	}
	return r
}

// qualityRows are three models of one tokenizer and one of another, by price:
// small is the cheapest, quant the next, and other stands by itself.
func qualityRows() []record.Record {
	var rows []record.Record
	for _, m := range []struct {
		model, kv string
		ms        float64
	}{{"big", "f16", 40}, {"big", "q8_0", 36}, {"quant", "f16", 20}, {"small", "f16", 10}, {"other", "f16", 5}} {
		for rep := range 3 {
			r := okRow(m.model, "gpu", 0, rep, m.ms, 2*m.ms)
			r.KVTypeK, r.KVTypeV, r.DeviceKind = m.kv, m.kv, "gpu"
			r.CellID += m.kv
			rows = append(rows, r)
		}
	}
	return rows
}

func qualityRecords() []record.QualityRecord {
	other := scoredAs("other", "f16", 3, "", 0)
	other.Vocabulary = "another"
	return []record.QualityRecord{
		scoredAs("big", "f16", 10, "", 0), scoredAs("big", "q8_0", 10.005, "big", 1.0005),
		scoredAs("quant", "f16", 10.3, "big", 1.03), scoredAs("small", "f16", 14, "", 0), other,
	}
}

func studied(t *testing.T, records []record.QualityRecord) []Scored {
	t.Helper()
	rate := 3.6
	return analyzed(t, qualityRows(), Options{RateUSDPerHour: &rate, Blend: "balanced", Quality: records}).QualityStudies()
}

func TestQualityStudies(t *testing.T) {
	all := studied(t, qualityRecords())
	if len(all) != 2 || len(all[0].Groups) != 4 || len(all[1].Groups) != 1 {
		t.Fatalf("%d studies %+v, want one for each tokenizer", len(all), all)
	}
	none := math.NaN()
	for i, want := range []struct {
		model, kv string
		loss      float64
		front     bool
		cheapest  [3]bool // within 0.1, 1 and 5 %
	}{
		{"big", "f16", 0, true, [3]bool{}},
		{"big", "q8_0", 0.05, true, [3]bool{true, true, false}},
		{"quant", "f16", 3, true, [3]bool{false, false, true}},
		{"small", "f16", none, true, [3]bool{}}, // held against nothing, so within no limit
	} {
		got := all[0].Groups[i]
		if got.Model != want.model || got.KVTypeK != want.kv || got.OnFront != want.front || [3]bool(got.Cheapest) != want.cheapest {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		if (got.LossPct == nil) != math.IsNaN(want.loss) || got.LossPct != nil && math.Abs(*got.LossPct-want.loss) > 1e-9 {
			t.Errorf("%s %s: loss %v, want %v", want.model, want.kv, got.LossPct, want.loss)
		}
	}
	worse := qualityRecords()
	worse[0].Tally.NLL.Mean, worse[1].Tally.NLL.Mean = math.Log(20), math.Log(10.4)
	all = studied(t, worse)
	if g := all[0].Groups; g[0].OnFront || g[1].OnFront || !g[2].OnFront || !g[3].OnFront {
		t.Errorf("big is dearer and worse than quant, but on the front: %+v", g)
	}
}

func TestQualityOfRandomWeightsIsNotRanked(t *testing.T) {
	records := qualityRecords()
	records[3].Synthetic = true
	for _, g := range studied(t, records)[0].Groups {
		if g.OnFront || g.Cheapest[0] || g.Cheapest[1] || g.Cheapest[2] {
			t.Errorf("%s %s is ranked beside random weights", g.Model, g.KVTypeK)
		}
	}
}

func TestQualityTables(t *testing.T) {
	rate := 3.6
	records := append(qualityRecords(), record.QualityRecord{Model: "big", Backend: "gpu", DeviceKind: "gpu", KVTypeK: "q4_0", KVTypeV: "q4_0", Status: record.StatusSkipped, Reason: "because"})
	a := analyzed(t, qualityRows(), Options{RateUSDPerHour: &rate, Blend: "balanced", Quality: records})
	tables := map[string]*Table{}
	all, err := a.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		tables[table.Name] = table
	}
	q := tables["tables/quality"]
	cell := func(row int, column string) any {
		for i, c := range q.Columns {
			if c.Name == column {
				return q.Rows[row][i]
			}
		}
		t.Fatalf("no column %s", column)
		return nil
	}
	if len(q.Rows) != 6 {
		t.Fatalf("%d rows, want 6", len(q.Rows))
	}
	for row, want := range []struct {
		kv, ref, why any
		delta        float64
	}{{"f16", nil, nil, 0}, {"q4_0", nil, "because", 0}, {"q8_0", "big, K f16, V f16", nil, 0.05}} {
		if cell(row, "kv_type_k") != want.kv || cell(row, "reference") != want.ref || cell(row, "why_not") != want.why {
			t.Errorf("row %d: %v", row, q.Rows[row])
		}
		if delta, ok := cell(row, "delta_ppl_pct").(float64); ok != (want.ref != nil) || math.Abs(delta-want.delta) > 1e-9 {
			t.Errorf("row %d: loss %v, want %v", row, delta, want.delta)
		}
	}
	if ppl := cell(0, "ppl").(float64); math.Abs(ppl-10) > 1e-9 || !(cell(0, "ppl_from").(float64) < 10 && cell(0, "ppl_to").(float64) > 10) {
		t.Errorf("perplexity %v", q.Rows[0])
	}
	if top := cell(2, "top1_pct").(float64); math.Abs(top-100*95.0/101) > 1e-9 {
		t.Errorf("same top token %v %%", top)
	}
	if n := len(tables["tables/quality_cost"].Rows); n != 5 {
		t.Errorf("%d priced rows, want 5", n)
	}
	without := analyzed(t, qualityRows(), Options{RateUSDPerHour: &rate})
	if all, err = without.Tables(); err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		if (table.Name == "tables/quality" || table.Name == "tables/quality_cost") && (len(table.Rows) > 0 || table.Missing == "") {
			t.Errorf("%s without records: %v %q", table.Name, table.Rows, table.Missing)
		}
	}
}
