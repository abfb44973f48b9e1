package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// TestOrder pins the order of execution: launch, model, backend, and in a
// worker repetition, kv type, scenario, with the warm-ups of a cell before its
// first row.
func TestOrder(t *testing.T) {
	s := spec()
	s.Repetitions, s.Launches = 2, 2
	s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"})
	second := s.Backends[0]
	second.Name, second.Warmup = "cpu2", 1
	second.Env = map[string]string{"X": "1"}
	s.Backends = append(s.Backends, second)
	s.Scenarios = append(s.Scenarios, matrix.Scenario{Name: "b", PromptTokens: 16, GenTokens: 2, Decode: "cached"})
	s.KVTypes = append(s.KVTypes, matrix.KVType{K: "q8_0", V: "q8_0"})
	e := newFake()
	rows, sum := play(t, s, e, nil)

	var want []string
	for range 2 { // launches
		for _, model := range []string{"m", "n"} {
			want = append(want,
				"open "+model+".gguf cpu",
				"f16 8+4", "f16 16+2", "q8_0 8+4", "q8_0 16+2",
				"f16 8+4", "f16 16+2", "q8_0 8+4", "q8_0 16+2",
				"open "+model+".gguf cpu",
				"f16 8+4", "f16 8+4", "f16 16+2", "f16 16+2", "q8_0 8+4", "q8_0 8+4", "q8_0 16+2", "q8_0 16+2",
				"f16 8+4", "f16 16+2", "q8_0 8+4", "q8_0 16+2")
		}
	}
	wantLines(t, strings.Join(e.log, "\n"), strings.Join(want, "\n"))
	if sum.Planned != 64 || sum.OK != 64 || sum.Warmups != 16 || sum.Missing() != 0 || sum.Interrupted || len(rows) != 80 {
		t.Errorf("summary %+v, %d rows", sum, len(rows))
	}
	// 4 inspecting workers, then 8 that load: 10 ms each, and each row 2 ms
	// and its steps, of which there are 4 or 2.
	if want := 8*10 + 40*(2.0+4) + 40*(2.0+2); sum.BusyMs != want {
		t.Errorf("busy %v ms, want %v", sum.BusyMs, want)
	}
	if len(e.labels) != 12 || e.labels[4] != "m on cpu, launch 0" || e.labels[5] != "m on cpu2, launch 0" || e.envs[5]["X"] != "1" || len(e.envs[4]) != 0 {
		t.Errorf("workers %q, env %v", e.labels, e.envs)
	}
	seen := map[record.Key]bool{}
	for _, r := range rows {
		if seen[r.Key()] {
			t.Errorf("twice: %+v", r.Key())
		}
		seen[r.Key()] = true
	}
}

func TestRowContent(t *testing.T) {
	s := spec()
	s.Repetitions = 2
	s.Scenarios[0].GenTokens = 2
	s.Backends[0].Threads = 0
	s.Backends[0].Env = map[string]string{"OMP_X": "1"}
	e := newFake()
	ctxMs, cuda, cudaDecode := 3.0, 1.5, 0.875
	e.row = func(n int, q wire.Row) (wire.Reply, error, bool) {
		a := e.answer(q)
		a.Warnings = []string{"w"}
		a.PrefillCudaMs, a.DecodeCudaMs, a.StepCudaMs = &cuda, &cudaDecode, []float64{0.25, 0.5}
		if n == 1 {
			a.ContextMs = &ctxMs
		}
		return wire.Reply{Row: a}, nil, true
	}
	rows, sum := play(t, s, e, nil)
	if len(rows) != 2 || sum.BusyMs != 10+3+2*4 {
		t.Fatalf("summary %+v, %d rows", sum, len(rows))
	}
	first, second := rows[0], rows[1]
	if first.LoadMs == nil || *first.LoadMs != 10 || first.ModelInfo == nil || first.ModelInfo.Arch != "fake" || first.ContextMs == nil {
		t.Errorf("first row lacks the one-time costs: %+v", first)
	}
	if second.LoadMs != nil || second.ModelInfo != nil || second.ContextMs != nil {
		t.Errorf("second row repeats the one-time costs: %+v", second)
	}
	p := func(v float64) *float64 { return &v }
	b := func(v int64) *int64 { return &v }
	want := record.Record{
		Timestamp: second.Timestamp, RunID: "r", CellID: planOf(t, s).Cells[0].ID,
		Model: "m", Backend: "cpu", Scenario: "a", Rep: 1, Status: record.StatusOK,
		Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", Seed: 42,
		PromptTokens: 8, GenTokens: 2, PromptHash: "p", TokenHash: "t", Synthetic: true,
		PrefillMs: p(2), DecodeMs: p(2), TotalMs: p(4), StepMs: []float64{1, 1}, StartNs: 6e6,
		PrefillCudaMs: p(1.5), DecodeCudaMs: p(0.875), StepCudaMs: []float64{0.25, 0.5},
		KVUsedBytes: b(5),
		Device:      "Fake", DeviceKind: "cpu", EngineVersion: "v", EngineEnv: map[string]string{"OMP_X": "1"},
		Threads: 2, NCtx: 256, NBatch: 64, NUbatch: 64, FlashAttn: "auto", Mmap: on(), Argmax: "graph",
		Warnings: []string{"w"},
	}
	if !reflect.DeepEqual(second, want) {
		t.Errorf("got  %+v\nwant %+v", second, want)
	}
}

