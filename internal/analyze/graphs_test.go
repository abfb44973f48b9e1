package analyze

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// h200 are rows of gpt2 on an NVIDIA H200 with CUDA graphs and without, two
// scenarios of three repetitions, warm-ups without their steps. The figures
// the tests expect of them were computed by a few lines of Python.
func h200(t *testing.T) []record.Record {
	t.Helper()
	rows, warnings, err := record.Read(filepath.Join("testdata", "h200.jsonl"))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return rows
}

func close5(got *float64, want float64) bool {
	return got != nil && math.Abs(*got-want) <= 1e-5*math.Abs(want)
}

func TestCaptureSteps(t *testing.T) {
	for _, c := range []struct {
		prompt, n int
		want      []int
	}{
		{64, 64, []int{0, 1}},
		{64, 512, []int{0, 1, 192, 193, 448, 449}}, // positions 256 and 512
		{256, 4, []int{0, 1}},                      // the boundary falls on the first step
		{255, 4, []int{0, 1, 2}},
		{254, 6, []int{0, 1, 2, 3}},
		{64, 1, []int{0}},
		{64, 0, nil},
	} {
		var got []int
		for i, is := range captureSteps(c.prompt, c.n) {
			if is {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("prompt %d, %d steps: %v, want %v", c.prompt, c.n, got, c.want)
		}
	}
}

func TestGraphsOnAnH200(t *testing.T) {
	a := analyzed(t, h200(t), Options{})
	if len(a.Graphs) != 1 {
		t.Fatalf("%d pairs, want 1", len(a.Graphs))
	}
	g := a.Graphs[0]
	if g.Decode == nil || !close5(&g.Decode.Value, 1.3435652301644028) || g.Decode.CI.Lo >= g.Decode.Value || g.Decode.CI.Hi <= g.Decode.Value {
		t.Errorf("decode speed-up %+v", g.Decode)
	}
	if g.Replay == nil || g.Replay.Value <= g.Decode.Value {
		t.Errorf("without capture steps %+v, want more than %v", g.Replay, g.Decode.Value)
	}
	if !close5(g.OneTimeWithMs, 821.1438) || !close5(g.OneTimeWithoutMs, 521.0423) || !close5(g.CaptureMs, 3.45915-1.2826) {
		t.Errorf("one-time %v and %v ms, first captures %v ms", *g.OneTimeWithMs, *g.OneTimeWithoutMs, *g.CaptureMs)
	}
	// Tokens = seconds / (1/1176.801 - 1/1574.979), rounded up.
	gain := 1/1176.8010828204408 - 1/1574.9792668744944
	for _, c := range []struct {
		got *int64
		ms  float64
	}{{g.TokensCapture, 3.45915 - 1.2826}, {g.TokensExtra, 821.1438 - 521.0423}, {g.TokensAll, 821.1438}} {
		if want := int64(math.Ceil(c.ms / 1000 / gain)); c.got == nil || *c.got != want {
			t.Errorf("tokens for %v ms: %v, want %d", c.ms, c.got, want)
		}
	}
	s, ok := captures(g.With)
	if !ok || s.CaptureSteps != 12 || s.Steps != 576 || !close5(&s.ReplayP50Ms, 0.62095) || !close5(&s.CaptureMaxMs, 1.5316) || !close5(&s.ReplayTokPerS, 1601.435158486712) {
		t.Errorf("capture steps %+v", s)
	}
	for _, c := range a.Checks {
		if c.Name == "tokens across backends" && c.Outcome != Pass {
			t.Errorf("%+v", c)
		}
	}
}

func TestGraphPairsDifferInNothingElse(t *testing.T) {
	for name, change := range map[string]func(r *record.Record){
		"environment":     func(r *record.Record) { r.EngineEnv["GGML_CUDA_GRAPH_OPT"] = "1" },
		"flash attention": func(r *record.Record) { r.FlashAttn = "off" },
		"device":          func(r *record.Record) { r.Device = "other" },
		"cpu":             func(r *record.Record) { r.Graphs = nil },
	} {
		rows := h200(t)
		for i := range rows {
			if rows[i].Backend == "llamacpp-gpu" {
				change(&rows[i])
			}
		}
		if a := analyzed(t, rows, Options{}); len(a.Graphs) != 0 {
			t.Errorf("%s: a pair", name)
		}
	}
}

func TestDeviceTimeOnAnH200(t *testing.T) {
	a := analyzed(t, h200(t), Options{})
	table := tableNamed(t, a, "tables/device_time")
	for _, row := range table.Rows {
		if row[3] != "short_prompt" {
			continue
		}
		want := map[any]float64{"llamacpp-gpu-graphs": 12.512935666144301, "llamacpp-gpu": 9.58399518480317}[row[1]]
		if got, ok := row[5].(float64); !ok || !close5(&got, want) {
			t.Errorf("%v: decode host gap %v %%, want %v", row[1], row[5], want)
		}
		if row[4] != nil { // these rows have no busy time of the prefill
			t.Errorf("%v: prefill host gap %v %%", row[1], row[4])
		}
	}
	if len(table.Rows) != 4 {
		t.Errorf("%d rows, want 4", len(table.Rows))
	}
}

func TestDecodeGapIsOfWarmups(t *testing.T) {
	row := func(rep int, warmup bool, busyMs float64) record.Record {
		r := okRow("m", "b", 0, rep, 100, 1000)
		r.Warmup = warmup
		if busyMs > 0 {
			r.StepCudaMs = []float64{busyMs / 2, busyMs / 2}
		}
		return r
	}
	// The first warm-up loads kernels and does not count: 1 - (900+800)/2000.
	rows := []record.Record{row(0, true, 100), row(1, true, 900), row(2, true, 800), row(0, false, 0)}
	rows[3].DecodeCudaMs = ptr(990.0)
	for _, c := range []struct {
		rows    []record.Record
		gap     any
		stepped int
	}{
		{rows, 15.0, 2},
		{[]record.Record{rows[0], rows[3]}, nil, 0},
		{[]record.Record{rows[0], rows[3], row(1, false, 700)}, 30.0, 1}, // an older run
	} {
		got := tableNamed(t, analyzed(t, c.rows, Options{}), "tables/device_time").Rows[0]
		gap, same := got[5], got[5] == c.gap
		if v, ok := gap.(float64); ok {
			want, _ := c.gap.(float64)
			same = near(v, want)
		}
		if !same || got[9] != c.stepped || got[7] != 0.99 {
			t.Errorf("gap %v of %v rows, want %v of %v; events/wall %v", gap, got[9], c.gap, c.stepped, got[7])
		}
	}
}

func TestFirstExtraNeedsALaterWarmup(t *testing.T) {
	first, other := okRow("m", "b", 0, 0, 10, 20), okRow("m", "b", 0, 0, 1, 1)
	first.Warmup, other.Warmup = true, true
	other.CellID = "other scenario"
	if o := analyzed(t, []record.Record{first, other}, Options{}).OneTime[0]; o.FirstDecodeExtraMs != nil {
		t.Errorf("extra %v ms against another scenario", *o.FirstDecodeExtraMs)
	}
}

func tableNamed(t *testing.T, a *Analysis, name string) *Table {
	t.Helper()
	tables, err := a.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if table.Name == name {
			return table
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}
