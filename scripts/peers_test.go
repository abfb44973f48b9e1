package scripts_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/imports"
)

// stubbed runs transformers_bench.py with stand-ins for torch and transformers,
// whose model insists on being fed as the timed loop should feed it.
func stubbed(t *testing.T, env []string, args ...string) (output string, code int) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed: the Python scripts go unchecked")
	}
	stub, err := filepath.Abs("peers/testdata/stub")
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "PYTHONPATH="+stub, "PYTHONDONTWRITEBYTECODE=1")
	return run(t, env, "-c", append([]string{`exec python3 peers/transformers_bench.py "$@"`, "-"}, args...)...)
}

// columns returns the values of some columns of each row of a CSV file, joined.
func columns(t *testing.T, path string, names ...string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out []string
	for _, row := range rows[1:] {
		var values []string
		for _, name := range names {
			for i, column := range rows[0] {
				if column == name {
					values = append(values, row[i])
				}
			}
		}
		out = append(out, strings.Join(values, " "))
	}
	return out
}

// One model in all modes: what is called, what is written, and how a call that
// was cut goes on.
func TestTransformersBench(t *testing.T) {
	for _, version := range []string{"5.17.0", "4.47.1"} {
		t.Run(version, func(t *testing.T) {
			dir := t.TempDir()
			trace, hook, out := filepath.Join(dir, "trace"), filepath.Join(dir, "hook"), filepath.Join(dir, "rows.csv")
			bench := func(env []string, more ...string) (string, int) {
				return stubbed(t, append(env, "STUB_TRANSFORMERS="+version),
					append([]string{"--device", "cpu", "--tiny", "--models", "gpt2", "--scenarios", "short=4+3", "--out", out}, more...)...)
			}
			text, code := bench([]string{"STUB_TRACE=" + trace}, "--reps", "2", "--launch", "1",
				"--before", `echo "$MODEL $SCENARIO $PROMPT_TOKENS+$GEN_TOKENS $LAUNCH.$REP" >>`+hook)
			if code != 0 || strings.Contains(text, "WARNING") || strings.Count(text, "short: compiled 2 graphs, 0 breaks, 0 cuda_graphs_refused,") != 2 ||
				!strings.Contains(text, "tiny-gpt2 short: compile-default begins with 4 of the 4 tokens of eager") {
				t.Fatalf("exit code %d:\n%s", code, text)
			}
			// A request is a prefill to wake the device, and the timed one with
			// its steps: 2 and 5 and 5 warm-ups, then 2 rounds, in each of which
			// one goes before. A static cache makes its tensors in a prefill of
			// its own.
			prefill := func(kind string) string { return kind + " 0+4\n" }
			request := func(kind string) string {
				return prefill(kind) + prefill(kind) + fmt.Sprintf("%[1]s 4+1\n%[1]s 5+1\n%[1]s 6+1\n", kind)
			}
			static := prefill("StaticCache") + strings.Repeat(request("StaticCache"), 5)
			again := func(kind string) string { return request(kind) + request(kind) }
			round := again("DynamicCache") + again("StaticCache") + again("StaticCache")
			wantFile(t, trace, request("DynamicCache")+request("DynamicCache")+static+static+round+round)
			wantFile(t, hook, "tiny-gpt2 short 4+3 1.0\ntiny-gpt2 short 4+3 1.1\n")

			var want []string
			for rep := range 2 {
				for _, mode := range []string{"eager", "compile-reduce-overhead", "compile-default"} {
					want = append(want, fmt.Sprintf("tiny-gpt2 transformers-%s transformers short 1 %d 4 3 true", mode, rep))
				}
			}
			names := []string{"model", "backend", "origin", "scenario", "launch", "rep", "prompt_tokens", "gen_tokens", "synthetic"}
			if got := columns(t, out, names...); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			imported, err := imports.Read([]string{out}, imports.Options{})
			if err != nil || len(imported.Rows) != 6 {
				t.Fatalf("not imported: %v", err)
			}
			if r := imported.Rows[0]; r.Origin != "transformers" || !r.Synthetic || *r.PrefillMs <= 0 || *r.DecodeMs <= 0 ||
				!strings.HasPrefix(r.EngineVersion, "transformers "+version+", torch 0.0.stub, float32, attention stub") {
				t.Errorf("first row %+v", r)
			}

			// Cut in the middle of the third row.
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(string(data), "\n")
			if err := os.WriteFile(out, []byte(strings.Join(lines[:3], "")+lines[3][:20]), 0o644); err != nil {
				t.Fatal(err)
			}
			if text, code = bench(nil, "--reps", "2", "--launch", "1", "--skip-done"); code != 0 || !strings.Contains(text, "rows written: 4,") {
				t.Errorf("continued: exit code %d:\n%s", code, text)
			}
			if got := columns(t, out, names...); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("continued rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if text, code = bench(nil, "--reps", "2", "--launch", "1", "--skip-done"); code != 0 || !strings.Contains(text, "nothing is missing") {
				t.Errorf("nothing to do: exit code %d:\n%s", code, text)
			}

			// A mode that does not work costs its own rows.
			if text, code = bench([]string{"STUB_REFUSES=reduce-overhead"}, "--reps", "1", "--launch", "2", "--skip-done"); code != 1 ||
				!strings.Contains(text, "FAILED: tiny-gpt2 compile-reduce-overhead short: RuntimeError: no compiler") || !strings.Contains(text, "rows written: 2, failed cells: 1") {
				t.Errorf("refused: exit code %d:\n%s", code, text)
			}
			// One that torch runs otherwise than asked says so.
			for counts, want := range map[string]string{"cudagraph_skips": "CUDA graphs refused by torch", "nothing": "no CUDA graphs by torch's count"} {
				out := filepath.Join(dir, counts+".csv")
				text, code := bench([]string{"STUB_COUNTS=" + counts}, "--reps", "1", "--modes", "compile-reduce-overhead", "--out", out)
				if got := columns(t, out, "engine_version"); code != 0 || len(got) != 1 || !strings.HasSuffix(got[0], ", "+want) {
					t.Errorf("counted %s: exit code %d, %q:\n%s", counts, code, got, text)
				}
			}
			if text, code = bench(nil, "--reps", "1", "--launch", "3", "--skip-done", "--before", "exit 7"); code != 3 || !strings.Contains(text, "--before ended with 7") {
				t.Errorf("failing command: exit code %d:\n%s", code, text)
			}
		})
	}
}

