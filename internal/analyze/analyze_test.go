package analyze

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

func ptr[T any](v T) *T { return &v }

// okRow is a measured row of 100 prompt and 10 generated tokens.
func okRow(model, backend string, launch, rep int, prefillMs, decodeMs float64) record.Record {
	return record.Record{
		Schema: record.Schema, RunID: "r", CellID: model + "." + backend, Model: model, Backend: backend, Scenario: "s",
		Launch: launch, Rep: rep, Status: record.StatusOK, Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached",
		PromptTokens: 100, GenTokens: 10, PrefillMs: &prefillMs, DecodeMs: &decodeMs, Device: "cpu-x", DeviceKind: "cpu",
	}
}

// powered is the power of both phases in watts by a sensor fast enough for
// okRow.
func powered(prefill, decode *float64) *record.PhasePower {
	stats := func(w *float64) record.PowerStats { return record.PowerStats{PowerMeanW: w, NSamples: 10} }
	return &record.PhasePower{Prefill: stats(prefill), Decode: stats(decode), Source: "instant", SensorPeriodMs: ptr(10.0)}
}

func testPricing() *pricing.Pricing {
	tier := func(name string, rate float64, devices ...string) pricing.Tier {
		return pricing.Tier{Name: name, USDPerHour: &rate, Devices: devices, Source: pricing.Source{Source: "test", Read: "2026-01-02"}}
	}
	return &pricing.Pricing{
		Energy:   &pricing.Energy{USDPerKWh: 0.20},
		Scenario: "cheap",
		Tiers:    []pricing.Tier{tier("cheap", 0.036, "gpu-a"), tier("dear", 3.6, "gpu-b")},
	}
}

