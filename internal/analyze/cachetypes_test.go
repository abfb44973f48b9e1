package analyze

import (
	"math"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// cacheRow is a row with a cache of the given types whose steps take a ms and b
// ms more for each position, but for some noise by repetition.
func cacheRow(k, v, scenario string, prompt, rep int, a, b float64) record.Record {
	r := okRow("m", "cpu", 0, rep, 10, 0)
	r.KVTypeK, r.KVTypeV, r.Scenario, r.CellID = k, v, scenario, k+v+scenario
	r.PromptTokens, r.GenTokens = prompt, 64
	noise, ms := 1+1e-3*float64(rep%3), 0.0
	for i := range r.GenTokens {
		r.StepMs = append(r.StepMs, noise*(a+b*float64(prompt+i)))
		ms += r.StepMs[i]
	}
	r.DecodeMs = &ms
	r.ModelInfo = &record.ModelInfo{Arch: "llama", Layers: 2, Heads: 4, KVHeads: 2, HeadDimK: 64, HeadDimV: 64, CtxTrain: 4096, Params: 1}
	perToken := map[string]int64{"f16": 256, "q8_0": 136, "q4_0": 72, "f32": 512} // of one layer's keys or values, 2 x 64
	used := 2 * (perToken[k] + perToken[v]) * int64(prompt+r.GenTokens)
	r.KVUsedBytes, r.WeightsBytes, r.ComputeBytes = &used, ptr(int64(1000)), ptr(int64(24))
	return r
}

// q8_0 starts out slower than f16 and rises less, so that the two meet; q4_0 is
// slower wherever it was measured, f32 takes more memory and is as fast.
func cacheRows(info func(*record.ModelInfo)) []record.Record {
	var rows []record.Record
	for _, scenario := range []struct {
		name   string
		prompt int
	}{{"short", 300}, {"long", 2000}} {
		for rep := range 4 {
			for _, c := range []struct {
				k, v string
				a, b float64
			}{{"q8_0", "q8_0", 6, 0.002}, {"f16", "f16", 5, 0.003}, {"q4_0", "q4_0", 9, 0.003}, {"f32", "f32", 5.001, 0.003}, {"q8_0", "f16", 4, 0.002}} {
				r := cacheRow(c.k, c.v, scenario.name, scenario.prompt, rep, c.a, c.b)
				info(r.ModelInfo)
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func TestCacheStudies(t *testing.T) {
	rate := 3.6
	a := analyzed(t, cacheRows(func(*record.ModelInfo) {}), Options{RateUSDPerHour: &rate, Blend: "balanced", DeviceBytes: map[string]int64{"cpu-x": 1_000_000}})
	all, err := a.CacheStudies()
	if err != nil || len(all) != 2 {
		t.Fatalf("%d studies, %v", len(all), err)
	}
	for _, s := range all {
		if len(s.Points) != 5 || !s.Points[0].f16() {
			t.Fatalf("%s: %d points, the first %s", s.Key, len(s.Points), s.Points[0].Key)
		}
		base := s.Points[0]
		for _, p := range s.Points {
			want, ok := map[string]struct {
				perToken int64
				pays     [2]any // in the short scenario and in the long one
			}{
				"f16f16": {1024, [2]any{nil, nil}}, "q8_0q8_0": {544, [2]any{"for memory only", "yes"}}, "q4_0q4_0": {288, [2]any{"for memory only", "for memory only"}},
				"f32f32": {2048, [2]any{"no", "no"}}, "q8_0f16": {784, [2]any{"yes", "yes"}},
			}[p.KVTypeK+p.KVTypeV]
			if !ok || *p.PerTok != want.perToken || *p.TimesF16 != float64(want.perToken)/1024 {
				t.Errorf("%s: %d bytes a token, %v of f16, want %d", p.Key, *p.PerTok, *p.TimesF16, want.perToken)
			}
			pays := want.pays[0]
			if s.Scenario == "long" {
				pays = want.pays[1]
			}
			if p.Pays() != pays {
				t.Errorf("%s pays %v, want %v", p.Key, p.Pays(), pays)
			}
			if longest := (1_000_000 - 1000 - 24) / want.perToken; *p.Longest != min(longest, 4096) {
				t.Errorf("%s: longest context %d, want %d", p.Key, *p.Longest, longest)
			}
			if p.f16() {
				if p.Decode16 != nil || p.TimesUSD != nil || p.Even != nil {
					t.Errorf("%s is set beside itself: %+v", p.Key, p)
				}
				continue
			}
			if got, want := p.Decode16.Value, *base.Rows[0].DecodeMs / *p.Rows[0].DecodeMs; math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %v times as fast, want %v", p.Key, got, want)
			}
			if got, want := *p.TimesUSD, *p.USDPerM / *base.USDPerM; got != want || got <= 0 {
				t.Errorf("%s: %v times the price, want %v", p.Key, got, want)
			}
			// 6 + 0.002 n = 5 + 0.003 n
			if meets := p.KVTypeK == "q8_0" && p.KVTypeV == "q8_0"; (p.Even != nil) != meets || meets && (p.Even.Tokens != 1000 || !p.Even.Measured || p.Even.To != 2063) {
				t.Errorf("%s meets f16 at %+v", p.Key, p.Even)
			}
		}
	}
}

// A model whose cache has no formula has what was measured, and no more; and what
// lies beyond the measured positions is said to be extrapolated.
func TestCacheStudiesWithoutFormula(t *testing.T) {
	a := analyzed(t, cacheRows(func(i *record.ModelInfo) { i.KVIrregular = "sliding-window attention" }), Options{DeviceBytes: map[string]int64{"cpu-x": 1_000_000}})
	all, err := a.CacheStudies()
	if err != nil || len(all) != 2 {
		t.Fatalf("%d studies, %v", len(all), err)
	}
	for _, p := range all[0].Points {
		if p.PerTok != nil || p.Longest != nil || p.USDPerM != nil || p.Bytes == nil {
			t.Errorf("%s: %+v", p.Key, p)
		}
		if !p.f16() && (p.TimesF16 == nil || *p.TimesF16 != float64(*p.Bytes)/float64(*all[0].Points[0].Bytes)) {
			t.Errorf("%s: %v of the bytes of f16", p.Key, p.TimesF16)
		}
	}
	if !warned(a, "no KV formula: sliding-window attention; what was measured stands by itself") {
		t.Errorf("no warning of it: %v", a.Warnings)
	}
	if kind, _ := a.Models[0].attention(); kind != "sliding-window attention" {
		t.Errorf("its attention is called %q", kind)
	}
	if all, err := a.Crossovers(); err != nil || len(all) != 0 {
		t.Errorf("it has crossovers: %+v, %v", all, err)
	}
	for _, k := range a.KV {
		if k.FormulaBytes != nil || k.Exact != nil {
			t.Errorf("%s has a formula: %+v", k.Key, k)
		}
	}

	var short []record.Record
	for _, r := range cacheRows(func(*record.ModelInfo) {}) {
		if r.Scenario == "short" {
			short = append(short, r)
		}
	}
	if all, err = analyzed(t, short, Options{}).CacheStudies(); err != nil || len(all) != 1 {
		t.Fatalf("%d studies, %v", len(all), err)
	}
	for _, p := range all[0].Points {
		if p.Even != nil && (p.Even.Measured || p.Even.To != 363 || math.Abs(float64(p.Even.Tokens)-1000) > 1) {
			t.Errorf("%s meets f16 at %+v", p.Key, p.Even)
		}
	}
}

// Roofline: what a token reads and computes of an irregular model is not known.
func TestIrregularRoofline(t *testing.T) {
	for irregular, known := range map[string]bool{"": true, "sliding-window attention": false, "a token uses some of the experts": false} {
		rows := cacheRows(func(i *record.ModelInfo) {
			i.ReadBytes, i.BodyParams, i.HeadParams, i.KVIrregular = 900, 400, 50, irregular
			if strings.Contains(irregular, "experts") {
				i.ReadBytes, i.BodyParams, i.HeadParams, i.KVIrregular, i.CostUnknown = 0, 0, 0, "", irregular
			}
		})
		a := analyzed(t, rows, Options{})
		table := tableNamed(t, a, "tables/roofline")
		if notes := strings.Join(table.Notes, "\n"); strings.Contains(notes, "m: "+irregular) == known {
			t.Errorf("%q: notes %q", irregular, notes)
		}
		if (len(table.Rows) > 0) != known || strings.Contains(table.Missing, "m: "+irregular) == known {
			t.Errorf("%q: %d rows, missing %q", irregular, len(table.Rows), table.Missing)
		}
		for _, r := range a.Rooflines {
			if (r.BytesPerTok != nil) != known || (r.FLOPs != nil) != known {
				t.Errorf("%q: %v bytes, %v operations", irregular, r.BytesPerTok, r.FLOPs)
			}
		}
		// Beside a model with a formula the table has rows, and a note.
		for i := range rows {
			rows[i].Model, rows[i].CellID = "n", "n"+rows[i].CellID
		}
		usual := cacheRows(func(i *record.ModelInfo) { i.ReadBytes, i.BodyParams, i.HeadParams = 900, 400, 50 })
		table = tableNamed(t, analyzed(t, append(usual, rows...), Options{}), "tables/roofline")
		if notes := strings.Join(table.Notes, "\n"); len(table.Rows) == 0 || table.Missing != "" || strings.Contains(notes, "n: "+irregular) == known {
			t.Errorf("%q beside another: %d rows, missing %q, notes %q", irregular, len(table.Rows), table.Missing, notes)
		}
	}
}

// One type of cache is nothing to compare.
func TestCacheStudiesThatAreNone(t *testing.T) {
	a := analyzed(t, []record.Record{okRow("m", "cpu", 0, 0, 1, 5), okRow("m", "cpu", 0, 1, 1, 5)}, Options{})
	if all, err := a.CacheStudies(); err != nil || len(all) != 0 {
		t.Errorf("%d studies of one type, %v", len(all), err)
	}
}

func TestCachePays(t *testing.T) {
	for _, c := range []struct {
		times, lo, hi float64
		want          string
	}{
		{0.5, 1.1, 1.2, "yes"}, {0.5, 0.96, 1.02, "yes"}, {0.5, 0.96, 0.98, "yes"}, {0.5, 0.8, 0.9, "for memory only"},
		{0.5, 0.3, 3, "unclear"}, {0.5, 0.9, 1.01, "unclear"}, {2, 1.01, 1.1, "for speed only"}, {2, 0.9, 1.1, "no"}, {1, 0.9, 1.1, "no"},
	} {
		p := CachePoint{TimesF16: &c.times, Decode16: &stats.Ratio{CI: stats.Range{Lo: c.lo, Hi: c.hi}}}
		if got := p.Pays(); got != c.want {
			t.Errorf("%v of the memory, %v to %v times as fast: %v, want %v", c.times, c.lo, c.hi, got, c.want)
		}
	}
	if got := (&CachePoint{}).Pays(); got != nil {
		t.Errorf("nothing known: %v", got)
	}
}
