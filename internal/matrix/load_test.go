package matrix

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/plainyaml"
	"github.com/phasebench/phasebench/internal/promise"
)

// minimal is the smallest matrix there is; tests append to it or replace parts.
const minimal = `name: m
repetitions: 3
models: [{name: gpt2, synth: gpt2}]
backends: [{name: cpu, device: cpu}]
scenarios: [{name: s, prompt_tokens: 8, gen_tokens: 4}]
`

func TestDefaults(t *testing.T) {
	got, err := Parse("m.yaml", []byte(strings.Replace(minimal, "device: cpu}", "device: cpu}, {name: gpu, device: cuda}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Hash) != 64 {
		t.Errorf("Hash = %q, want 64 hex digits", got.Hash)
	}
	yes, all := true, -1
	want := &Spec{
		Path: "m.yaml", Hash: got.Hash, Name: "m", Seed: 42, Repetitions: 3, Launches: 1,
		Models: []Model{{Name: "gpt2", Synth: "gpt2", Type: "f16"}},
		Backends: []Backend{
			{Name: "cpu", Device: "cpu", Warmup: 2, FlashAttn: "auto", Mmap: &yes, Argmax: "graph"},
			{Name: "gpu", Device: "cuda", Graphs: &yes, GPULayers: &all, Warmup: 2, FlashAttn: "auto", Mmap: &yes, Argmax: "graph"},
		},
		Scenarios: []Scenario{{Name: "s", PromptTokens: 8, GenTokens: 4, Decode: "cached", Batch: []int{1}}},
		KVTypes:   []KVType{{K: "f16", V: "f16"}},
		Energy:    Energy{WindowS: 3, Windows: 3, IdleS: 5, Roofline: true, MaxTempC: 80, Foreign: ForeignWarn},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !got.Energy.Covers("s") {
		t.Error("no windows by default")
	}
}

func TestEveryKey(t *testing.T) {
	got, err := Parse("m.yaml", []byte(`name: m
seed: 7
repetitions: 3
launches: 2
pricing: p.yaml
models:
  - {name: gpt2, path: models/a b.gguf, synth: gpt2, type: q4_k_m}
backends:
  - name: gpu
    device: cuda
    graphs: false
    gpu_layers: 12
    warmup: 0
    threads: 3
    n_batch: 1024
    n_ubatch: 256
    flash_attn: on
    mmap: false
    argmax: host
    kv_unified: true
    env: {A: "1", B: x}
batch: [1, 8]
scenarios:
  - {name: s, prompt_tokens: 8, gen_tokens: 4, decode: uncached, batch: [1]}
  - {name: t, prompt_tokens: 8, gen_tokens: 4}
  - {name: u, prompt_tokens: 8, gen_tokens: 4, batch: [256, 2]}
kv_types: [f16, {k: f16, v: q8_0}]
skip:
  - {model: gpt2, backend: gpu, scenario: s, reason: because}
energy:
  window_s: 0.5
  windows: 4
  scenarios: [s]
  idle_s: 0
  roofline: false
  assumed_cpu_w: 65
  max_temp_c: 84.5
  foreign: wait
`))
	if err != nil {
		t.Fatal(err)
	}
	no, layers, watts := false, 12, 65.0
	want := &Spec{
		Path: "m.yaml", Hash: got.Hash, Name: "m", Seed: 7, Repetitions: 3, Launches: 2, Pricing: "p.yaml",
		Models: []Model{{Name: "gpt2", Path: "models/a b.gguf", Synth: "gpt2", Type: "q4_k_m"}},
		Backends: []Backend{{
			Name: "gpu", Device: "cuda", Graphs: &no, GPULayers: &layers, Threads: 3, NBatch: 1024, NUbatch: 256,
			FlashAttn: "on", Mmap: &no, Argmax: "host", KVUnified: true, Env: map[string]string{"A": "1", "B": "x"},
		}},
		Scenarios: []Scenario{
			{Name: "s", PromptTokens: 8, GenTokens: 4, Decode: "uncached", Batch: []int{1}},
			{Name: "t", PromptTokens: 8, GenTokens: 4, Decode: "cached", Batch: []int{1, 8}},
			{Name: "u", PromptTokens: 8, GenTokens: 4, Decode: "cached", Batch: []int{256, 2}},
		},
		KVTypes: []KVType{{K: "f16", V: "f16"}, {K: "f16", V: "q8_0"}},
		Skip:    []SkipRule{{Model: "gpt2", Backend: "gpu", Scenario: "s", Reason: "because"}},
		Energy:  Energy{WindowS: 0.5, Windows: 4, Scenarios: []string{"s"}, AssumedCPUW: &watts, MaxTempC: 84.5, Foreign: ForeignWait},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Each file in testdata/bad has beside it the message it must give, which
// begins with the place; rewrite them with UPDATE=1.
func TestBadFiles(t *testing.T) {
	promise.Of(t, "wrong matrix files", "the files of internal/matrix/testdata/bad",
		"every mistake at once, each at file:line:column; nothing is run")
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		_, err := Load(file)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got %v, want an *Error", file, err)
			continue
		}
		got := err.Error() + "\n"
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot:\n%s\nwant:\n%s", file, got, want)
		}
	}
}

// One slip at a time in a file that is otherwise good.
func TestOneProblem(t *testing.T) {
	check := func(old, new, want string) {
		t.Helper()
		if strings.Count(minimal, old) != 1 {
			t.Fatalf("%q is not in the minimal matrix once", old)
		}
		_, err := Parse("m.yaml", []byte(strings.Replace(minimal, old, new, 1)))
		if err == nil {
			t.Errorf("%s: no error, want %q", new, want)
		} else if got := err.Error(); !strings.HasPrefix(got, "m.yaml:"+want) || strings.Contains(got, "\n") {
			t.Errorf("%s:\ngot  %s\nwant m.yaml:%s...", new, got, want)
		}
	}
	check("name: m\n", "", `1:1: the matrix has no "name"`)
	check("name: m\n", "name: ..\n", `1:7: name: ".." is not a name`)
	check("name: m\n", "name: -m\n", `1:7: name: "-m" is not a name`)
	check("name: m\n", "name: a b\n", `1:7: name: "a b" is not a name`)
	check("name: m\n", "name: \"m\\n\"\n", `1:7: name: must be one line`)
	check("name: m\n", "name: "+strings.Repeat("m", 65)+"\n", `1:7: name: the name is longer than 64`)
	check("name: m\n", "name: !!str m\n", `1:7: tags (!) are not allowed`)
	check("name: m\n", "name: m\n<<: {a: 1}\n", `2:1: merge keys (<<) are not allowed`)
	check("name: m\n", "? name\n: m\n", `1:1: explicit keys (?) are not allowed`)
	check("name: m\n", "%YAML 1.2\n---\nname: m\n", `1:1: directives (%) are not allowed`)
	check("repetitions: 3", "repetitions: 0x3", `2:14: repetitions: must be a whole number`)
	check("repetitions: 3", `repetitions: "3"`, `2:14: repetitions: must be a whole number`)
	check("repetitions: 3", "repetitions: true", `2:14: repetitions: must be a whole number`)
	check("repetitions: 3", "repetitions: ~", `2:14: repetitions: must be a whole number from 1 to 10000, not empty`)
	check("synth: gpt2", "synth: [gpt2]", `3:30: synth: must be text, not a list`)
	check("device: cpu", "device: CPU", `4:32: device: must be one of cpu, cuda`)
	check("device: cpu", "device: cpu, env: {A: true}", `4:46: A: must be text, not the truth value "true"; put it in quotes`)
	check("device: cpu", "device: cpu, env: {A=B: x}", `4:43: "A=B" is not the name of an environment variable`)
	check("device: cpu", "device: cpu, graphs: true", `4:45: graphs: only a backend with device: cuda`)
	for energy, want := range map[string]string{
		"3":                        `energy must be a mapping of keys to values`,
		"{window: 3}":              `unknown key "window" in energy; did you mean "windows"?`,
		"{window_s: 0}":            `window_s: must be from 0.1 to 600, not 0`,
		"{window_s: 601}":          `window_s: must be from 0.1 to 600, not 601`,
		"{window_s: 3s}":           `window_s: must be a number from 0.1 to 600, not the text "3s"`,
		"{window_s: .5}":           `window_s: must be a number`,
		"{window_s: 1e1}":          `window_s: must be a number`,
		"{window_s: .nan}":         `window_s: must be a number`,
		"{windows: 2.5}":           `windows: must be a whole number from 0 to 100`,
		"{idle_s: -1}":             `idle_s: must be from 0 to 600, not -1`,
		"{assumed_cpu_w: 0}":       `assumed_cpu_w: must be from 0.1 to 10000, not 0`,
		"{roofline: 1}":            `roofline: must be true or false, not the number "1"`,
		"{max_temp_c: hot}":        `max_temp_c: must be a number`,
		"{foreign: kill}":          `foreign: must be one of warn, wait, fail`,
		"{scenarios: s}":           `scenarios: must be a list`,
		"{scenarios: []}":          `scenarios: the list is empty`,
		"{scenarios: [x]}":         `no scenario is called "x"`,
		"{scenarios: [3]}":         `a scenario's name must be text, not the number "3"`,
		"{scenarios: [s, s]}":      `scenario "s" is named twice`,
		"{windows: 1, windows: 2}": `key "windows" is given twice`,
	} {
		_, err := Parse("m.yaml", []byte(minimal+"energy: "+energy+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), "m.yaml:6:") || !strings.Contains(err.Error(), ": "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("energy: %s\ngot  %v\nwant m.yaml:6:...: %s", energy, err, want)
		}
	}
	check("scenarios: [{name: s, prompt_tokens: 8, gen_tokens: 4}]", "scenarios: x", `5:12: scenarios: must be a list, not the text "x"`)
}

func TestUnreadable(t *testing.T) {
	promise.Of(t, "a matrix file that is missing, a folder or endless", "each of them as the matrix",
		"refused with the reason; no more than 1 MiB of it is read")
	promise.Tries(t, 3)
	_, err := Load("testdata/none.yaml")
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "matrix file testdata/none.yaml: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if _, err := Load("testdata"); err == nil || !strings.HasPrefix(err.Error(), "matrix file testdata: ") {
		t.Errorf("got %v", err)
	}
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, []byte(minimal+strings.Repeat("#", plainyaml.MaxBytes)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(huge); err == nil || !strings.HasPrefix(err.Error(), huge+":1:1: the file is larger than") {
		t.Errorf("got %v", err)
	}
}

// A byte order mark and Windows line ends are what some editors leave behind.
func TestForeignEditors(t *testing.T) {
	text := "\ufeff" + strings.ReplaceAll(minimal, "\n", "\r\n")
	if _, err := Parse("m.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestTooMuch(t *testing.T) {
	promise.Of(t, "YAML bombs", "lists and words beyond number, thousands of nested lists",
		"refused at file:line:column before the parser sees them")
	promise.Tries(t, 4)
	check := func(models, want string) {
		t.Helper()
		_, err := Parse("m.yaml", []byte(strings.Replace(minimal, "[{name: gpt2, synth: gpt2}]", models, 1)))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
	check("["+strings.Repeat("a, ", maxEntries+1)+"]", "m.yaml:3:9: models: the list has 1001 entries")
	check("["+strings.Repeat("a, ", plainyaml.MaxTokens)+"]", "m.yaml:3:29996: the file has more than 20000 words")
	check(strings.Repeat("[", 1<<12), "m.yaml:3:25: nested more than 16 levels deep")
	check("\n"+strings.Repeat(" -", 1<<12), "m.yaml:4:34: nested more than 16 levels deep")
}
