package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings runs the script with a stand-in for the program: who is asked
// what, in which order, what is written, and that a cut call goes on.
func TestSettings(t *testing.T) {
	root, write := house(t)
	log, out := filepath.Join(root, "log"), filepath.Join(root, "out", "times.csv")
	write("models/synthetic/m-seed42-f16.gguf", "weights")
	write("bench", `#!/bin/sh
echo "$COMMON $GGML_CUDA_GRAPH_OPT $*" >>"`+log+`"
case "$GGML_CUDA_GRAPH_OPT$*" in
1*) echo '{"token_hashes":["x","y"],"prefill_ms":[4,4],"decode_ms":[5,5]}' ;;
*argmax*) echo '{"token_hashes":["z","z"],"prefill_ms":[4,4],"decode_ms":[20,20]}' ;;
*) echo '{"token_hashes":["x","x"],"prefill_ms":[4,4],"decode_ms":[10,10]}' ;;
esac
`)
	settings := func(args ...string) (string, int) {
		return run(t, nil, filepath.Join(root, "scripts", "settings.sh"), append([]string{
			"--models", "m", "--gpu", "--shape", "8+4", "--env", "COMMON=all", "--settings", "graph-opt,host-argmax,no-mmap", "--out", out}, args...)...)
	}
	text, code := settings("--pairs", "2")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	for _, want := range []string{
		"| m graph-opt prefill | 1.000 | 1.000 to 1.000 | 1.000 |  | 2 |\n| m graph-opt decode | 2.000 | 2.000 to 2.000 | 2.000 |  | 2 |\n",
		"| m host-argmax decode | 0.500 | 0.500 to 0.500 | 0.500 |  | 2 |\n",
		"| m graph-opt | not the same twice |\n| m host-argmax | others, the same each time |\n| m no-mmap | the same |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	model := filepath.Join(root, "models/synthetic/m-seed42-f16.gguf")
	asked := func(variable, flags string) string {
		return "all " + variable + " probe --model " + model + " --device cuda --json --prompt 8 --gen 4 --warmup 2 --reps 2" + flags + "\n"
	}
	plain, opt, host, read := asked("", ""), asked("1", ""), asked("", " --argmax host"), asked("", " --mmap=false")
	wantFile(t, log, opt+plain+host+plain+read+plain+plain+opt+plain+host+plain+read)

	// The second pair of the first setting is gone, and a third is asked for.
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if lines[1] != "1,m graph-opt prefill,ours,1,1,8,4\n" || lines[3] != "1,m graph-opt decode,ours,1,1,4,5\n" || len(lines) != 1+6*8+1 {
		t.Errorf("raw times:\n%s", data)
	}
	write("out/times.csv", strings.Join(lines[:25], "")+strings.Join(lines[33:], ""))
	write("log", "")
	if text, code = settings("--pairs", "3"); code != 0 || !strings.Contains(text, "| m graph-opt decode | 2.000 | 2.000 to 2.000 | 2.000 |  | 3 |") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	wantFile(t, log, plain+opt+opt+plain+host+plain+read+plain)

	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--settings", "one-thread"}, "no setting one-thread of this device"},
		{[]string{"--pairs", "1"}, "--pairs needs a number of at least 2"},
		{[]string{"--shape", "8"}, "--shape needs PROMPT+GEN"},
		{[]string{"--env", "X"}, "--env needs NAME=VALUE"},
		{[]string{"--models"}, "--models needs a value"},
	} {
		if text, code = settings(tc.args...); code != 2 || !strings.Contains(text, tc.want) {
			t.Errorf("%v: exit code %d, want 2 and %q:\n%s", tc.args, code, tc.want, text)
		}
	}
	write("bench", "#!/bin/sh\necho 'no such flag' >&2\nexit 2\n")
	if text, code = settings("--pairs", "4"); code != 1 || !strings.Contains(text, "no such flag") || !strings.Contains(text, "no times of m graph-opt from peer") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// Every setting is one that the program takes, as its flags are.
func TestSettingsList(t *testing.T) {
	for _, args := range [][]string{{"--list"}, {"--list", "--gpu"}} {
		out, code := run(t, nil, "settings.sh", args...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != 0 || len(lines) < 7 {
			t.Fatalf("%v: exit code %d:\n%s", args, code, out)
		}
		probe, err := os.ReadFile("../cmd/bench/probe.go")
		if err != nil {
			t.Fatal(err)
		}
		engine := engineVariables(t)
		for _, line := range lines {
			fields := strings.Split(line, "|")
			if len(fields) != 4 {
				t.Fatalf("setting %q", line)
			}
			name, _, _ := strings.Cut(strings.TrimSpace(fields[1]), "=")
			flag, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(fields[2]), "--"), " ")
			flag, _, _ = strings.Cut(flag, "=")
			if name != "" && engine != "" && !strings.Contains(engine, `getenv("`+name+`")`) {
				t.Errorf("the engine does not read %s", name)
			}
			if flag != "" && !strings.Contains(string(probe), `("`+flag+`", `) {
				t.Errorf("bench probe has no flag --%s", flag)
			}
			if (name == "") == (flag == "") {
				t.Errorf("setting %q changes nothing or two things", line)
			}
		}
	}
}

// engineVariables returns the sources of the engine that read its environment,
// and nothing where it was not fetched.
func engineVariables(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../third_party/llama.cpp/ggml/src/ggml-cuda/*.cu*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