// A model that takes its process down costs no other model.
func TestTransformersBenchCrash(t *testing.T) {
	out := filepath.Join(t.TempDir(), "rows.csv")
	text, code := stubbed(t, []string{"STUB_CRASHES=llama"}, "--device", "cpu", "--tiny", "--models", "gpt2,llama-3.2-1b,phi-2",
		"--modes", "eager", "--scenarios", "short=4+3", "--reps", "1", "--out", out)
	if code != 1 || !strings.Contains(text, "llama-3.2-1b: ended with -6") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if got := strings.Join(columns(t, out, "model"), " "); got != "tiny-gpt2 tiny-phi-2" {
		t.Errorf("rows of %s", got)
	}
}

// TestLlamaBench runs the script with stand-ins for both programs.
func TestLlamaBench(t *testing.T) {
	root, write := house(t)
	log, out := filepath.Join(root, "log"), filepath.Join(root, "rows.csv")
	model := write("models/synthetic/m-seed42-f16.gguf", "\x00phasebench.synthetic\x01")
	real := write("real/m-f16.gguf", "weights")
	write("bench", `#!/bin/sh
[ "$1" = --version ] && { echo "phasebench 1"; exit; }
echo "ours $SWITCH $*" >>"`+log+`"
echo '{"device":"NVIDIA X, 2nd","synthetic":true,"token_hashes":["t1"],"prefill_ms":[4.5],"decode_ms":[10]}'
`)
	peer := write("llama-bench", `#!/bin/sh
echo "peer graphs-off=$GGML_CUDA_DISABLE_GRAPHS $*" >>"`+log+`"
echo "noise of the engine" >&2
case "$*" in
*"-n 0"*) samples='90000000, 6000000' ;;
*) samples='12000000' ;;
esac
echo '{"build_commit": "abc", "build_number": 7, "cpu_info": "C", "gpu_info": "NVIDIA X", "samples_ns": [ '$samples' ],"samples_ts": [ 1.5 ]}'
`)
	script := func(args ...string) (string, int) {
		return run(t, nil, filepath.Join(root, "scripts", "peers", "llama_bench.sh"), append([]string{
			"--models", "m", "--scenarios", "short=8+4", "--llama-bench", peer, "--gpu", "--ours", "plain", "--ours", "tuned,SWITCH=on,--argmax=host", "--out", out}, args...)...)
	}
	if text, code := script("--rounds", "1"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	ours := func(env, flags string) string {
		return "ours " + env + " probe --model " + model + " --device cuda --prompt 8 --gen 4 --warmup 2 --reps 1 --json" + flags + "\n"
	}
	plain, tuned := ours("", ""), ours("on", " --argmax=host")
	theirs := "peer graphs-off=1 -m " + model + " -ngl 99 -p 8 -n 0 -r 2 -o jsonl\n" +
		"peer graphs-off= -m " + model + " -ngl 99 -p 0 -n 4 -d 8 -r 1 -o jsonl\n"
	wantFile(t, log, plain+tuned+theirs)
	// A call with another round measures that one, and another is first in it.
	write("log", "")
	if text, code := script("--rounds", "2", "--threads", "3"); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	wantFile(t, log, strings.NewReplacer("cuda --", "cuda --threads 3 --", "99 -", "99 -t 3 -").Replace(tuned+theirs+plain))
	want := []string{
		"m plain bench probe short 0 8 4 4.5 10 true NVIDIA X, 2nd gpu phasebench 1 t1",
		"m tuned bench probe short 0 8 4 4.5 10 true NVIDIA X, 2nd gpu phasebench 1 t1",
		"m llama-bench-gpu llama-bench short 0 8 4 6.000000 12.000000 true NVIDIA X gpu llama.cpp b7 abc ",
		"m tuned bench probe short 1 8 4 4.5 10 true NVIDIA X, 2nd gpu phasebench 1 t1",
		"m llama-bench-gpu llama-bench short 1 8 4 6.000000 12.000000 true NVIDIA X gpu llama.cpp b7 abc ",
		"m plain bench probe short 1 8 4 4.5 10 true NVIDIA X, 2nd gpu phasebench 1 t1",
	}
	names := []string{"model", "backend", "origin", "scenario", "launch", "prompt_tokens", "gen_tokens", "prefill_ms", "decode_ms", "synthetic", "device", "device_kind", "engine_version", "token_hash"}
	if got := columns(t, out, names...); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, err := imports.Read([]string{out}, imports.Options{}); err != nil || len(got.Rows) != 6 {
		t.Errorf("not imported: %v", err)
	}
	write("log", "")
	if text, code := script("--models-dir", filepath.Dir(real), "--first", "9", "--rounds", "1"); code != 0 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if got := columns(t, out, "launch", "synthetic")[6:]; strings.Join(got, ",") != "9 false,9 false,9 false" {
		t.Errorf("rows of real weights: %q", got)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--scenarios", "short"}, 2, "--scenarios needs NAME=PROMPT+GEN"},
		{[]string{"--ours", "x,y"}, 2, "--ours needs NAME[,K=V or --FLAG=VALUE...]"},
		{[]string{"--rounds", "0"}, 2, "--rounds needs a number"},
		{[]string{"--out"}, 2, "--out needs a value"},
		{[]string{"--models", "n", "--models-dir", "nowhere"}, 1, "no model file nowhere/n-f16.gguf"},
		{[]string{"--first", "20", "--llama-bench", write("broken", "#!/bin/sh\necho no memory >&2; exit 1\n")}, 1, "round 20: no times of m, short=8+4 from llama-bench-gpu"},
	} {
		if text, code := script(tc.args...); code != tc.code || !strings.Contains(text, tc.want) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", tc.args, code, tc.code, tc.want, text)
		}
	}
}

