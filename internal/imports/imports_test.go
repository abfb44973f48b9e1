package imports

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustRead(t *testing.T, opts Options, paths ...string) *Result {
	t.Helper()
	r, err := Read(paths, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What llama-bench of the pinned engine printed for -p 16 -n 8 -d 0,16 -r 3, in
// each of its formats; jsonl has a prompt of 32 tokens too.
func TestLlamaBench(t *testing.T) {
	for _, tc := range []struct {
		file           string
		rows           int
		prefill        float64 // ms, of the first row
		unused, warned int
	}{
		{"llama-bench.jsonl", 3, 1.453114, 4, 1},
		{"llama-bench.json", 3, 0, 2, 1},
		{"llama-bench.csv", 1, 1.22696, 2, 2},
	} {
		got := mustRead(t, Options{}, filepath.Join("testdata", tc.file))
		if len(got.Rows) != tc.rows || len(got.Unused) != tc.unused {
			t.Errorf("%s: %d rows, not used: %q", tc.file, len(got.Rows), got.Unused)
			continue
		}
		for i, r := range got.Rows {
			if r.Origin != LlamaBench || r.Model != "tiny" || r.Backend != "cpu" || r.Scenario != "pp16+tg8" || r.PromptTokens != 16 || r.GenTokens != 8 ||
				r.Rep != i || r.Launch != 0 || r.Status != record.StatusOK || r.Device != "AMD EPYC" || r.DeviceKind != "cpu" || r.Threads != 1 ||
				r.NBatch != 2048 || r.NUbatch != 512 || r.FlashAttn != "auto" || r.KVTypeK != "f16" || *r.WeightsBytes != 15763712 ||
				!strings.HasPrefix(r.EngineVersion, "llama.cpp b") || r.Timestamp.IsZero() || r.Synthetic {
				t.Errorf("%s: %+v", tc.file, r)
			}
			// What llama-bench does not tell.
			if r.TotalMs != nil || r.StepMs != nil || r.TokenHash != "" || r.Graphs != nil || r.PhasePower != nil || r.ModelInfo != nil || r.GPULayers != 0 {
				t.Errorf("%s: made up: %+v", tc.file, r)
			}
			if len(r.Warnings) != tc.warned {
				t.Errorf("%s: warnings %q", tc.file, r.Warnings)
			}
		}
		if r := got.Rows[0]; tc.prefill != 0 && *r.PrefillMs != tc.prefill {
			t.Errorf("%s: prefill %v ms, want %v", tc.file, *r.PrefillMs, tc.prefill)
		}
	}
	got := mustRead(t, Options{}, "testdata/llama-bench.jsonl")
	for i, want := range []string{
		"testdata/llama-bench.jsonl:2: pp32 has no generation after it; add -n TOKENS -d 32",
		"testdata/llama-bench.jsonl:3: tg8 has no prompt before it; add -d PROMPT_TOKENS",
		"testdata/llama-bench.jsonl:4: pp16 at depth 16 is no prefill of a whole prompt",
		"testdata/llama-bench.jsonl:5: pp32 at depth 16 is no prefill of a whole prompt",
	} {
		if got.Unused[i] != want {
			t.Errorf("not used: %q, want %q", got.Unused[i], want)
		}
	}
	named := mustRead(t, Options{Model: "n", Synthetic: true}, "testdata/llama-bench.csv").Rows[0]
	if named.Model != "n" || !named.Synthetic || !strings.HasPrefix(named.CellID, "n.") {
		t.Errorf("%+v", named)
	}
}

// pp and tg are tests in the form llama-bench has them.
func pp(tokens int, more string) string { return fmt.Sprintf(testLine, tokens, 0, 0, more) }

func tg(tokens, depth int, more string) string { return fmt.Sprintf(testLine, 0, tokens, depth, more) }

const testLine = `{"model_filename": "a/m.gguf", "n_prompt": %d, "n_gen": %d, "n_depth": %d, "avg_ns": 2000000, "samples_ns": [1000000, 3000000], "gpu_info": "H", "backends": "CUDA"%s}` + "\n"

// cellsOf lists rows as "backend scenario launch.rep".
func cellsOf(r *Result) []string {
	var out []string
	for _, row := range r.Rows {
		out = append(out, fmt.Sprintf("%s %s %d.%d", row.Backend, row.Scenario, row.Launch, row.Rep))
	}
	return out
}

func TestJoin(t *testing.T) {
	fa := `, "flash_attn": 1`
	for _, tc := range []struct {
		name   string
		files  []string
		want   []string
		unused []string // parts of each
	}{
		{"two lengths after one prompt", []string{pp(16, "") + tg(4, 16, "") + tg(8, 16, "")},
			[]string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1", "cuda pp16+tg8 0.0", "cuda pp16+tg8 0.1"}, nil},
		{"the same generation twice", []string{pp(16, "") + tg(4, 16, "") + tg(4, 16, "")},
			[]string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1"}, []string{":3: tg4 at depth 16 has no prompt of the same settings"}},
		{"both twice in a process", []string{pp(16, "") + pp(16, "") + tg(4, 16, "") + tg(4, 16, "")},
			[]string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1", "cuda pp16+tg4 0.2", "cuda pp16+tg4 0.3"}, nil},
		{"files are launches", []string{pp(16, "") + tg(4, 16, ""), tg(4, 16, "") + pp(16, "")},
			[]string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1", "cuda pp16+tg4 1.0", "cuda pp16+tg4 1.1"}, nil},
		{"across files", []string{pp(16, ""), tg(4, 16, "")}, []string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1"}, nil},
		{"a prompt is not used for a second launch", []string{pp(16, "") + tg(4, 16, ""), tg(4, 16, "")},
			[]string{"cuda pp16+tg4 0.0", "cuda pp16+tg4 0.1"}, []string{":1: tg4 at depth 16 has no prompt of the same settings; add -p 16"}},
		{"settings set backends apart", []string{pp(16, "") + tg(4, 16, "") + pp(16, fa) + tg(4, 16, fa)},
			[]string{"cuda,flash_attn= pp16+tg4 0.0", "cuda,flash_attn= pp16+tg4 0.1", "cuda,flash_attn=1 pp16+tg4 0.0", "cuda,flash_attn=1 pp16+tg4 0.1"}, nil},
		{"other settings do not join", []string{pp(16, "") + tg(4, 16, fa)}, nil, []string{"pp16 has no generation", "tg4 at depth 16 has no prompt"}},
		{"one time for both", []string{strings.Replace(pp(16, ""), `"n_gen": 0`, `"n_gen": 4`, 1)}, nil, []string{"pp16tg4 is one time for both phases"}},
		{"other repetitions", []string{pp(16, "") + strings.Replace(tg(4, 16, ""), "1000000, ", "", 1)},
			[]string{"cuda pp16+tg4 0.0"}, []string{"2 repetitions of pp16 and 1 of tg4 at depth 16"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var paths []string
			for i, content := range tc.files {
				paths = append(paths, file(t, fmt.Sprintf("%d.jsonl", i), content))
			}
			got := mustRead(t, Options{}, paths...)
			if cells := cellsOf(got); !slices.Equal(cells, tc.want) {
				t.Errorf("rows %q, want %q", cells, tc.want)
			}
			if len(got.Unused) != len(tc.unused) {
				t.Fatalf("not used: %q, want %q", got.Unused, tc.unused)
			}
			for i, want := range tc.unused {
				if !strings.Contains(got.Unused[i], want) {
					t.Errorf("not used: %q, want %q", got.Unused[i], want)
				}
			}
		})
	}
}

func TestDevices(t *testing.T) {
	for _, tc := range []struct{ fields, backend, device, kind string }{
		{`"gpu_info": "H", "cpu_info": "C", "backends": "CUDA", "n_gpu_layers": 99`, "cuda", "H", "gpu"},
		{`"gpu_info": "H", "cpu_info": "C", "backends": "CUDA", "n_gpu_layers": 0`, "cuda-ngl0", "H and C", ""},
		{`"gpu_info": "", "cpu_info": "C", "backends": "BLAS"`, "blas", "C", "cpu"},
		{`"cpu_info": "C"`, "cpu", "C", "cpu"},
	} {
		of := func(line string) string {
			return strings.Replace(line, `"gpu_info": "H", "backends": "CUDA"`, tc.fields, 1)
		}
		r := mustRead(t, Options{}, file(t, "x.jsonl", of(pp(16, ""))+of(tg(4, 16, "")))).Rows[0]
		if r.Backend != tc.backend || r.Device != tc.device || r.DeviceKind != tc.kind {
			t.Errorf("%s: %q on %q of kind %q", tc.fields, r.Backend, r.Device, r.DeviceKind)
		}
	}
}

const head = "model,backend,scenario,prompt_tokens,gen_tokens,prefill_ms,decode_ms"

func TestCSV(t *testing.T) {
	path := file(t, "x.csv", "\ufeff"+head+",device,device_kind,prefill_power_w,prefill_power_samples,power_period_ms,rep,launch,synthetic,timestamp,batch,kv_type_v,origin\n"+
		"m,vllm,chat,16,8,1.5,20,H,gpu,300,12,25,,,,,,,\n"+
		"m,vllm,chat,16,8,1.6,21,,,,,,,,,,,,\n"+
		"m,vllm,chat,16,8,,22,,,,,,4,1,true,2026-01-02T03:04:05Z,2,q8_0,server 2\n")
	got := mustRead(t, Options{}, path).Rows
	if len(got) != 3 {
		t.Fatalf("%d rows", len(got))
	}
	watts, period, prefill, decode := 300.0, 25.0, 1.5, 20.0
	want := record.Record{
		Origin: CSV, Status: record.StatusOK, CellID: "m.vllm.f16-f16.chat", Model: "m", Backend: "vllm", Scenario: "chat", Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached",
		PromptTokens: 16, GenTokens: 8, PrefillMs: &prefill, DecodeMs: &decode, Device: "H", DeviceKind: "gpu",
		PhasePower: &record.PhasePower{Prefill: record.PowerStats{PowerMeanW: &watts, NSamples: 12}, SensorPeriodMs: &period},
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v\nwant %+v", got[0], want)
	}
	if r := got[1]; r.Rep != 1 || r.PhasePower != nil || r.Device != "" {
		t.Errorf("second row %+v", r)
	}
	if r := got[2]; r.Origin != "server 2" || r.Rep != 4 || r.Launch != 1 || !r.Synthetic || r.PrefillMs != nil || *r.DecodeMs != 22 || r.Timestamp.Year() != 2026 || r.CellID != "m.vllm.f16-q8_0.chat.batch2" {
		t.Errorf("third row %+v", r)
	}
}

// An energy window stands after the row that names it, and counts when the sensor
// moved often enough in it.
func TestCSVWindows(t *testing.T) {
	columns := head + ",launch,origin,power_period_ms,prefill_window_s,prefill_window_w,prefill_window_tok_s,decode_window_s,decode_window_w,decode_window_tok_s\n"
	got := mustRead(t, Options{}, file(t, "x.csv", columns+
		"m,b,s,16,8,1,2,0,other,100,3,600,30000,1.9,500,250\n"+
		"m,b,s,16,8,1,2,1,other,100,3,630,30000,,,\n")).Windows
	if len(got) != 3 {
		t.Fatalf("%d windows: %+v", len(got), got)
	}
	for i, want := range []struct {
		phase          string
		launch, window int
		joules         float64 // 600 W at 30000 tok/s
		valid          bool
	}{{"prefill", 0, 0, 0.02, true}, {"decode", 0, 0, 2, false}, {"prefill", 1, 1, 0.021, true}} {
		w := got[i]
		if w.Phase != want.phase || w.Launch != want.launch || w.Window != want.window || *w.JPerToken != want.joules || w.Valid != want.valid ||
			w.Origin != "other" || w.CellID != "m.b.f16-f16.s" || w.Valid != (len(w.Reasons) == 0) {
			t.Errorf("window %d: %+v, want %+v", i, w, want)
		}
	}
}

// Each column that is described is read, and each that is read is described.
func TestColumns(t *testing.T) {
	for _, c := range Columns {
		if !strings.Contains(Format(), c.Name) || c.Means == "" {
			t.Errorf("%s is not described", c.Name)
		}
		if strings.Contains(head, c.Name) != c.Required && c.Name != "launch" {
			t.Errorf("%s: required is %v", c.Name, c.Required)
		}
	}
}

func TestMistakes(t *testing.T) {
	promise.Of(t, "wrong files to import", "CSV and JSON with missing, twofold, absurd and endless parts",
		"refused at file:line; nothing is imported; at most 16 MiB and 100 000 rows are read")
	row := "m,b,s,16,8,1,2"
	list := strings.ReplaceAll("["+strings.TrimSpace(pp(16, ""))+",\n"+strings.TrimSpace(tg(8, 16, ""))+"\n]", `, "n`, ",\n"+`"n`)
	for _, tc := range []struct{ name, content, want string }{
		{"empty", " \n", "x is empty"},
		{"unknown column", head + ",frob\n" + row + ",1", `x:1: column "frob" is not known`},
		{"column twice", head + ",model\n" + row + ",m", `x:1: column "model" appears twice`},
		{"short row", head + "\n" + row + "\nm,b", "x:3: wrong number of fields"},
		{"open quote", head + "\n" + row + "\n\"m", "x:3: extraneous or missing"},
		{"no scenario", head + "\nm,b,,16,8,1,2", "x:2: scenario is missing"},
		{"no times", head + "\nm,b,s,16,8,,", "x:2: neither prefill_ms nor decode_ms"},
		{"control characters", head + "\nm\x1b[31m,b,s,16,8,1,2", `x:2: model: need one line without control characters, not "m\x1b[31m"`},
		{"two lines", head + "\n\"a\nb\",b,s,16,8,1,2", "x:2: model: need one line without"},
		{"endless name", head + "\n" + strings.Repeat("a", 1025) + ",b,s,16,8,1,2", "x:2: model: need a text of at most 1024 bytes, not aaaaaaaaaaaaaaaaaaaa..."},
		{"a word", head + "\nm,b,s,16,8,fast,2", "x:2: prefill_ms: need a number above 0, not fast"},
		{"zero", head + "\nm,b,s,16,8,0,2", "x:2: prefill_ms: need a number above 0"},
		{"NaN", head + "\nm,b,s,16,8,NaN,2", "x:2: prefill_ms: need a number above 0"},
		{"infinite", head + "\nm,b,s,16,8,1,Inf", "x:2: decode_ms: need a number above 0"},
		{"no tokens", head + "\nm,b,s,0,8,1,2", "x:2: prompt_tokens: need a whole number of 1 or more, not 0"},
		{"too many tokens", head + "\nm,b,s,99999999999,8,1,2", "x:2: prompt_tokens: need a whole number"},
		{"decode mode", head + ",decode_mode\n" + row + ",fast", "x:2: decode_mode: need cached or uncached, not fast"},
		{"device kind", head + ",device_kind\n" + row + ",tpu", "x:2: device_kind: need cpu or gpu"},
		{"truth", head + ",synthetic\n" + row + ",maybe", "x:2: synthetic: need true or false"},
		{"half a window", head + ",decode_window_w\n" + row + ",300", "x:2: an energy window of decode needs decode_window_s"},
		{"a window of another sensor", head + ",decode_window_s,decode_window_w,decode_window_tok_s\n" + row + ",3,300,1", "and power_period_ms"},
		{"time", head + ",timestamp\n" + row + ",noon", "x:2: timestamp: need a time like"},
		{"twice", head + ",rep\n" + row + ",0\n" + row + ",0", "x:3: repetition 0 of launch 0 of m.b.f16-f16.s is already in"},
		{"not JSON", "{\n\"a\": x}", "x:2: not the JSON of llama-bench"},
		{"half an object", pp(16, "") + `{"a": 1`, "x:2: not the JSON of llama-bench"},
		{"no object", "[\n1]", "x:2: not the JSON of llama-bench"},
		{"another object", "{}", "x:1: model_filename is missing"},
		{"half a list", strings.TrimSuffix(list, "]"), "the list has no end: was llama-bench stopped?"},
		{"more than a list", list + " 1", "more after the end of the list"},
		{"count", strings.Replace(pp(16, ""), `"n_prompt": 16`, `"n_prompt": "many"`, 1), "x:1: n_prompt: need a whole number of 0 or more, not many"},
		{"sample", pp(16, "") + strings.Replace(pp(16, ""), "3000000", "-1", 1), "x:2: samples_ns: need nanoseconds above 0"},
		{"nested", pp(16, `, "frob": {}`), "x:1: frob: need a plain value"},
		{"size", pp(16, `, "model_size": -1`), "x:1: model_size: need a whole number of 0 or more, not -1"},
		{"too large", strings.Repeat(" ", maxFileBytes+1), "more than 16 MiB"},
		{"too many rows", head + "\n" + strings.Repeat(row+"\n", maxRows+1), "more than 100000 rows"},
	} {
		path := file(t, "x", tc.content)
		_, err := Read([]string{path}, Options{})
		if err == nil {
			t.Errorf("%s: no error", tc.name)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), path, "x"); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		var at *PlaceError
		if strings.HasPrefix(tc.want, "x:") && !errors.As(err, &at) {
			t.Errorf("%s: no place in %v", tc.name, err)
		}
	}
	if got := cellsOf(mustRead(t, Options{}, file(t, "x", list))); len(got) != 2 {
		t.Errorf("a list gives %q", got)
	}
	if _, err := Read([]string{"none"}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	promise.Of(f, "any bytes as a file to import", "fuzzing of the importer",
		"rows with a name, an origin and a time each, or an error")
	for _, name := range []string{"llama-bench.jsonl", "llama-bench.json", "llama-bench.csv"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(head + "\nm,b,s,16,8,1,2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Read([]string{path}, Options{})
		if err != nil {
			return
		}
		seen := map[record.Key]bool{}
		for _, r := range got.Rows {
			if seen[r.Key()] || r.CellID == "" || r.Origin == "" || r.PrefillMs == nil && r.DecodeMs == nil {
				t.Errorf("row %+v", r)
			}
			seen[r.Key()] = true
		}
	})
}

func TestTokenHash(t *testing.T) {
	path := file(t, "rows.csv", "model,backend,scenario,prompt_tokens,gen_tokens,prefill_ms,decode_ms,token_hash\nm,b,s,8,4,1,2,abc\nm,b,s,8,4,1,2,\n")
	got := mustRead(t, Options{}, path)
	if len(got.Rows) != 2 || got.Rows[0].TokenHash != "abc" || got.Rows[1].TokenHash != "" {
		t.Errorf("%+v", got.Rows)
	}
}
