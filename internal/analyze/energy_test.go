package analyze

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
)

// window is a valid window of okRow's cell at 10 tok/s.
func window(phase string, n int, watts float64) record.WindowRecord {
	j := watts / 10
	return record.WindowRecord{
		Schema: record.Schema, CellID: "m.b", Model: "m", Backend: "b", Scenario: "s", Phase: phase, Window: n,
		Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", DeviceKind: "cpu", TokPerS: 10,
		CounterW: &watts, IntegralW: ptr(watts / 1.01), JPerToken: &j, Method: "counter", Valid: true,
	}
}

// windows are three of each phase: 18, 20 and 22 W.
func windows() []record.WindowRecord {
	var out []record.WindowRecord
	for _, phase := range []string{"prefill", "decode"} {
		for i, watts := range []float64{18, 20, 22} {
			out = append(out, window(phase, i, watts))
		}
	}
	return out
}

func TestWindowsTakePrecedence(t *testing.T) {
	rows := repeated(3, func(_ int, r *record.Record) { r.PhasePower = powered(nil, ptr(500.0)) })
	idle := record.DeviceRecord{Kind: record.DeviceIdle, DeviceKind: "cpu", PowerMeanW: ptr(5.0)}
	a := analyzed(t, rows, Options{Pricing: testPricing(), Carbon: &pricing.Region{GPerKWh: 360}, Windows: windows(), Devices: []record.DeviceRecord{idle}})
	g := a.Groups[0]
	w := g.DecodeWindows
	// 1.8, 2 and 2.2 J: sd 0.2, half t(0.975, 2)*0.2/sqrt(3).
	half := 4.302652729911275 * 0.2 / math.Sqrt(3)
	if w.Valid != 3 || !near(w.JPerTok.Value, 2) || math.Abs(*w.JPerTok.Half-half) > 1e-9 || math.Abs(*w.CVPct-10) > 1e-9 || math.Abs(*w.Consistency-1) > 1e-9 || w.Method != "counter" {
		t.Errorf("windows %+v", w)
	}
	if j := g.Decode.JPerTok(); !near(*j, 2) || g.Decode.Powered != 3 || !near(g.Decode.Samples.PowerW.Value, 500) {
		t.Errorf("decode takes %v J a token", *j)
	}
	net := g.energies()[1].netJPerTok(a.idleW(g))
	if !near(*net, 2-5.0/10) {
		t.Errorf("net %v J, want 1.5", *net)
	}
	// 2 J in both phases: 2/3.6 kWh a million tokens.
	if c := g.Costs[0]; !near(*c.Blend.EnergyUSD, 0.2*2/3.6) || c.BlendCI == nil || !near(*g.GCO2ePerM, 200) {
		t.Errorf("cost %+v, carbon %v", c, *g.GCO2ePerM)
	}
	// The share of time in the joules must not enter twice: their interval is
	// the windows', whatever the times of the rows do.
	if j, err := g.Decode.joules(); err != nil || *j.Half != *w.JPerTok.Half {
		t.Errorf("decode ± %v J, %v", *j.Half, err)
	}
	row := tableNamed(t, a, "tables/energy_per_token").Rows[1]
	if row[4] != "decode" || row[5] != 2.0 || row[8] != "counter" || row[9] != 3 || row[16] != 3 || !near(row[15].(float64), *over(ptr(500.0), ptr(g.Decode.TokPerS()))) {
		t.Errorf("row %v", row)
	}
}