// The window of a counter that runs at 300 W and steps ten times a second.
func TestTransformersBenchWindow(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed: the Python scripts go unchecked")
	}
	out, code := run(t, []string{"PYTHONPATH=peers", "PYTHONDONTWRITEBYTECODE=1"}, "-c", `exec python3 -c '
import time
from transformers_bench import window
w = window(lambda: time.sleep(0.01), 2, lambda: int(time.perf_counter() * 10) * 30000)
assert 240 < w.watts < 360, w
assert 2 <= w.open_s < 3 and 0.01 <= w.each_s < 0.2 and 0.09 < w.period_s < 0.3, w
assert window(lambda: time.sleep(0.01), 0.2, lambda: 1) is None, "a counter that stands still"
'`)
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestTransformersBenchRefuses(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there.csv")
	if err := os.WriteFile(there, []byte("a,b\n1,2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "new.csv")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--out", out}, 2, "torch sees no CUDA device"},
		{nil, 2, "required: --out"},
		{[]string{"--out", there}, 2, "is there already"},
		{[]string{"--out", there, "--skip-done", "--device", "cpu", "--tiny"}, 2, "there.csv:1: other columns"},
		{[]string{"--out", out, "--models", "gpt3"}, 2, "gpt3 is none of gpt2, llama-3.2-1b"},
		{[]string{"--out", out, "--modes", "fast"}, 2, "fast is none of eager"},
		{[]string{"--out", out, "--scenarios", "long"}, 2, "need names of medium_prompt"},
		{[]string{"--out", out, "--scenarios", "x=0+1"}, 2, "need names of medium_prompt"},
		{[]string{"--out", out, "--reps", "0"}, 2, "--reps"},
		{[]string{"--out", out, "--window-s", "-1"}, 2, "need seconds above 0"},
	} {
		if text, code := stubbed(t, nil, tc.args...); code != tc.code || !strings.Contains(text, tc.want) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", tc.args, code, tc.code, tc.want, text)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused call left a file")
	}
}