func TestSkips(t *testing.T) {
	s := spec()
	s.Repetitions = 2
	s.Models = append(s.Models, matrix.Model{Name: "big", Path: "big.gguf"})
	gpu := matrix.Backend{Name: "gpu", Device: "cuda", Graphs: on()}
	s.Backends = append(s.Backends, gpu)
	s.Skip = []matrix.SkipRule{{Model: "big", Backend: "cpu", Reason: "too slow"}}
	var told notes
	rows, sum := play(t, s, newFake(), func(o *Options) { o.Progress = &told })
	wantLines(t, strings.Join(told.text, "\n"), `
m on gpu: 2 rows skipped: no CUDA device
big on cpu: 2 rows skipped: too slow
big on gpu: 2 rows skipped: no CUDA device`)
	wantLines(t, lines(rows), `
0 m gpu a f16/0: skipped no CUDA device
0 m gpu a f16/1: skipped no CUDA device
0 big cpu a f16/0: skipped too slow
0 big cpu a f16/1: skipped too slow
0 big gpu a f16/0: skipped no CUDA device
0 big gpu a f16/1: skipped no CUDA device
0 m cpu a f16/0: ok
0 m cpu a f16/1: ok`)
	if sum.Planned != 8 || sum.OK != 2 || sum.Skipped != 6 || sum.Missing() != 0 {
		t.Errorf("summary %+v", sum)
	}
	if g := rows[0]; g.DeviceKind != "gpu" || g.GPULayers != -1 || g.Graphs == nil || g.SkipKind != record.SkipDevice || g.PromptTokens != 0 || g.Device != "" {
		t.Errorf("skipped row %+v", g)
	}

	// Resumed on the same machine nothing happens; with a GPU its rows are run.
	for _, tc := range []struct {
		host Host
		want string
	}{
		{Host{}, ""},
		{Host{Devices: wire.DevicesReply{Devices: []wire.Device{{Kind: "gpu", Backend: "CUDA"}}}}, `
0 m gpu a f16/0: ok
0 m gpu a f16/1: ok
0 big gpu a f16/0: ok
0 big gpu a f16/1: ok`},
	} {
		again, sum := play(t, s, newFake(), func(o *Options) { o.Rows, o.Host = rows, tc.host })
		wantLines(t, lines(again), tc.want)
		if sum.OK != 2+len(again) || sum.Missing() != 0 {
			t.Errorf("summary %+v", sum)
		}
	}
}