func TestWindowsThatDoNotCount(t *testing.T) {
	all := windows()[3:] // of decode
	all[0].Valid, all[0].Reasons = false, []record.Reason{record.TooShort, record.ForeignProcess}
	all[1].Valid, all[1].Reasons = false, []record.Reason{record.TooShort}
	a := analyzed(t, repeated(3, nil), Options{Windows: all})
	w := a.Groups[0].DecodeWindows
	if w.Valid != 1 || !near(w.JPerTok.Value, 2.2) || w.JPerTok.Half != nil || w.CVPct != nil || !slices.Equal(w.Reasons, []string{"2 too_short", "1 foreign_process"}) {
		t.Errorf("%+v", w)
	}
	for _, c := range a.Checks {
		if want := map[string]Outcome{"energy windows": Warn, "energy consistency": Pass}[c.Name]; want != "" && c.Outcome != want {
			t.Errorf("%+v", c)
		}
	}

	all[2].JPerToken = nil
	all = append(all, window("decode", 9, 20))
	all[3].Model = "other"
	a = analyzed(t, repeated(3, nil), Options{Windows: all})
	if a.Groups[0].Decode.Energy != nil || a.Groups[0].DecodeWindows.Valid != 0 {
		t.Error("energy without a valid window")
	}
	if len(tableNamed(t, a, "tables/energy_per_token").Rows) != 1 || !warned(a, "without a measured row") {
		t.Error("windows that do not count leave no trace")
	}
}