func analyzed(t *testing.T, rows []record.Record, opts Options) *Analysis {
	t.Helper()
	a, err := Analyze(rows, opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func warned(a *Analysis, text string) bool {
	for _, w := range a.Warnings {
		if strings.Contains(w.Text, text) {
			return true
		}
	}
	return false
}

// warnedAt reports whether a warning with the text is about a place.
func warnedAt(a *Analysis, where, text string) bool {
	return slices.ContainsFunc(a.Warnings, func(w Warning) bool { return strings.Contains(w.Text, text) && slices.Contains(w.Where, where) })
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Max(math.Abs(a), math.Abs(b)) }

func TestThroughputIsSumOverSum(t *testing.T) {
	a := analyzed(t, []record.Record{okRow("m", "b", 0, 0, 100, 1000), okRow("m", "b", 0, 1, 300, 3000)}, Options{})
	g := a.Groups[0]
	// 200 tokens in 0.4 s and 20 in 4 s; the mean of the rates would be 667 and 6.7.
	if !near(g.Prefill.TokPerS(), 500) || !near(g.Decode.TokPerS(), 5) {
		t.Errorf("prefill %v, decode %v tok/s; want 500 and 5", g.Prefill.TokPerS(), g.Decode.TokPerS())
	}
}

func TestBatchCountsEverySequence(t *testing.T) {
	r := okRow("m", "b", 0, 0, 100, 1000)
	r.Batch = 4
	g := analyzed(t, []record.Record{r}, Options{}).Groups[0]
	if !near(g.Prefill.TokPerS(), 4000) || !near(g.Decode.TokPerS(), 40) || g.Variant() != "batch 4" {
		t.Errorf("prefill %v, decode %v tok/s, variant %q", g.Prefill.TokPerS(), g.Decode.TokPerS(), g.Variant())
	}
}

func TestOnlyMeasuredRowsEnterStatistics(t *testing.T) {
	warm, skip, fail := okRow("m", "b", 0, 0, 9e9, 9e9), okRow("m", "b", 0, 1, 9e9, 9e9), okRow("m", "b", 0, 2, 9e9, 9e9)
	warm.Warmup = true
	skip.Status, skip.Reason = record.StatusSkipped, "no CUDA device"
	fail.Status, fail.Error = record.StatusError, &record.Error{Kind: "signal", Message: "died", Signal: "SIGKILL"}
	lame := okRow("m", "b", 0, 3, 1, 1)
	lame.DecodeMs = nil
	a := analyzed(t, []record.Record{warm, skip, fail, lame, okRow("m", "b", 0, 4, 100, 1000)}, Options{PlannedRows: 6})
	if n := a.Groups[0].PrefillMs.N; n != 1 {
		t.Errorf("%d rows in the statistics, want 1", n)
	}
	if c := a.Accounting; c.OK != 2 || c.Skipped != 1 || c.Errors != 1 || c.Warmups != 1 || c.Missing != 2 {
		t.Errorf("accounting %+v", c)
	}
	if !warned(a, "decode_ms is missing") || !warned(a, "2 planned rows are not there") {
		t.Errorf("warnings %v", a.Warnings)
	}
	if g := a.Groups[0]; g.PrefillMs.SD != nil || g.PrefillMs.CI != nil {
		t.Error("one row has a spread")
	}
}

func TestMissingRowsWithoutAPlan(t *testing.T) {
	rows := []record.Record{okRow("m", "a", 0, 0, 1, 1), okRow("m", "a", 0, 1, 1, 1), okRow("m", "b", 0, 0, 1, 1)}
	if c := analyzed(t, rows, Options{}).Accounting; c.Planned != nil || c.Missing != 1 {
		t.Errorf("accounting %+v; cell b lacks one repetition", c)
	}
}

func TestIntervalsOverLaunches(t *testing.T) {
	rows := func(launches int) []record.Record {
		var out []record.Record
		for launch := range launches {
			for rep := range 4 {
				// Launches differ by 10 ms, repetitions by 0.1 ms.
				out = append(out, okRow("m", "b", launch, rep, 100+10*float64(launch)+0.1*float64(rep), 1000))
			}
		}
		return out
	}
	two, three := analyzed(t, rows(2), Options{}).Groups[0], analyzed(t, rows(3), Options{}).Groups[0]
	if two.ByLaunch || !three.ByLaunch {
		t.Fatalf("launch means used with 2 launches: %v, with 3: %v", two.ByLaunch, three.ByLaunch)
	}
	// Means 100.15, 110.15, 120.15: sd 10, half t(0.975,2)*10/sqrt(3).
	if want := 4.302652729911275 * 10 / math.Sqrt(3); math.Abs(*three.PrefillMs.Half-want) > 1e-9 {
		t.Errorf("half width %v, want %v", *three.PrefillMs.Half, want)
	}
	// 100 tokens a row: the same in seconds per token.
	if want := *three.PrefillMs.Half / 1e5; math.Abs(*three.Prefill.SPerTok.Half-want) > 1e-15 {
		t.Errorf("half width %v s/token, want %v", *three.Prefill.SPerTok.Half, want)
	}
}

func TestPriceIsTheDevicesOwn(t *testing.T) {
	p := testPricing()
	for _, c := range []struct {
		device string
		rate   *float64
		want   []string
	}{
		{"gpu-a", nil, []string{"own rate cheap, $0.036/h"}},
		{"gpu-b", nil, []string{"own rate dear, $3.6/h", "scenario cheap, $0.036/h"}},
		{"cpu-x", nil, []string{"scenario cheap, $0.036/h"}},
		{"cpu-x", ptr(0.5), []string{"own rate --rate, $0.5/h", "scenario cheap, $0.036/h"}},
	} {
		r := okRow("m", "b", 0, 0, 100, 1000)
		r.Device = c.device
		var got []string
		for _, cost := range analyzed(t, []record.Record{r}, Options{Pricing: p, RateUSDPerHour: c.rate}).Groups[0].Costs {
			got = append(got, cost.Label())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s with rate %v: %q, want %q", c.device, c.rate, got, c.want)
		}
	}
	if g := analyzed(t, []record.Record{okRow("m", "b", 0, 0, 100, 1000)}, Options{}).Groups[0]; len(g.Costs) != 0 {
		t.Errorf("a price from nowhere: %+v", g.Costs)
	}
}

func TestCostOfAKnownCase(t *testing.T) {
	// 1000 and 10 tok/s at $3.6/h: $1 and $100 per million; 50 W and 100 W:
	// 0.05 and 10 J a token; chat: 0.67*0.05+0.33*10 = 3.3335 J, 0.9260 kWh/M.
	r := okRow("m", "b", 0, 0, 100, 1000)
	r.Device = "gpu-b"
	r.PhasePower = powered(ptr(50.0), ptr(100.0))
	a := analyzed(t, []record.Record{r}, Options{Pricing: testPricing(), Carbon: &pricing.Region{GPerKWh: 500}})
	c := a.Groups[0].Costs[0]
	if !near(c.Prefill.InfraUSD, 1) || !near(c.Decode.InfraUSD, 100) || !near(c.Blend.InfraUSD, 0.67+33) {
		t.Errorf("infra %v %v %v", c.Prefill.InfraUSD, c.Decode.InfraUSD, c.Blend.InfraUSD)
	}
	kwh := 3.3335 / 3.6
	if !near(*c.Blend.EnergyUSD, 0.2*kwh) || !near(*a.Groups[0].GCO2ePerM, 500*kwh) {
		t.Errorf("energy $%v, carbon %v g", *c.Blend.EnergyUSD, *a.Groups[0].GCO2ePerM)
	}
	if c.BlendCI != nil {
		t.Errorf("an interval from one row: %+v", c.BlendCI)
	}
}

func TestHalfAnEnergyIsNone(t *testing.T) {
	r := okRow("m", "b", 0, 0, 100, 1000)
	r.PhasePower = powered(nil, ptr(100.0))
	a := analyzed(t, []record.Record{r}, Options{Pricing: testPricing(), Carbon: &pricing.Region{GPerKWh: 500}})
	g := a.Groups[0]
	c := g.Costs[0]
	if c.Blend.Complete() || c.Decode.Complete() || g.GCO2ePerM != nil || g.Decode.JPerTok() == nil || !c.DecodeAlone.Complete() || c.PrefillAlone.Complete() {
		t.Errorf("decode power alone: %+v", c)
	}
}

func TestRankingWithoutEnergyForAll(t *testing.T) {
	with, without := okRow("m", "measured", 0, 0, 100, 1000), okRow("m", "unmeasured", 0, 0, 100, 1001)
	with.PhasePower = powered(ptr(9e9), ptr(9e9))
	a := analyzed(t, []record.Record{without, with}, Options{Pricing: testPricing()})
	r := a.Rankings[0]
	if r.ByTotal || r.Entries[0].Backend != "measured" || r.Entries[0].TimesBest != 1 {
		t.Errorf("ranking %+v; the faster must come first when energy is not known for both", r.Entries)
	}
	if e := r.Entries[0]; e.Cost.Blend.Complete() || e.USDPerM != e.Cost.Blend.TotalUSD() {
		t.Errorf("the ranking shows a total that it is not ordered by: %+v", e)
	}
	if !warned(a, "by machine time alone") {
		t.Error("no warning about the missing energy")
	}
}

func TestRankingOfUnequalWork(t *testing.T) {
	long := okRow("m", "b", 0, 0, 100, 1000)
	long.Scenario = "long"
	a := analyzed(t, []record.Record{okRow("m", "b", 0, 0, 100, 1000), long, okRow("m", "c", 0, 0, 100, 1000)}, Options{Pricing: testPricing()})
	if !warnedAt(a, "m on c", "measured on s only, others on s, long") {
		t.Errorf("warnings %v", a.Warnings)
	}
}

func TestPoolIsWhatItsRowsWouldGive(t *testing.T) {
	var rows []record.Record
	for rep := range 5 {
		r := okRow("m", "b", 0, rep, 100+float64(rep), 1000)
		r.PhasePower = powered(ptr(50.0), ptr(100.0))
		rows = append(rows, r)
		r = okRow("m", "b", 0, rep, 1000+float64(rep), 4000)
		r.Scenario, r.PromptTokens, r.GenTokens = "long", 900, 30
		r.PhasePower = powered(ptr(70.0), ptr(200.0))
		rows = append(rows, r)
	}
	c := analyzed(t, rows, Options{}).Configs[0]
	// Decode: 50+150 tokens in 5+20 s; (5*100+20*200)/25 W.
	if !near(c.Decode.TokPerS(), 8) || !near(c.Decode.Energy.PowerW.Value, 180) || !near(*c.Decode.JPerTok(), 180.0/8) {
		t.Errorf("decode %v tok/s, %v W", c.Decode.TokPerS(), c.Decode.Energy.PowerW.Value)
	}
	// Prefill: both scenarios drift alike from round to round, so a round of 1000
	// tokens spreads twice as much in ms; were they independent, by the square
	// root of 2.
	half := *analyzed(t, rows, Options{}).Groups[0].PrefillMs.Half
	if want := 2 * half / 1000 / 1000; math.Abs(*c.Prefill.SPerTok.Half-want) > 1e-12 {
		t.Errorf("half width %v, want %v", *c.Prefill.SPerTok.Half, want)
	}
	for i := range rows {
		if rows[i].Scenario == "long" {
			rows[i].Rep += 5 // other rounds
		}
	}
	c = analyzed(t, rows, Options{}).Configs[0]
	if want := math.Sqrt2 * half / 1000 / 1000; math.Abs(*c.Prefill.SPerTok.Half-want) > 1e-12 {
		t.Errorf("half width in other rounds %v, want %v", *c.Prefill.SPerTok.Half, want)
	}
}

func TestKVAgainstFormula(t *testing.T) {
	info := &record.ModelInfo{Layers: 2, KVHeads: 4, HeadDimK: 32, HeadDimV: 32}
	row := func(backend, kvType string, used int64) record.Record {
		r := okRow("m", backend, 0, 0, 1, 1)
		r.KVTypeK, r.KVTypeV, r.KVUsedBytes, r.KVAllocBytes = kvType, kvType, &used, ptr(int64(1<<20))
		return r
	}
	exact := int64(2 * 110 * 4 * (32 + 32) * 2)
	rows := []record.Record{row("right", "f16", exact), row("wrong", "f16", exact+1), row("quant", "q8_0", exact/64*34), row("odd", "f8", 1)}
	rows[0].ModelInfo = info
	a := analyzed(t, rows, Options{})
	if len(a.KV) != 4 {
		t.Fatalf("%d KV rows", len(a.KV))
	}
	for i, want := range []*bool{ptr(true), ptr(false), ptr(true), nil} {
		if got := a.KV[i].Exact; (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: exact %v, want %v", a.KV[i].Backend, got, want)
		}
	}
	if p := *a.KV[0].PaddingBytes(); p != 1<<20-exact {
		t.Errorf("padding %d", p)
	}
	rows[0].ModelInfo = nil
	if a := analyzed(t, rows, Options{}); a.KV[0].Exact != nil || a.KV[0].FormulaBytes != nil {
		t.Error("exactness known without the model's shape")
	}
}

func TestOneTimeCosts(t *testing.T) {
	first, second, later := okRow("m", "b", 0, 0, 10, 20), okRow("m", "b", 0, 1, 1, 2), okRow("m", "b", 0, 0, 5, 5)
	first.Warmup, second.Warmup = true, true
	first.LoadMs, first.ContextMs, later.ContextMs = ptr(100.0), ptr(3.0), ptr(4.0)
	got := analyzed(t, []record.Record{first, second, later}, Options{}).OneTime
	if len(got) != 1 || *got[0].LoadMs != 100 || *got[0].ContextMs != 7 || got[0].Warmups != 2 || *got[0].WarmupMs != 33 {
		t.Errorf("%+v", got)
	}
}

func TestDifferentTokensAreTold(t *testing.T) {
	a, b := okRow("m", "b", 0, 0, 1, 1), okRow("m", "b", 0, 1, 1, 1)
	a.TokenHash, b.TokenHash = "x", "y"
	got := analyzed(t, []record.Record{a, b, okRow("m", "c", 0, 0, 1, 2), okRow("m", "c", 0, 1, 1, 2)}, Options{Pricing: testPricing()})
	if !warned(got, "2 different token sequences") {
		t.Errorf("warnings %v", got.Warnings)
	}
	for _, row := range got.Rankings[0].Table("blend").Rows {
		last := fmt.Sprint(row[len(row)-1])
		if told := strings.Contains(last, "other tokens in 1 of 2 rows"); told != (row[2] == "b") {
			t.Errorf("%v", row)
		}
	}
}

func TestEveryTableSaysWhatIsSynthetic(t *testing.T) {
	made, real := okRow("made", "b", 0, 0, 100, 1000), okRow("real", "b", 0, 0, 100, 1000)
	made.Synthetic = true
	a := analyzed(t, []record.Record{made, real}, Options{Pricing: testPricing()})
	tables, err := a.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		model, mark := -1, -1
		for i, c := range table.Columns {
			switch c.Name {
			case "model":
				model = i
			case "synthetic":
				mark = i
			}
		}
		if mark < 0 {
			t.Errorf("%s has no column synthetic", table.Name)
			continue
		}
		for _, row := range table.Rows {
			if want := model < 0 || row[model] == "made"; row[mark] != want {
				t.Errorf("%s: %v", table.Name, row)
			}
		}
	}
}

func TestTableAddRefuses(t *testing.T) {
	for name, cells := range map[string][]any{"too few": {}, "a type it cannot hold": {struct{}{}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a row with %s was added", name)
				}
			}()
			(&Table{Columns: []Column{{Name: "x"}}}).Add(cells...)
		}()
	}
}

