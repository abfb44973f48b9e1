package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/llama"
)

// The peers of the study have the shapes that Synth gives to ours.
func TestPeersHaveOurShapes(t *testing.T) {
	script := document(t, "scripts/peers/transformers_bench.py")
	var names []string
	for _, a := range llama.SynthArchs() {
		if strings.HasPrefix(a.Name, "tiny-") {
			continue
		}
		if want := fmt.Sprintf("Shape(%q, %d, ", a.Name, a.Params(a.Layers)); !strings.Contains(script, want) {
			t.Errorf("transformers_bench.py has no %s...", want)
		}
		names = append(names, a.Name)
	}
	if found := strings.Count(script, "    Shape(\""); found != len(names) {
		t.Errorf("%d shapes in transformers_bench.py, want %d", found, len(names))
	}
	if want := "\nstudy=" + strings.Join(names, ",") + "\n"; !strings.Contains(document(t, "scripts/peers/peer.bash"), want) {
		t.Errorf("peer.bash has no %s", want)
	}
	// Their scenarios are those of the matrix.
	matrix := document(t, "configs/h200-study.yaml")
	for _, m := range regexp.MustCompile(`"([a-z_]+)": \((\d+), (\d+)\)`).FindAllStringSubmatch(script, -1) {
		line := regexp.MustCompile(fmt.Sprintf(`\{name: %s, +prompt_tokens: %s, +gen_tokens: %s\}`, m[1], m[2], m[3]))
		if !line.MatchString(matrix) || !strings.Contains(document(t, "scripts/peers/llama_bench.sh"), fmt.Sprintf("%s=%s+%s", m[1], m[2], m[3])) {
			t.Errorf("%s of %s+%s tokens is not the same everywhere", m[1], m[2], m[3])
		}
	}
}

// house makes a folder that scripts take for the root of the project, with the
// program that is tested in it.
func house(t *testing.T) string {
	t.Helper()
	dir := workspace(t)
	err := os.Symlink(filepath.Join(home, "bench"), filepath.Join(dir, "bench"))
	for _, name := range []string{"go.mod", "go.sum", "internal", "scripts"} {
		err = errors.Join(err, os.Symlink(filepath.Join(root(t), name), filepath.Join(dir, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// script runs a script of a house, with a stand-in for transformers, and returns
// what it prints.
func script(t *testing.T, dir string, code int, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "scripts", name), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root(t), "scripts/peers/testdata/stub"), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s %q: exit code %d, want %d:\n%s", name, args, got, code, out)
	}
	return string(out)
}

// Settings that mean something on a CPU, measured.
func TestSettingsScript(t *testing.T) {
	dir := house(t)
	out := script(t, dir, 0, "settings.sh", "--models", "tiny-gpt2", "--shape", "96+4", "--pairs", "2", "--settings", "ubatch-64,no-mmap,flash-off", "--out", "times.csv")
	for _, name := range []string{"ubatch-64", "no-mmap", "flash-off"} {
		for _, phase := range []string{"prefill", "decode"} {
			if !regexp.MustCompile(`\| tiny-gpt2 ` + name + ` ` + phase + ` \| \d+\.\d{3} \| \d+\.\d{3} to \d+\.\d{3} \| \d+\.\d{3} \|  \| 2 \|`).MatchString(out) {
				t.Errorf("%s of %s is not in:\n%s", phase, name, out)
			}
		}
	}
}

// The three steps of the study, with tiny models and stand-ins for transformers
// and llama-bench: each is cut once where that can be told, and goes on.
func TestStudyScript(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed: the steps go untried")
	}
	dir := house(t)
	for name, text := range map[string]string{
		"study.yaml": `name: try
repetitions: 1
launches: 3
models: [{name: tiny-gpt2, synth: tiny-gpt2}]
backends: [{name: llamacpp-cpu, device: cpu, threads: 1, warmup: 1}]
scenarios: [{name: short, prompt_tokens: 8, gen_tokens: 4}]
`,
		"llama-bench": `#!/bin/sh
echo '{"build_commit": "abc", "build_number": 7, "cpu_info": "C", "samples_ns": [ 1000000 ]}'
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	study := func(code int, args ...string) string {
		t.Helper()
		return script(t, dir, code, "h200-study.sh", append([]string{
			args[0], "--out", "results/study", "--matrix", "study.yaml", "--cpu", "--base", "llamacpp-cpu", "--llama-bench", filepath.Join(dir, "llama-bench")}, args[1:]...)...)
	}
	has := func(path string, texts ...string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if !strings.Contains(string(data), text) {
				t.Errorf("%s: no %q in\n%s", path, text, data)
			}
		}
	}
	study(1, "report")
	study(0, "measure")
	if out := study(0, "measure"); !strings.Contains(out, "nothing was missing") {
		t.Errorf("a finished run is not gone on with:\n%s", out)
	}
	peers := []string{"--", "--models", "gpt2", "--modes", "eager", "--scenarios", "short=8+4"}
	study(0, append([]string{"peers"}, append(peers, "--reps", "1")...)...)
	study(0, append([]string{"peers"}, append(peers, "--reps", "3")...)...)
	study(0, "report")
	has("results/study/tables/side_by_side.csv",
		"tiny-gpt2,short,,study,llamacpp-cpu,3,",
		"tiny-gpt2,short,,interleaved,llamacpp-cpu (bench probe),3,",
		"tiny-gpt2,short,,interleaved,llama-bench-cpu (llama-bench),3,",
		"tiny-gpt2,short,,interleaved,transformers-eager (transformers),3,")
	has("results/study/report.md", "transformers-eager (transformers)")
	has("results/study-peers/in-turns.md", "old: interleaved llamacpp-cpu", "interleaved transformers-eager")
	study(0, "report") // again, over what is there

	// What does not end in time says how to go on.
	if err := os.WriteFile(filepath.Join(dir, "llama-bench"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := study(1, append([]string{"peers", "--seconds", "5"}, append(peers, "--reps", "4")...)...)
	if !strings.Contains(out, "not finished after 5 s; the same command goes on") {
		t.Errorf("cut by --seconds:\n%s", out)
	}
	study(2, "publish")
	study(2, "peers", "--seconds", "0")
}
