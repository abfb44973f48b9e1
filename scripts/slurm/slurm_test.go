// Package slurm_test runs the scripts of this folder: what they would ask Slurm
// for always, and on a real cluster when PHASEBENCH_SLURM is set.
package slurm_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
)

// The matrix has four pairs, so that each of four shards has one. The rows are
// many enough that a shard can be caught in the middle of them.
const matrixFile = `
name: slurm
repetitions: 25
models:
  - {name: tiny-gpt2, synth: tiny-gpt2}
  - {name: tiny-llama, synth: tiny-llama}
backends:
  - {name: one, device: cpu, threads: 1, warmup: 1}
  - {name: off, device: cpu, threads: 1, warmup: 1, flash_attn: "off"}
scenarios:
  - {name: short, prompt_tokens: 16, gen_tokens: 8}
  - {name: long, prompt_tokens: 32, gen_tokens: 64}
energy: {windows: 0, idle_s: 0, roofline: false}
`

// workspace returns a folder with the matrix, and the scripts' own.
func workspace(t *testing.T) (dir, scripts string) {
	t.Helper()
	scripts, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.yaml"), []byte(matrixFile), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, scripts
}

// call runs a command in dir, which must end with the exit code, and returns what
// it printed.
func call(t *testing.T, dir string, code int, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%v: %v, want exit code %d\n%s", cmd, cmd.ProcessState, code, out)
	}
	return string(out)
}

// A cluster that is only asked what it has.
const fakeSinfo = `#!/bin/sh
case "$*" in
*"-p h100 "*) echo gpu:h100:8 ;;
*"-p cpu "*) echo "(null)" ;;
*"-p mixed "*) echo gpu:1; echo "(null)" ;;
esac
`

func TestSubmitDryRun(t *testing.T) {
	dir, scripts := workspace(t)
	bin := t.TempDir()
	for name, text := range map[string]string{"sinfo": fakeSinfo, "sbatch": "#!/bin/sh\necho submitted >&2; exit 9\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	submit := filepath.Join(scripts, "submit.sh")
	out := call(t, dir, 0, env, submit, "-matrix", "m.yaml", "--partitions", "h100,cpu,mixed", "--dry-run", "--sbatch", "--time=1:00:00", "-o", "res ults", "--", "--reps", "2")
	var calls []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "$ sbatch ") {
			calls = append(calls, line)
		}
	}
	if len(calls) != 4 {
		t.Fatalf("%d calls, want one for each partition and one to merge\n%s", len(calls), out)
	}
	for i, want := range []string{"--partition=h100 --array=1-4 ", "--partition=cpu --array=1-4 ", "--partition=mixed --array=1-4 "} {
		for _, arg := range []string{want, "--exclusive ", "--requeue ", "--time=1:00:00 ", `--output=` + dir + `/res\ ults/`} {
			if !strings.Contains(calls[i], arg) {
				t.Errorf("call %d lacks %s: %s", i, arg, calls[i])
			}
		}
		if got := strings.Contains(calls[i], "--gres=gpu:1 "); got != (i == 0) {
			t.Errorf("call %d asks for a GPU: %v", i, got)
		}
	}
	if !strings.Contains(calls[3], "--dependency=afterany:JOB1:JOB2:JOB3 ") || strings.Contains(calls[3], "--array") {
		t.Errorf("the merge does not wait for the arrays: %s", calls[3])
	}
	if _, err := os.Stat(filepath.Join(dir, "res ults")); err == nil {
		t.Error("a dry run left a folder")
	}
	if out := call(t, dir, 0, env, submit, "-matrix", "m.yaml", "--partitions", "cpu", "--dry-run", "--gres", "gpu:2", "--share-nodes", "--shards", "2"); !strings.Contains(out, "--array=1-2 --nodes=1 --ntasks=1 --gres=gpu:2 ") {
		t.Errorf("not as asked for:\n%s", out)
	}
	for _, bad := range [][]string{
		{"-matrix", "m.yaml"},
		{"--partitions", "cpu"},
		{"-matrix", "none.yaml", "--partitions", "cpu"},
		{"-matrix", "m.yaml", "--partitions", "c pu"},
		{"-matrix", "m.yaml", "--partitions", "cpu", "--shards", "5", "--dry-run"}, // more than pairs
		{"-matrix", "m.yaml", "--partitions", "cpu", "--dry-run", "--", "--models", "none"},
	} {
		call(t, dir, 2, env, submit, bad...)
	}
	call(t, dir, 1, env, submit, "-matrix", "m.yaml", "--partitions", "nowhere", "--dry-run")
}

// cluster starts Slurm and returns the environment of its commands.
func cluster(t *testing.T, scripts string) []string {
	t.Helper()
	// munge's socket has a path of at most 107 bytes.
	dir, err := os.MkdirTemp("", "slurm")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(scripts, "test-cluster.sh")
	t.Cleanup(func() {
		call(t, scripts, 0, nil, script, "stop", dir)
		os.RemoveAll(dir)
	})
	call(t, scripts, 0, nil, script, "start", dir)
	return []string{"SLURM_CONF=" + filepath.Join(dir, "slurm.conf")}
}

// eventually fails the test unless ok becomes true in time, and then says what is
// known.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool, known func() string) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s\n%s", limit, what, known())
		}
	}
}

