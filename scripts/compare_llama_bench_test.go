package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompare runs the comparison with stand-ins for both programs, to check
// what each is asked, in which order, and what becomes of its answer.
func TestCompare(t *testing.T) {
	root, write := house(t)
	log := filepath.Join(root, "log")
	write("bench", `#!/bin/sh
echo "ours $SWITCH graphs-off=$GGML_CUDA_DISABLE_GRAPHS $*" >>"`+log+`"
case "$*" in
*"--gen 0 "*) echo '{"prefill_ms":[500,500.5,499.5],"prompt_tokens":512,"gen_tokens":0}' ;;
*) echo '{"prefill_ms":[250.1],"decode_ms":[1280],"prompt_tokens":256,"gen_tokens":128}' ;;
esac
`)
	peer := write("llama-bench", `#!/bin/sh
echo "peer $SWITCH graphs-off=$GGML_CUDA_DISABLE_GRAPHS $*" >>"`+log+`"
echo "noise of the engine" >&2
case "$*" in
*"-p 512"*) samples='1000000000, 1000000000, 1000000000' ;;
*) samples='1280000000' ;;
esac
printf '[\n  {\n    "n_threads": 2,\n    "samples_ns": [ %s ],\n    "samples_ts": [ 1.5 ]\n  }\n]\n' "$samples"
`)
	model := write("model.gguf", "weights")
	csv := filepath.Join(root, "out", "pairs.csv")
	compare := func(args ...string) (string, int) {
		return run(t, nil, filepath.Join(root, "scripts", "compare-llama-bench.sh"),
			append([]string{"--llama-bench", peer, "--model", model, "--out", csv, "--threads", "2", "--pairs", "2", "--env", "SWITCH=on"}, args...)...)
	}

	out, code := compare()
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	for _, want := range []string{"decode: ours/peer 1.0000, 95 % interval 1.0000 to 1.0000", "prefill: ours/peer 2.0000"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	asked := func(side, graphsOff, what string) string {
		program := map[string]string{
			"ours": "probe --model " + model + " --device cpu --threads 2 --json ",
			"peer": "-m " + model + " -ngl 0 -t 2 -fa 1 -o json ",
		}
		return side + " on graphs-off=" + graphsOff + " " + program[side] + what + "\n"
	}
	oursDecode := asked("ours", "", "--prompt 256 --gen 128 --reps 1")
	peerDecode := asked("peer", "", "-p 0 -n 128 -d 256 -r 1")
	oursPrefill := asked("ours", "1", "--prompt 512 --gen 0 --reps 3")
	peerPrefill := asked("peer", "1", "-p 512 -n 0 -r 3")
	wantFile(t, log, oursDecode+peerDecode+oursPrefill+peerPrefill+
		peerDecode+oursDecode+peerPrefill+oursPrefill)
	wantFile(t, csv, `pair,metric,side,position,rep,tokens,ms
1,decode,ours,1,1,128,1280
1,decode,peer,2,1,128,1280.000000
1,prefill,ours,1,1,512,500
1,prefill,ours,1,2,512,500.5
1,prefill,ours,1,3,512,499.5
1,prefill,peer,2,1,512,1000.000000
1,prefill,peer,2,2,512,1000.000000
1,prefill,peer,2,3,512,1000.000000
2,decode,peer,1,1,128,1280.000000
2,decode,ours,2,1,128,1280
2,prefill,peer,1,1,512,1000.000000
2,prefill,peer,1,2,512,1000.000000
2,prefill,peer,1,3,512,1000.000000
2,prefill,ours,2,1,512,500
2,prefill,ours,2,2,512,500.5
2,prefill,ours,2,3,512,499.5
`)

	write("bench", "#!/bin/sh\necho 'no such model' >&2\nexit 1\n")
	if out, code = compare(); code != 1 || !strings.Contains(out, "no such model") || !strings.Contains(out, "no decode times from ours") {
		t.Errorf("failing side: exit code %d:\n%s", code, out)
	}
	write("bench", "#!/bin/sh\necho '{}'\n")
	if out, code = compare(); code != 1 || !strings.Contains(out, "no decode times from ours") {
		t.Errorf("answer without times: exit code %d:\n%s", code, out)
	}
	for _, args := range [][]string{{"--pairs", "1"}, {"--threads", "0"}, {"--threads", "two"}, {"--env", "SWITCH"}, {"--out"}} {
		if out, code = compare(args...); code != 2 {
			t.Errorf("%v: exit code %d, want 2:\n%s", args, code, out)
		}
	}
}

// house makes a folder that scripts take for the root of the project: what is in
// it is the project's, and what write puts there stands in for what is built.
func house(t *testing.T) (root string, write func(name, text string) string) {
	t.Helper()
	root = t.TempDir()
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum", "scripts", "internal"} {
		if err := os.Symlink(filepath.Join(here, name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root, func(name, text string) string {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// wantFile checks the content of a file.
func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds:\n%s\nwant:\n%s", filepath.Base(path), got, want)
	}
}