// study is rows of a run of several models, backends and scenarios.
func study(n int) []record.Record {
	const reps, steps = 7, 128
	rows := make([]record.Record, 0, n)
	for i := 0; len(rows) < n; i++ {
		cell := i / reps
		r := okRow(fmt.Sprintf("m%d", cell/15), fmt.Sprintf("b%d", cell/5%3), 0, i%reps, 100+float64(i%13), 0)
		r.Scenario = fmt.Sprintf("s%d", cell%5)
		r.CellID += r.Scenario
		total := 0.0
		for s := range steps {
			ms := 7 + float64((i*31+s*17)%23)/100
			r.StepMs = append(r.StepMs, ms)
			total += ms
		}
		r.GenTokens, r.DecodeMs = steps, &total
		rows = append(rows, r)
	}
	return rows
}

func TestResultDoesNotDependOnMapOrder(t *testing.T) {
	promise.Of(t, "the order of Go maps", "the same rows are analysed again and again",
		"the same bytes")
	promise.Tries(t, 10)
	rows := study(300)
	for i := range rows {
		if i%4 == 0 {
			rows[i].Status, rows[i].Reason = record.StatusSkipped, fmt.Sprint("reason ", i%7)
		}
	}
	var first string
	for i := range 10 {
		a := analyzed(t, rows, Options{Pricing: testPricing()})
		tables, err := a.Tables()
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal([]any{a.Accounting, a.Warnings, a.Checks, a.Claims, tables, a.Rankings[0].Table("chat")})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = string(out)
		} else if string(out) != first {
			t.Fatal("two analyses of the same rows differ")
		}
	}
}

func BenchmarkAnalyze(b *testing.B) {
	for _, n := range []int{525, 1_000, 100_000} {
		rows := study(n)
		opts := Options{Pricing: testPricing()}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				a, err := Analyze(rows, opts)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := a.Tables(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}