// outcomes returns how each planned row of a run ended, by pool.
func outcomes(t *testing.T, dir string) map[string]map[record.Key]string {
	t.Helper()
	rows, bad, err := record.Read(filepath.Join(dir, record.File))
	if err != nil || bad != nil {
		t.Fatal(err, bad)
	}
	latest, doubles := record.Latest(rows)
	if doubles != nil {
		t.Error(doubles)
	}
	out := map[string]map[record.Key]string{}
	for i := range latest {
		r := &latest[i]
		if r.Warmup {
			continue
		}
		if out[r.Pool] == nil {
			out[r.Pool] = map[record.Key]string{}
		}
		k := r.Key()
		k.Pool = ""
		out[r.Pool][k] = fmt.Sprintf("%s %d+%d %s", r.Status, r.PromptTokens, r.GenTokens, r.TokenHash)
	}
	return out
}

// Shards on two partitions of a real cluster, one of which is killed in the middle
// of its rows and requeued, come to what one run comes to.
func TestCluster(t *testing.T) {
	if os.Getenv("PHASEBENCH_SLURM") == "" {
		t.Skip("needs Slurm: make test-slurm")
	}
	dir, scripts := workspace(t)
	bench := filepath.Join(scripts, "..", "..", "bench")
	call(t, dir, 0, nil, bench, "-q", "--no-kv", "-matrix", "m.yaml", "-o", "whole")
	env := cluster(t, scripts)
	slurm := func(name string, args ...string) string { return call(t, dir, 0, env, name, args...) }
	out := filepath.Join(dir, "out")
	told := slurm(filepath.Join(scripts, "submit.sh"), "-matrix", "m.yaml", "--partitions", "cpu,gpu", "-o", "out", "--", "--no-kv")
	jobs := regexp.MustCompile(`job (\d+): `).FindAllStringSubmatch(told, -1)
	if len(jobs) != 3 || !strings.Contains(told, "4 shards on gpu with --gres=gpu:1") || strings.Contains(told, "on cpu with") {
		t.Fatalf("submitted:\n%s", told)
	}
	array, merge := jobs[0][1], jobs[2][1]
	task := array + "_1"
	slurm("scontrol", "hold", merge) // until the killed task is queued again
	known := func() string {
		logs, _ := exec.Command("sh", "-c", "tail -n 5 "+out+"/*.log "+out+"/*/*.log").CombinedOutput()
		return slurm("squeue", "-a") + string(logs)
	}

	shard := filepath.Join(out, "cpu", "shard-1")
	lines := func() string {
		data, _ := os.ReadFile(filepath.Join(shard, record.File))
		return string(data)
	}
	eventually(t, time.Minute, "rows of the first shard", func() bool { return strings.Count(lines(), "\n") >= 5 }, known)
	lock, err := os.ReadFile(filepath.Join(shard, "lock"))
	pid, err2 := strconv.Atoi(strings.TrimSpace(string(lock)))
	if err != nil || err2 != nil {
		t.Fatalf("the shard has ended already: %v, %v", err, err2)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	state := func(job string) string {
		return regexp.MustCompile(`JobState=\S+`).FindString(slurm("scontrol", "show", "job", job))
	}
	eventually(t, time.Minute, "the killed task has failed", func() bool { return state(task) == "JobState=FAILED" }, known)
	before := lines()
	slurm("scontrol", "requeue", task)
	slurm("scontrol", "release", merge)
	eventually(t, 4*time.Minute, "everything has ended", func() bool { return slurm("squeue", "-h") == "" }, known)
	if got := slurm("scontrol", "show", "job", merge); !strings.Contains(got, "JobState=COMPLETED") {
		t.Fatalf("the last job did not succeed:\n%s\n%s", got, known())
	}

	if !strings.HasPrefix(lines(), before) || len(lines()) == len(before) {
		t.Errorf("the requeued shard did not go on after its %d bytes of rows: it has %d", len(before), len(lines()))
	}
	e, err := environ.Read(shard)
	if err != nil || len(e.Sessions) != 2 || e.Sessions[0].Ended != nil || e.Sessions[1].Ended == nil {
		t.Errorf("%v: sessions %+v, want one that was killed and one that ended", err, e.Sessions)
	}
	merged := filepath.Join(out, "merged")
	want := outcomes(t, filepath.Join(dir, "whole"))[""]
	got := outcomes(t, merged)
	if len(want) != 200 || len(got) != 2 || !maps.Equal(got["cpu"], want) || !maps.Equal(got["gpu"], want) {
		t.Errorf("merged: %d rows in pool cpu, %d in gpu; one run has %d, want all the same", len(got["cpu"]), len(got["gpu"]), len(want))
	}
	hosts := map[string]bool{}
	rows, _, _ := record.Read(filepath.Join(merged, record.File))
	for i := range rows {
		hosts[rows[i].Pool+" "+rows[i].Host] = true
	}
	if !hosts["gpu node3"] || !hosts["cpu node1"] || !hosts["cpu node2"] || len(hosts) != 3 {
		t.Errorf("rows are from %v", hosts)
	}
	report, err := os.ReadFile(filepath.Join(merged, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one @ cpu", "off @ gpu", "**node3**", "Merged from 8 runs", "400 rows planned: ok 400, skipped 0, error 0."} {
		if !strings.Contains(string(report), text) {
			t.Errorf("the report does not say %q", text)
		}
	}
}