func TestTooFewWindowsHaveNoInterval(t *testing.T) {
	g := analyzed(t, repeated(3, nil), Options{Windows: windows()[3:5]}).Groups[0]
	if j, err := g.Decode.joules(); err != nil || !near(j.Value, 1.9) || j.Half != nil {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestWindowsStandForOtherScenarios(t *testing.T) {
	rows := repeated(3, func(_ int, r *record.Record) { r.Device = "gpu-a" })
	rows = append(rows, longer(rows, 8)...) // 2/3 of the tokens in 8/9 of the time
	a := analyzed(t, rows, Options{Pricing: testPricing(), Windows: windows()})
	if g := a.Configs[0].group("long"); g.Decode.Energy != nil || g.Costs[0].Blend.Complete() {
		t.Errorf("the scenario without windows has energy: %+v", g.Decode.Energy)
	}
	c := a.Configs[0]
	// 2 J for each of 10 of 30 tokens, and the power of those for 9 times the time.
	if j := c.Decode.JPerTok(); !near(*j, 2.0/3*9) || math.Abs(c.Decode.EnergyShare-1.0/9) > 1e-9 {
		t.Errorf("%v J, %v of the time", *j, c.Decode.EnergyShare)
	}
	if j, err := c.Decode.joules(); err != nil || math.Abs(*j.Half/j.Value-*c.Groups[0].DecodeWindows.JPerTok.Half/2) > 1e-12 {
		t.Errorf("± %v, %v", *j.Half, err)
	}
	if c.Basis() != "s" || c.totalIs(c.Costs[0].Blend) != "infra + energy of 1/2 scenarios" || !warned(a, "energy of decode was measured in s;") {
		t.Errorf("basis %q, total is %q", c.Basis(), c.totalIs(c.Costs[0].Blend))
	}
	if !a.Rankings[0].ByTotal {
		t.Error("the ranking leaves energy out")
	}
}

func TestPooledWindowsAndSamples(t *testing.T) {
	rows := repeated(3, nil)
	rows = append(rows, longer(rows, 2)...) // 100 ms a token in both
	for i := range rows[3:] {
		rows[3+i].PhasePower = powered(nil, ptr(40.0)) // 4 J
	}
	c := analyzed(t, rows, Options{Windows: windows()}).Configs[0]
	want := (10*2 + 20*40*c.Groups[1].Decode.SPerTok.Value) / 30
	if j := c.Decode.JPerTok(); !near(*j, want) || c.Decode.Energy.Method != "counter+samples" || c.Basis() != "prefill: s; decode: s, long" {
		t.Errorf("%v J by %s of %s, want %v", *j, c.Decode.Energy.Method, c.Basis(), want)
	}
}

func TestUncachedBaselineDoesNotHideEnergy(t *testing.T) {
	rows := repeated(3, func(_ int, r *record.Record) { r.Device = "gpu-a" })
	for _, r := range rows[:3] {
		r.DecodeMode, r.Scenario, r.CellID = "uncached", "u", "u"
		rows = append(rows, r)
	}
	r := analyzed(t, rows, Options{Pricing: testPricing(), Windows: windows()}).Rankings[0]
	if !r.ByTotal || len(r.Entries) != 1 || len(r.NoEnergy) != 1 || r.NoEnergy[0].DecodeMode != "uncached" {
		t.Errorf("%+v", r)
	}
}

func TestAssumedWattsAreNotMeasured(t *testing.T) {
	rows := repeated(3, func(_ int, r *record.Record) { r.AssumedCPUW = ptr(65.0) })
	idle := record.DeviceRecord{Kind: record.DeviceIdle, DeviceKind: "cpu", PowerMeanW: ptr(5.0)}
	a := analyzed(t, rows, Options{Pricing: testPricing(), Devices: []record.DeviceRecord{idle}})
	g := a.Groups[0]
	if g.Decode.Energy == nil || g.Decode.Energy.Method != MethodAssumed || !near(*g.Decode.JPerTok(), 65*g.Decode.SPerTok.Value) {
		t.Fatalf("%+v", g.Decode.Energy)
	}
	if got := a.Configs[0].totalIs(g.Costs[0].Blend); got != "infra + assumed energy" {
		t.Errorf("total is %q", got)
	}
	if net := g.energies()[1].netJPerTok(a.idleW(g)); net != nil {
		t.Errorf("measured idle power taken off an assumption: %v", *net)
	}
	if list, err := decodeEnergy().ordered(a); err != nil || len(list) != 0 {
		t.Errorf("an assumption is a candidate: %v, %v", list, err)
	}

	rows[0].PhasePower = powered(nil, ptr(30.0))
	g = analyzed(t, rows, Options{}).Groups[0]
	if g.Decode.Energy.Method != MethodSamples || !near(g.Decode.Energy.PowerW.Value, 30) || g.Decode.Powered != 1 {
		t.Errorf("measured power gives way to an assumption: %+v", g.Decode.Energy)
	}
}

func TestClockDropsAreFlaggedAndKept(t *testing.T) {
	rows := repeated(5, func(rep int, r *record.Record) {
		r.DeviceKind, r.GPUClockMHz = "gpu", ptr([]float64{2000, 1901, 1899, 2000, 2000}[rep])
	})
	other := repeated(5, func(_ int, r *record.Record) { // another device has its own median
		r.DeviceKind, r.Device, r.GPUClockMHz, r.Backend, r.CellID = "gpu", "slow", ptr(1000.0), "c", "c"
	})
	a := analyzed(t, append(rows, other...), Options{})
	g := a.Groups[0]
	if g.ClockDrops != 1 || g.Degraded != 1 || len(a.Degraded) != 1 || a.Degraded[0].Row.Rep != 2 || math.Abs(*a.Degraded[0].DropPct-5.05) > 1e-9 || g.PrefillMs.N != 5 {
		t.Errorf("%+v", a.Degraded)
	}
	if row := tableNamed(t, a, "tables/degraded").Rows[0]; row[11] != "SM clock 1899 MHz, 5 % below the run's median" {
		t.Errorf("%v", row)
	}
	rows[0].Degraded, rows[0].Warnings = true, []string{"other", record.DegradedWarning + "hot"}
	a = analyzed(t, rows, Options{})
	if len(a.Degraded) != 2 || a.Degraded[0].reasons() != "hot" || a.Groups[0].Degraded != 2 || a.Groups[0].ClockDrops != 1 {
		t.Errorf("%+v", a.Degraded)
	}
}

func TestEnergyChecks(t *testing.T) {
	outcome := func(name string, rows []record.Record, opts Options) Outcome {
		for _, c := range analyzed(t, rows, opts).Checks {
			if c.Name == name {
				return c.Outcome
			}
		}
		t.Fatalf("no check %s", name)
		return ""
	}
	idle := func(drift float64) Options {
		return Options{Devices: []record.DeviceRecord{{Kind: record.DeviceIdle, DeviceKind: "gpu", PowerMeanW: ptr(100.0), DriftW: &drift}}}
	}
	of := func(n int, change func(i int, w *record.WindowRecord)) Options {
		var list []record.WindowRecord
		for i := range n {
			w := window("decode", i, 20)
			w.DeviceKind = "gpu"
			change(i, &w)
			list = append(list, w)
		}
		return Options{Windows: list}
	}
	bad := func(n int, why record.Reason) func(int, *record.WindowRecord) {
		return func(i int, w *record.WindowRecord) {
			if i < n {
				w.Valid, w.Reasons = false, []record.Reason{why}
			}
		}
	}
	foreign := repeated(2, func(_ int, r *record.Record) { r.Warnings = []string{record.ForeignWarning + ": 7"} })
	for i, c := range []struct {
		check string
		rows  []record.Record
		opts  Options
		want  Outcome
	}{
		{"idle drift", repeated(2, nil), Options{}, Untested},
		{"idle drift", repeated(2, nil), idle(-4.9), Pass},
		{"idle drift", repeated(2, nil), idle(-5.1), Warn},
		{"energy windows", repeated(2, nil), Options{}, Untested},
		{"energy windows", repeated(2, nil), of(10, bad(1, record.Gap)), Pass},
		{"energy windows", repeated(2, nil), of(10, bad(2, record.Gap)), Warn},
		{"energy consistency", repeated(2, nil), of(2, func(_ int, w *record.WindowRecord) { w.IntegralW = ptr(19.0) }), Warn},
		{"foreign processes", repeated(2, nil), Options{}, Untested},
		{"foreign processes", repeated(2, nil), of(2, bad(0, "")), Pass},
		{"foreign processes", repeated(2, nil), of(2, bad(1, record.ForeignProcess)), Warn},
		{"foreign processes", foreign, Options{}, Warn},
		{"degradation", repeated(2, nil), Options{}, Untested},
		{"degradation", repeated(2, func(_ int, r *record.Record) { r.Degraded = true }), Options{}, Warn},
		{"degradation", repeated(2, func(_ int, r *record.Record) { r.DeviceKind, r.GPUTempC = "gpu", ptr(50.0) }), Options{}, Pass},
	} {
		if got := outcome(c.check, c.rows, c.opts); got != c.want {
			t.Errorf("%d: %s: %s, want %s", i, c.check, got, c.want)
		}
	}
}

func TestRoofline(t *testing.T) {
	info := &record.ModelInfo{Layers: 2, Heads: 4, KVHeads: 2, HeadDimK: 8, HeadDimV: 8, ReadBytes: 1_000_000, BodyParams: 400_000, HeadParams: 100_000}
	rows := repeated(2, func(_ int, r *record.Record) {
		r.ModelInfo = info
		r.PrefillMs, r.DecodeMs, r.TotalMs = ptr(100.0), ptr(1000.0), nil
	})
	ceiling := record.DeviceRecord{Kind: record.DeviceRoofline, DeviceKind: "cpu", CopyBytesPerS: ptr(1e8), ReadBytesPerS: ptr(2e8), MatmulFlopsPerS: ptr(1e10)}
	at := func(change func(r *record.Record), d ...record.DeviceRecord) *Analysis {
		list := slices.Clone(rows)
		for i := range list {
			change(&list[i])
		}
		return analyzed(t, list, Options{Devices: d})
	}
	none := func(*record.Record) {}
	r := at(none, ceiling).Rooflines[0]
	// 10 tok/s; 2*2*(8+8)*2 = 128 bytes a position, 105.5 of them on average.
	bytes := 1_000_000 + 128*105.5
	flops := 2*400_000.0*100 + 2*100_000 + 2*2*4*16*(100*101/2)
	if !near(*r.BytesPerTok, bytes) || !near(*r.MBU, bytes*10/1e8) || !near(*r.MBURead, bytes*10/2e8) || !near(*r.FLOPs, flops) || !near(*r.MFU, flops/0.1/1e10) {
		t.Errorf("%v B, MBU %v, %v FLOP, MFU %v", *r.BytesPerTok, *r.MBU, *r.FLOPs, *r.MFU)
	}
	r = at(func(r *record.Record) { r.Batch = 4 }, ceiling).Rooflines[0]
	if want := 250_000 + 128*105.5; !near(*r.BytesPerTok, want) || !near(*r.MBU, want*40/1e8) || !near(*r.MFU, 4*flops/0.1/1e10) {
		t.Errorf("batch 4: %v B, MBU %v, MFU %v", *r.BytesPerTok, *r.MBU, *r.MFU)
	}
	if r = at(none).Rooflines[0]; r.MBU != nil || r.MBURead != nil || r.MFU != nil || r.BytesPerTok == nil {
		t.Errorf("a share of an unknown ceiling: %+v", r)
	}
	if n := len(at(func(r *record.Record) { r.DecodeMode = "uncached" }, ceiling).Rooflines); n != 0 {
		t.Error("uncached decode has a roofline")
	}
	if n := len(at(func(r *record.Record) { r.DeviceKind, r.GPULayers = "gpu", 1 }, ceiling).Rooflines); n != 0 {
		t.Error("a split model is held against one device")
	}
	unknown := *info
	unknown.ReadBytes, unknown.BodyParams = 0, 0
	if r = at(func(r *record.Record) { r.ModelInfo = &unknown }, ceiling).Rooflines[0]; r.MBU != nil || r.MFU != nil {
		t.Errorf("shares of a model that is not known to be dense: %+v", r)
	}
}

func TestSlowStepsAreNamed(t *testing.T) {
	var rows []record.Record
	for rep := range 3 {
		r := okRow("m", "b", 0, rep, 100, 0)
		r.PromptTokens, r.GenTokens = 250, 20
		total := 0.0
		for i := range 20 {
			ms := 1 + 0.001*float64(i)
			switch {
			case i == 0:
				ms = 2.5
			case i == 6: // position 256
				ms = 3 + float64(rep)
			case i == 15 && rep == 1:
				ms = 2.2
			}
			r.StepMs = append(r.StepMs, ms)
			total += ms
		}
		r.DecodeMs = &total
		rows = append(rows, r)
	}
	s := analyzed(t, rows, Options{}).Steps[0]
	if s.SlowFirst != 3 || s.SlowBoundary != 3 || s.SlowOther != 1 || s.Boundary != 6 || s.SlowestMs != 5 || s.Slowest != "step 7, at position 256" || s.FirstP50Ms != 2.5 || s.TPOTMs.Max != 5 {
		t.Errorf("%+v", s)
	}
}

func TestGrowthNeedsTwoLengths(t *testing.T) {
	rows := func(lengths ...int) []record.Record {
		var out []record.Record
		for _, n := range lengths {
			for rep := range 3 {
				r := okRow("m", "b", 0, rep, 100, 100+float64(rep))
				r.PromptTokens, r.Scenario, r.CellID = n, fmt.Sprint(n), fmt.Sprint(n)
				out = append(out, r)
				ms := *r.DecodeMs * float64(n) / 10
				r.DecodeMode, r.Scenario, r.CellID, r.DecodeMs = "uncached", "u"+r.Scenario, "u"+r.CellID, &ms
				out = append(out, r)
			}
		}
		return out
	}
	a := analyzed(t, rows(100, 300), Options{})
	// Ratios 10 and 30 at 110 and 310 tokens.
	if u := a.Uncached[1]; !near(*u.Growth, 3) || math.Abs(*u.GrowthPer1k-100) > 1e-9 || u.Shortest != 110 || a.Uncached[0].GrowthPer1k != nil {
		t.Errorf("%+v", u)
	}
	for _, c := range []struct {
		lengths []int
		want    string
	}{
		{[]int{100, 300}, "holds for 2 of 2 cost ratios, which are between 10× and 30×; the ratio grows with the context in 1 of 1 comparisons of a longer with the shortest one, to 3 times"},
		{[]int{100}, "holds for 1 of 1 cost ratios, which are 10×; whether the ratio grows with the context takes cells of two lengths"},
	} {
		if got := analyzed(t, rows(c.lengths...), Options{}).Claims[0].Evidence; got != c.want {
			t.Errorf("%v: %s", c.lengths, got)
		}
	}
}