func TestMemoryAndPositions(t *testing.T) {
	s := spec()
	s.Scenarios = []matrix.Scenario{
		{Name: "fits", PromptTokens: 8, GenTokens: 4, Decode: "cached"},
		{Name: "long", PromptTokens: 30, GenTokens: 4, Decode: "cached"},
		{Name: "endless", PromptTokens: 1, GenTokens: 32, Decode: "cached"},
	}
	s.KVTypes = []matrix.KVType{{K: "f32", V: "f32"}, {K: "f16", V: "f16"}, {K: "q8_0", V: "q8_0"}}
	e := newFake()
	e.ctxTrain = 32
	const mib = 1 << 20
	e.need = func(c wire.ContextSpec) wire.MemoryNeed {
		if c.NCtx != 32 {
			t.Errorf("context %+v, want the 32 positions of the clamped scenario", c)
		}
		kv := map[string]int64{"f32": 40, "f16": 20, "q8_0": 10}[c.TypeK]
		return wire.MemoryNeed{Host: wire.MemoryBytes{Weights: 50 * mib, KV: kv * mib, Compute: 5 * mib}}
	}
	// 50 of weights; f32 needs 45 more, f16 25, and beside f16 q8_0 15.
	host := Host{MemAvailableBytes: 90 * mib}
	rows, _ := play(t, s, e, func(o *Options) { o.Host = host })
	endless := "skipped gen_tokens 32 leaves no room for a prompt in the model's 32 positions"
	wantLines(t, lines(rows), `
0 m cpu fits f32/0: skipped needs 95 MiB of main memory, 90 MiB are available
0 m cpu long f32/0: skipped needs 95 MiB of main memory, 90 MiB are available
0 m cpu endless f32/0: `+endless+`
0 m cpu endless f16/0: `+endless+`
0 m cpu endless q8_0/0: `+endless+`
0 m cpu fits f16/0: ok
0 m cpu long f16/0: ok
0 m cpu fits q8_0/0: ok
0 m cpu long q8_0/0: ok`)
	long := rows[6]
	if long.PromptTokens != 28 || len(long.Warnings) != 1 || !strings.Contains(long.Warnings[0], "clamped from 30 to 28 tokens") {
		t.Errorf("clamped row: %d tokens, warnings %q", long.PromptTokens, long.Warnings)
	}
	if len(rows[5].Warnings) != 0 {
		t.Errorf("row that was not clamped warns %q", rows[5].Warnings)
	}
	for _, c := range e.contexts {
		if c.NCtx != 32 {
			t.Errorf("row in context %+v", c)
		}
	}

	groups, err := Check(t.Context(), planOf(t, s), host, e)
	if err != nil || len(groups) != 1 {
		t.Fatal(groups, err)
	}
	g := groups[0]
	if g.Info.Arch != "fake" || len(g.Contexts) != 3 || g.Contexts[0].Need.Host.Sum() != 95*mib || g.Cells[4].PromptTokens != 28 ||
		g.Cells[0].SkipKind != record.SkipMemory || g.Cells[2].SkipKind != record.SkipPositions || !g.Cells[4].runs() {
		t.Errorf("check %+v", g)
	}

	// One MiB less and the third context does not fit beside the second.
	rows, _ = play(t, s, e, func(o *Options) { o.Host.MemAvailableBytes = 89 * mib })
	if got, want := line(rows[4]), "0 m cpu fits q8_0/0: skipped needs 90 MiB of main memory, 89 MiB are available"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGPUMemory(t *testing.T) {
	promise.Of(t, "a model that is too large for the GPU", "a worker that needs 3 MiB of 2",
		"its rows are skipped before it is loaded, with what is needed and what is free")
	s := spec()
	s.Backends[0] = matrix.Backend{Name: "gpu", Device: "cuda"}
	e := newFake()
	e.need = func(wire.ContextSpec) wire.MemoryNeed {
		return wire.MemoryNeed{Device: wire.MemoryBytes{Weights: 3 << 20}, FreeDev: 2 << 20}
	}
	rows, _ := play(t, s, e, func(o *Options) {
		o.Host.Devices.Devices = []wire.Device{{Kind: "gpu", Backend: "CUDA"}}
	})
	wantLines(t, lines(rows), "0 m gpu a f16/0: skipped needs 3 MiB of GPU memory, 2 MiB are free")
}

func TestWorkerDeath(t *testing.T) {
	two := func() *matrix.Spec {
		s := spec()
		s.Repetitions = 3
		s.Backends[0].Warmup = 1
		s.Scenarios = append(s.Scenarios, matrix.Scenario{Name: "b", PromptTokens: 16, GenTokens: 2, Decode: "cached"})
		return s
	}
	for _, tc := range []struct {
		name   string
		at     []int // of the rows asked for, those that kill the worker
		opens  int
		want   string
		errors int
	}{
		{"once, in a row", []int{4}, 2, `
0 m cpu a f16/w0: ok
0 m cpu a f16/0: ok
0 m cpu b f16/w0: ok
0 m cpu b f16/0: error signal
0 m cpu b f16/w0: ok
0 m cpu b f16/0: ok
0 m cpu a f16/w0: ok
0 m cpu a f16/1: ok
0 m cpu b f16/1: ok
0 m cpu a f16/2: ok
0 m cpu b f16/2: ok`, 0},
		{"once, in a warm-up", []int{1}, 2, `
0 m cpu a f16/w0: error signal
0 m cpu a f16/w0: ok
0 m cpu a f16/0: ok
0 m cpu b f16/w0: ok
0 m cpu b f16/0: ok
0 m cpu a f16/1: ok
0 m cpu b f16/1: ok
0 m cpu a f16/2: ok
0 m cpu b f16/2: ok`, 0},
		{"always in one cell", []int{4, 6}, 3, `
0 m cpu a f16/w0: ok
0 m cpu a f16/0: ok
0 m cpu b f16/w0: ok
0 m cpu b f16/0: error signal
0 m cpu b f16/w0: ok
0 m cpu b f16/0: error signal
0 m cpu a f16/w0: ok
0 m cpu a f16/1: ok
0 m cpu b f16/1: error signal
0 m cpu a f16/2: ok
0 m cpu b f16/2: error signal`, 3},
		{"in both tries of a warm-up", []int{1, 2}, 3, `
0 m cpu a f16/w0: error signal
0 m cpu a f16/w0: error signal
0 m cpu a f16/0: error signal
0 m cpu b f16/w0: ok
0 m cpu b f16/0: ok
0 m cpu a f16/1: error signal
0 m cpu b f16/1: ok
0 m cpu a f16/2: error signal
0 m cpu b f16/2: ok`, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFake()
			e.row = death(tc.at...)
			rows, sum := play(t, two(), e, nil)
			wantLines(t, lines(rows), tc.want)
			if sum.Deaths != len(tc.at) || sum.Errors != tc.errors || sum.OK != 6-tc.errors || e.opens != tc.opens {
				t.Errorf("summary %+v, %d opens", sum, e.opens)
			}
			for _, r := range rows {
				if r.Error == nil {
					continue
				}
				if r.Error.Signal != "SIGABRT" || len(r.Error.StderrTail) != 1 || !strings.Contains(r.Error.Message, "GGML_ASSERT failed") {
					t.Errorf("error %+v", r.Error)
				}
				if late := r.Rep > 0; late != strings.HasPrefix(r.Error.Message, "not attempted after 2 worker deaths in this cell") && tc.name == "always in one cell" {
					t.Errorf("rep %d: %s", r.Rep, r.Error.Message)
				}
			}

			// Resuming tries the errors again and ends with every row ok once.
			again, sum := play(t, two(), newFake(), func(o *Options) { o.Rows = rows })
			latest, warnings := record.Latest(slices.Concat(rows, again))
			for _, r := range latest {
				if r.Status != record.StatusOK {
					t.Errorf("after resuming: %s", line(r))
				}
			}
			if len(warnings) != 0 || sum.OK != 6 || sum.Errors != 0 {
				t.Errorf("after resuming: %+v, warnings %v", sum, warnings)
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	promise.Of(t, "a device has no memory for a model", "a worker that says so when it opens the model, or dies of it once or twice",
		"error rows of kind memory for that model; the next one runs")
	promise.Tries(t, 3)
	s := spec()
	s.Repetitions = 2
	s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"})
	for _, tc := range []struct {
		name         string
		open         func(n int) error
		opens        int
		first, other string
	}{
		{"refused", func(n int) error { return map[bool]error{true: errors.New("out of memory")}[n == 1] }, 2, "error memory", "ok"},
		{"dies once", func(n int) error { return map[bool]error{true: &Death{ExitCode: 3}}[n == 1] }, 3, "ok", "ok"},
		{"dies twice", func(n int) error { return map[bool]error{true: &Death{ExitCode: 3}}[n <= 2] }, 3, "error exit", "ok"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFake()
			e.open = tc.open
			rows, _ := play(t, s, e, nil)
			wantLines(t, lines(rows), fmt.Sprintf(`
0 m cpu a f16/0: %[1]s
0 m cpu a f16/1: %[1]s
0 n cpu a f16/0: %[2]s
0 n cpu a f16/1: %[2]s`, tc.first, tc.other))
			if e.opens != tc.opens {
				t.Errorf("%d opens, want %d", e.opens, tc.opens)
			}
			if r := rows[0]; tc.first == "error exit" && (r.Error.ExitCode == nil || *r.Error.ExitCode != 3) {
				t.Errorf("error %+v", r.Error)
			}
		})
	}
}

func TestInspectFails(t *testing.T) {
	s := spec()
	s.KVTypes = append(s.KVTypes, matrix.KVType{K: "q8_0", V: "q8_0"})
	for _, tc := range []struct {
		name    string
		inspect func(n int, q wire.Inspect) error
		want    string
	}{
		{"one kv type refused", func(_ int, q wire.Inspect) error {
			if len(q.Contexts) > 0 && q.Contexts[0].TypeV == "q8_0" {
				return errors.New("needs flash attention")
			}
			return nil
		}, "0 m cpu a q8_0/0: error memory\n0 m cpu a f16/0: ok"},
		{"file kills the worker", func(int, wire.Inspect) error { return &Death{Signal: "SIGBUS"} },
			"0 m cpu a f16/0: error signal\n0 m cpu a q8_0/0: error signal"},
		{"worker killed once", func(n int, _ wire.Inspect) error { return map[bool]error{true: &Death{Signal: "SIGKILL"}}[n == 1] },
			"0 m cpu a f16/0: ok\n0 m cpu a q8_0/0: ok"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFake()
			e.inspect = tc.inspect
			rows, _ := play(t, s, e, nil)
			wantLines(t, lines(rows), tc.want)
		})
	}
}

func TestBadReplies(t *testing.T) {
	for name, spoil := range map[string]func(*wire.Reply){
		"engine error":       func(r *wire.Reply) { *r = wire.Reply{Error: &wire.Error{Kind: "engine", Message: "no"}} },
		"another question":   func(r *wire.Reply) { *r = wire.Reply{Devices: &wire.DevicesReply{}} },
		"a step is missing":  func(r *wire.Reply) { r.Row.StepEndNs = r.Row.StepEndNs[1:] },
		"clock went back":    func(r *wire.Reply) { r.Row.StepEndNs[2] = 0 },
		"prefill of no time": func(r *wire.Reply) { r.Row.PrefillEndNs = r.Row.StartNs },
		"device steps":       func(r *wire.Reply) { r.Row.StepCudaMs = []float64{1} },
	} {
		t.Run(name, func(t *testing.T) {
			s := spec()
			s.Repetitions = 2
			e := newFake()
			e.row = func(n int, q wire.Row) (wire.Reply, error, bool) {
				r := wire.Reply{Row: e.answer(q)}
				if n == 1 {
					spoil(&r)
				}
				return r, nil, true
			}
			rows, sum := play(t, s, e, nil)
			wantLines(t, lines(rows), "0 m cpu a f16/0: error engine\n0 m cpu a f16/1: ok")
			if e.opens != 1 || sum.Deaths != 0 || sum.Errors != 1 {
				t.Errorf("summary %+v, %d opens: the worker must live on", sum, e.opens)
			}
			if rows[0].TotalMs != nil || rows[0].PromptTokens != 0 {
				t.Errorf("error row with measurements: %+v", rows[0])
			}
		})
	}
}

func TestDifferentWorkIsWarnedOf(t *testing.T) {
	s := spec()
	s.Repetitions = 3
	e := newFake()
	e.row = func(n int, q wire.Row) (wire.Reply, error, bool) {
		a := e.answer(q)
		if n == 2 {
			a.TokenHash, a.PromptTokens = "other", 7
		}
		return wire.Reply{Row: a}, nil, true
	}
	rows, _ := play(t, s, e, nil)
	want := []string{
		"asked for 8+4 tokens, the worker did 7+4",
		"different tokens than repetition 0 of launch 0: the work was not the same",
	}
	if len(rows[0].Warnings)+len(rows[2].Warnings) != 0 || !slices.Equal(rows[1].Warnings, want) || rows[1].PromptTokens != 7 {
		t.Errorf("warnings %q, %q, %q", rows[0].Warnings, rows[1].Warnings, rows[2].Warnings)
	}
	// Rows of the run that is resumed count too.
	s.Repetitions = 4
	again, _ := play(t, s, e, func(o *Options) { o.Rows = rows })
	if len(again) != 1 || len(again[0].Warnings) != 0 {
		t.Errorf("resumed: %+v", again)
	}
	e.row = func(_ int, q wire.Row) (wire.Reply, error, bool) {
		a := e.answer(q)
		a.TokenHash = "third"
		return wire.Reply{Row: a}, nil, true
	}
	if again, _ = play(t, s, e, func(o *Options) { o.Rows = rows }); len(again[0].Warnings) != 1 {
		t.Errorf("resumed with other tokens: warnings %q", again[0].Warnings)
	}
}

// A run that is stopped after any of its rows and resumed ends with the rows of
// one that was not.
func TestStopAndResumeAnywhere(t *testing.T) {
	s := spec()
	s.Repetitions, s.Launches = 2, 2
	s.Backends[0].Warmup = 1
	s.Scenarios = append(s.Scenarios, matrix.Scenario{Name: "b", PromptTokens: 16, GenTokens: 2, Decode: "cached"})
	s.Backends = append(s.Backends, matrix.Backend{Name: "gpu", Device: "cuda"})
	final := func(rows []record.Record) map[record.Key]record.Status {
		latest, warnings := record.Latest(rows)
		if len(warnings) != 0 {
			t.Errorf("doubled rows: %v", warnings)
		}
		out := map[record.Key]record.Status{}
		for _, r := range latest {
			out[r.Key()] = r.Status
		}
		return out
	}
	whole, _ := play(t, s, newFake(), nil)
	want := final(whole)
	for at := 1; at < len(whole); at++ {
		stop := make(chan struct{})
		rows, sum := play(t, s, newFake(), func(o *Options) {
			o.Stop = stop
			o.Sink = &rowsOf{after: func(n int) {
				if n == at {
					close(stop)
				}
			}}
		})
		if at >= 8 && (len(rows) != at || !sum.Interrupted || sum.Missing() == 0) { // the first 8 are skipped, at once
			t.Errorf("stopped after %d: %d rows, %+v", at, len(rows), sum)
		}
		rest, sum := play(t, s, newFake(), func(o *Options) { o.Rows = rows })
		if got := final(slices.Concat(rows, rest)); !maps.Equal(got, want) || sum.Interrupted || sum.Missing() != 0 || sum.OK != 8 {
			t.Errorf("stopped after %d and resumed: %v\nwant %v\n%+v", at, got, want, sum)
		}
		// What was done is not done again, but for warm-ups.
		for _, r := range rest {
			if !r.Warmup && slices.ContainsFunc(rows, func(o record.Record) bool { return o.Key() == r.Key() }) {
				t.Errorf("stopped after %d: %s done twice", at, line(r))
			}
		}
	}
}

func TestCancelLeavesNoRow(t *testing.T) {
	s := spec()
	s.Repetitions = 3
	ctx, cancel := context.WithCancel(t.Context())
	e := newFake()
	e.row = func(n int, q wire.Row) (wire.Reply, error, bool) {
		if n == 2 {
			cancel()
			return wire.Reply{}, &Death{Signal: "SIGKILL", Cause: context.Canceled}, true
		}
		return wire.Reply{}, nil, false
	}
	sink := &rowsOf{}
	var told notes
	sum, err := Run(ctx, planOf(t, s), Options{Launcher: e, Sink: sink, Progress: &told})
	wantLines(t, lines(sink.rows), "0 m cpu a f16/0: ok")
	if err != nil || !sum.Interrupted || sum.Missing() != 2 || sum.Deaths != 0 || e.live != 0 {
		t.Errorf("%v, summary %+v, %d workers left", err, sum, e.live)
	}
	if len(told.text) != 0 {
		t.Errorf("the end that was asked for is told as a mishap: %q", told.text)
	}
}

type brokenSink struct{}

func (brokenSink) Append(*record.Record) error             { return errors.New("disk full") }
func (brokenSink) AppendWindow(*record.WindowRecord) error { return errors.New("disk full") }

func TestRowsThatCannotBeKeptEndTheRun(t *testing.T) {
	e := newFake()
	_, err := Run(t.Context(), planOf(t, spec()), Options{Launcher: e, Sink: brokenSink{}})
	if err == nil || err.Error() != "disk full" || e.live != 0 || e.rows != 1 {
		t.Errorf("%v after %d rows, %d workers left", err, e.rows, e.live)
	}
}

type spans struct {
	unpowered
	of []Span
}

func (s *spans) Annotate(r *record.Record, span Span) {
	s.of = append(s.of, span)
	temp := 40.0
	r.GPUTempC = &temp
}

func TestTelemetry(t *testing.T) {
	var got spans
	e := newFake()
	e.row = death(1)
	rows, _ := play(t, spec(), e, func(o *Options) { o.Telemetry = &got })
	// Of the row that died there is nothing to tell. The worker that took over
	// is the third: the first one inspected.
	want := []Span{{PID: 1003, StartNs: 1e6, PrefillEndNs: 3e6, EndNs: 7e6}}
	if !slices.Equal(got.of, want) || rows[0].GPUTempC != nil || rows[1].GPUTempC == nil {
		t.Errorf("got %+v, want %+v", got.of, want)
	}
}

func TestRowLimit(t *testing.T) {
	uncached := &CellCheck{PromptTokens: 100, Cell: matrix.Cell{Scenario: matrix.Scenario{GenTokens: 10, Decode: "uncached"}}}
	cached := &CellCheck{PromptTokens: 100, Cell: matrix.Cell{Scenario: matrix.Scenario{GenTokens: 10, Decode: "cached"}}}
	if w := work(uncached); w != 100+10*105 { // sequences of 101 to 110 tokens, about
		t.Errorf("uncached work %d", w)
	}
	var l rowLimit
	if got := l.of(work(cached)); got.Minutes() != 15 {
		t.Errorf("nothing known: %v", got)
	}
	l.saw(work(cached), 110*tick) // 1 ms per token
	if got := l.of(work(cached)); got.Seconds() != 60 {
		t.Errorf("short row: %v", got)
	}
	l.saw(work(cached), 1100*10*tick) // 100 ms per token
	if got, want := l.of(work(cached)), 20*1100*10*tick; got != want {
		t.Errorf("long row: %v, want %v", got, want)
	}
}

func TestRowsAreGivenTheirLimit(t *testing.T) {
	s := spec()
	s.Repetitions, s.Launches = 2, 2
	for _, tc := range []struct {
		asked time.Duration
		want  []time.Duration
	}{
		{0, []time.Duration{15 * time.Minute, time.Minute, time.Minute, time.Minute}},
		{7 * time.Second, slices.Repeat([]time.Duration{7 * time.Second}, 4)},
	} {
		e := newFake()
		play(t, s, e, func(o *Options) { o.RowTimeout = tc.asked })
		if !slices.Equal(e.limits, tc.want) {
			t.Errorf("asked for %v: limits %v, want %v", tc.asked, e.limits, tc.want)
		}
	}
}

func TestETA(t *testing.T) {
	e := newETA()
	cell := func(id, model string) *matrix.Cell { return &matrix.Cell{ID: id, Model: matrix.Model{Name: model}} }
	a, b, c := cell("a", "m"), cell("b", "m"), cell("c", "n")
	e.plan(a, 3)
	e.plan(b, 1)
	e.plan(c, 1)
	check := func(want int) {
		t.Helper()
		if got := e.left() / tick; int(got) != want {
			t.Errorf("%d ms left, want %d", got, want)
		}
	}
	check(0)
	e.took(a, 10*tick)
	check(2*10 + 10 + 10)
	e.took(b, 30*tick)
	check(2*10 + 20) // c by the mean of all
	e.took(c, 1000*tick)
	e.drop("a")
	check(10)
}
