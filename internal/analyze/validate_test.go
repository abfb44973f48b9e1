package analyze

import (
	"fmt"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// repeated returns n repetitions of a row that f may change.
func repeated(n int, f func(rep int, r *record.Record)) []record.Record {
	var out []record.Record
	for rep := range n {
		r := okRow("m", "b", 0, rep, 100+0.1*float64(rep), 1000+float64(rep))
		total := *r.PrefillMs + *r.DecodeMs
		r.TotalMs = &total
		if f != nil {
			f(rep, &r)
		}
		out = append(out, r)
	}
	return out
}

// longer returns the rows as those of a scenario with twice the work.
func longer(rows []record.Record, factor float64) []record.Record {
	var out []record.Record
	for _, r := range rows {
		p, d := factor**r.PrefillMs, factor**r.DecodeMs
		r.Scenario, r.CellID, r.PrefillMs, r.DecodeMs, r.TotalMs = "long", "long", &p, &d, nil
		r.PromptTokens, r.GenTokens = 2*r.PromptTokens, 2*r.GenTokens
		out = append(out, r)
	}
	return out
}

func uncachedRows(prompt, gen int, ms float64) []record.Record {
	return repeated(5, func(rep int, r *record.Record) {
		decode := ms + 0.1*float64(rep)
		r.DecodeMode, r.Scenario, r.CellID = "uncached", fmt.Sprint(prompt), fmt.Sprint(prompt)
		r.PromptTokens, r.GenTokens, r.DecodeMs, r.TotalMs = prompt, gen, &decode, nil
	})
}

func TestChecks(t *testing.T) {
	sound := repeated(5, nil)
	one := func(f func(r *record.Record)) []record.Record {
		return repeated(5, func(rep int, r *record.Record) {
			if rep == 1 {
				f(r)
			}
		})
	}
	all := func(f func(r *record.Record)) []record.Record {
		return repeated(5, func(_ int, r *record.Record) { f(r) })
	}
	info := &record.ModelInfo{Layers: 1, Heads: 2, KVHeads: 2, HeadDimK: 8, HeadDimV: 8, CtxTrain: 1 << 20}
	kv := func(used int64) []record.Record {
		return all(func(r *record.Record) { r.ModelInfo, r.KVUsedBytes = info, &used })
	}
	power := func(samples int) []record.Record {
		return all(func(r *record.Record) {
			s := record.PowerStats{PowerMeanW: ptr(50.0), NSamples: samples}
			r.PhasePower = &record.PhasePower{Prefill: s, Decode: s, SensorPeriodMs: ptr(1.0)}
		})
	}
	// Two backends of a device, each of which samples the same tokens every time.
	two := func(tokens, prompt, device string) []record.Record {
		backend := func(name, tokens, prompt, device string) []record.Record {
			return all(func(r *record.Record) {
				r.Backend, r.CellID, r.TokenHash, r.PromptHash, r.Device = name, name, tokens, prompt, device
			})
		}
		return append(backend("x", "t", "p", "d"), backend("y", tokens, prompt, device)...)
	}
	for _, c := range []struct {
		check string
		rows  []record.Record
		want  Outcome
	}{
		{"accounting", sound, Pass},
		{"accounting", one(func(r *record.Record) { r.Status, r.Error = record.StatusError, &record.Error{Message: "x"} }), Fail},
		{"phase sum", sound, Pass},
		{"phase sum", one(func(r *record.Record) { r.TotalMs = ptr(1200.0) }), Fail},
		{"phase sum", all(func(r *record.Record) { r.TotalMs = nil }), Untested},
		{"prefill monotonicity", sound, Untested},
		{"prefill monotonicity", append(repeated(5, nil), longer(sound, 1.5)...), Pass},
		{"prefill monotonicity", append(repeated(5, nil), longer(sound, 0.5)...), Fail},
		{"prefill monotonicity", append(repeated(2, nil), longer(repeated(2, nil), 0.5)...), Warn},
		{"prefill monotonicity", append(repeated(5, nil), longer(sound, 0.95)...), Warn},
		{"decode monotonicity", append(repeated(1, nil), longer(sound[:1], 0.5)...), Warn}, // one row: no interval
		{"decode monotonicity", append(repeated(5, nil), longer(sound, 0.5)...), Fail},
		// 3 steps over a long prompt are more work than 8 over a short one.
		{"decode monotonicity", append(uncachedRows(64, 8, 100), uncachedRows(256, 3, 140)...), Pass},
		{"decode monotonicity", append(uncachedRows(64, 8, 100), uncachedRows(256, 3, 60)...), Fail},
		{"KV formula", sound, Untested},
		{"KV formula", kv(110 * 2 * 16 * 2), Pass},
		{"KV formula", kv(110*2*16*2 + 1), Fail},
		{"throttling", sound, Untested},
		{"throttling", all(func(r *record.Record) { r.GPUClockMHz = ptr(1980.0) }), Pass},
		{"throttling", one(func(r *record.Record) { r.Throttle = []string{"sw_power_cap"} }), Warn},
		{"throttling", one(func(r *record.Record) { r.Throttle = []string{"hw_thermal_slowdown"} }), Fail},
		{"temperature", all(func(r *record.Record) { r.GPUTempC = ptr(79.0) }), Pass},
		{"temperature", one(func(r *record.Record) { r.GPUTempC = ptr(81.0) }), Warn},
		{"clock stability", repeated(5, func(rep int, r *record.Record) { r.GPUClockMHz = ptr(1900 + float64(rep)) }), Pass},
		{"clock stability", repeated(5, func(rep int, r *record.Record) { r.GPUClockMHz = ptr(1000 + 200*float64(rep)) }), Warn},
		{"warm-up", sound, Pass},
		{"warm-up", repeated(5, func(rep int, r *record.Record) {
			if rep == 0 {
				r.DecodeMs = ptr(1200.0)
			}
		}), Warn},
		{"warm-up", repeated(1, nil), Untested},
		{"tokens", sound, Untested},
		{"tokens", all(func(r *record.Record) { r.TokenHash = "x" }), Pass},
		{"tokens", repeated(5, func(rep int, r *record.Record) { r.TokenHash = fmt.Sprint(rep) }), Fail},
		{"tokens", repeated(5, func(rep int, r *record.Record) { r.TokenHash, r.PromptHash = fmt.Sprint(rep), fmt.Sprint(rep) }), Untested},
		{"tokens across backends", two("t", "p", "d"), Pass},
		{"tokens across backends", two("other", "p", "d"), Warn},
		{"tokens across backends", two("other", "q", "d"), Untested},
		{"tokens across backends", two("other", "p", "e"), Untested},
		{"tokens across backends", two("other", "", "d"), Untested},
		{"outliers", sound, Pass},
		{"outliers", one(func(r *record.Record) { r.DecodeMs = ptr(5000.0) }), Warn},
		{"outliers", repeated(3, nil), Untested},
		{"power samples", sound, Untested},
		{"power samples", power(3), Pass},
		{"power samples", power(2), Warn},
	} {
		a := analyzed(t, c.rows, Options{})
		found := false
		for _, got := range a.Checks {
			if got.Name != c.check {
				continue
			}
			found = true
			if got.Outcome != c.want {
				t.Errorf("%s: %+v, want %s", c.check, got, c.want)
			}
			if (c.want == Warn || c.want == Fail) && c.check != "accounting" && len(got.Where) == 0 {
				t.Errorf("%s does not say where", c.check)
			}
		}
		if !found {
			t.Errorf("no check %s", c.check)
		}
		if c.want == Fail && !a.Failed() {
			t.Errorf("%s failed, the validation did not", c.check)
		}
	}
}

func TestKVPointsAreChecked(t *testing.T) {
	info := &record.ModelInfo{Layers: 1, Heads: 2, KVHeads: 2, HeadDimK: 8, HeadDimV: 8, CtxTrain: 64}
	point := record.KVRecord{Model: "m", KVTypeK: "f16", KVTypeV: "f16", Asked: 64, Tokens: 64, PrefillTokens: 56,
		UsedBytes: 64 * 64, PrefillUsedBytes: 56 * 64, WeightsBytes: 1 << 20, ModelInfo: info}
	for name, c := range map[string]struct {
		change func(p *record.KVRecord)
		exact  bool
	}{
		"sound":              {func(*record.KVRecord) {}, true},
		"after decode":       {func(p *record.KVRecord) { p.UsedBytes++ }, false},
		"after prefill":      {func(p *record.KVRecord) { p.PrefillUsedBytes++ }, false},
		"left over clearing": {func(p *record.KVRecord) { p.ClearedUsedBytes = 1 }, false},
	} {
		p := point
		c.change(&p)
		a := analyzed(t, repeated(2, nil), Options{KV: []record.KVRecord{p}})
		if got := a.KVPoints[0].Exact; got == nil || *got != c.exact || a.Failed() == c.exact {
			t.Errorf("%s: exact %v, failed %v", name, *got, a.Failed())
		}
	}
}

func TestClaims(t *testing.T) {
	status := func(rows []record.Record, number int, opts Options) Claim {
		t.Helper()
		a := analyzed(t, rows, opts)
		for _, c := range a.Claims {
			if c.Number == number {
				return c
			}
		}
		t.Fatalf("no claim %d", number)
		return Claim{}
	}
	uncached := func(factor float64, n int) []record.Record {
		rows := repeated(n, nil)
		for _, r := range repeated(n, nil) {
			ms := factor * *r.DecodeMs
			r.DecodeMode, r.Scenario, r.CellID, r.DecodeMs, r.TotalMs = "uncached", "no_cache", "u", &ms, nil
			rows = append(rows, r)
		}
		return rows
	}
	shaped := func(kvHeads int) []record.Record {
		mha, gqa := repeated(2, nil), repeated(2, nil)
		mha[0].ModelInfo = &record.ModelInfo{Layers: 1, Heads: 8, KVHeads: 8, HeadDimK: 8, HeadDimV: 8, CtxTrain: 64}
		for i := range gqa {
			gqa[i].Model, gqa[i].CellID = "g", "g"
		}
		gqa[0].ModelInfo = &record.ModelInfo{Layers: 1, Heads: 8, KVHeads: kvHeads, HeadDimK: 8, HeadDimV: 8, CtxTrain: 64}
		return append(mha, gqa...)
	}
	phases := func(factor float64) []record.Record { // of a decoded token over a prompt token
		return repeated(3, func(_ int, r *record.Record) {
			r.PrefillMs, r.DecodeMs, r.TotalMs = ptr(100.0), ptr(factor*10), nil
		})
	}
	hot := func(watts float64) []record.Record {
		return repeated(3, func(_ int, r *record.Record) {
			r.Device = "gpu-a"
			r.PhasePower = powered(&watts, &watts)
		})
	}
	priced := Options{Pricing: testPricing()} // gpu-a: $0.036/h, and $0.2/kWh, so 180 W cost as much
	bought := testPricing()
	bought.Tiers[0].BoughtUSD = ptr(1000.0)
	bought.Tiers[1].Devices, bought.Tiers[1].Term = nil, "on-demand" // $3.6/h, 100 times as dear
	for _, c := range []struct {
		number int
		rows   []record.Record
		opts   Options
		want   Status
	}{
		{1, repeated(3, nil), Options{}, NotTestable},
		{1, uncached(5, 3), Options{}, Validated},
		{1, uncached(0.5, 3), Options{}, Refuted},
		{1, uncached(5, 1), Options{}, NotTestable}, // no interval
		{2, repeated(3, nil), Options{}, NotTestable},
		{2, h200(t), Options{}, Validated},
		{3, repeated(3, nil), Options{}, NotTestable},
		{3, shaped(2), Options{}, Validated},
		{3, shaped(4), Options{}, Refuted},
		{4, hot(179), priced, Validated},
		{4, hot(181), priced, Refuted},
		{4, hot(100), Options{}, NotTestable},
		{5, hot(100), priced, NotTestable},
		{5, repeated(3, func(_ int, r *record.Record) { r.Device = "gpu-a" }), Options{Pricing: bought}, Validated},
		{5, hot(2000), Options{Pricing: bought}, Refuted}, // energy costs the same everywhere
		{6, repeated(3, nil), Options{}, NotTestable},
		{6, h200(t), Options{}, Validated},
		{7, phases(50), Options{}, Validated},
		{7, phases(9), Options{}, Refuted},
		{7, phases(101), Options{}, Refuted},
		{7, nil, Options{}, NotTestable},
	} {
		got := status(c.rows, c.number, c.opts)
		if got.Status != c.want {
			t.Errorf("claim %d: %s (%s), want %s", c.number, got.Status, got.Evidence, c.want)
		}
		if got.Evidence == "" || got.Predicate == "" {
			t.Errorf("claim %d: %+v", c.number, got)
		}
	}
}

func TestBackendTestsAreCorrectedTogether(t *testing.T) {
	var rows []record.Record
	for i, backend := range []string{"a", "b", "c"} {
		for _, r := range repeated(5, nil) {
			prefill, decode := *r.PrefillMs, *r.DecodeMs*[]float64{1, 1.0001, 2}[i]
			r.Backend, r.CellID, r.PrefillMs, r.DecodeMs = backend, backend, &prefill, &decode
			rows = append(rows, r)
		}
	}
	a := analyzed(t, rows, Options{})
	if len(a.Tests) != 6 {
		t.Fatalf("%d tests, want 3 pairs in 2 phases", len(a.Tests))
	}
	want := map[string]string{
		"prefill a b": "~", "decode a b": "~", "prefill a c": "~", "decode a c": "a is faster", "prefill b c": "~", "decode b c": "b is faster",
	}
	for _, x := range a.Tests {
		key := x.Phase + " " + x.A.Backend + " " + x.B.Backend
		if x.Verdict() != want[key] {
			t.Errorf("%s: %s, want %s", key, x.Verdict(), want[key])
		}
		if x.PHolm < x.Ratio.Test.P {
			t.Errorf("%s: corrected p %v under p %v", key, x.PHolm, x.Ratio.Test.P)
		}
		if what := replicates(x.ByLaunch, x.Launches); what != "rows of one process" {
			t.Errorf("%s: %s", key, what)
		}
	}
}

func TestEveryTableHasRowsOrAReason(t *testing.T) {
	for name, rows := range map[string][]record.Record{"nothing": nil, "a CPU": repeated(3, nil), "an H200": h200(t)} {
		tables, err := analyzed(t, rows, Options{Pricing: testPricing()}).Tables()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, table := range tables {
			if seen[table.Name] || table.Title == "" {
				t.Errorf("%s: table %q twice or without title", name, table.Name)
			}
			seen[table.Name] = true
			if (len(table.Rows) == 0) != strings.HasPrefix(table.Missing, "needs ") {
				t.Errorf("%s: table %s has %d rows and reason %q", name, table.Name, len(table.Rows), table.Missing)
			}
		}
	}
}

// Of three backends the one that computes something else is named, wherever it
// stands, and an odd repetition makes no backend another.
func TestOtherBackendIsNamed(t *testing.T) {
	for odd := range 3 {
		var rows []record.Record
		for i, name := range []string{"x", "y", "z"} {
			tokens := "t"
			if i == odd {
				tokens = "other"
			}
			rows = append(rows, repeated(3, func(rep int, r *record.Record) {
				r.Backend, r.CellID, r.TokenHash, r.PromptHash, r.Device = name, name, tokens, "p", "d"
				if rep == 0 {
					r.TokenHash = name
				}
			})...)
		}
		want := []string{"m on x other than y and z, s", "m on x and z other than y, s", "m on x and y other than z, s"}[odd]
		for _, c := range analyzed(t, rows, Options{}).Checks {
			if c.Name == "tokens across backends" && (len(c.Where) != 1 || c.Where[0] != want) {
				t.Errorf("%v, want %s", c.Where, want)
			}
		}
	}
}
