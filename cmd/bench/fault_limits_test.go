package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// memoryGroup makes a control group whose processes may take so many bytes more
// of memory, and returns the file that takes their process ids.
func memoryGroup(t *testing.T, bytes int) (procs string) {
	t.Helper()
	asRoot(t, "make a control group")
	name, file := "/sys/fs/cgroup", "memory.max"
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		name, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	}
	name = filepath.Join(name, fmt.Sprintf("phasebench-test-%d", os.Getpid()))
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Skip("no control group can be made here: ", err)
	}
	t.Cleanup(func() { os.Remove(name) })
	if err := os.WriteFile(filepath.Join(name, file), []byte(strconv.Itoa(bytes)), 0); err != nil {
		t.Skip("no memory limit can be set here: ", err)
	}
	return filepath.Join(name, "cgroup.procs")
}

// contexts is a matrix whose worker makes a second context after two rows. That
// one takes 100 MB, far more than anything else needs by then.
const contexts = `
name: contexts
repetitions: 1
models: [{name: m, synth: tiny-llama}]
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0}]
kv_types: [f16, f32]
scenarios: [{name: short, prompt_tokens: 32, gen_tokens: 4}, {name: long, prompt_tokens: 600, gen_tokens: 4}]
energy: {windows: 0, idle_s: 0, roofline: false}
`

// memoryOf returns the bytes of writable memory that a process has for itself.
func memoryOf(t *testing.T, pid int) uint64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmData:")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// Memory that a worker asks for and does not get costs the cells that need it.
func TestFaultNoMemory(t *testing.T) {
	promise.Of(t, "no memory for a context", "RLIMIT_DATA of a worker 16 MB above what it has, in the middle of a row, before it makes another context",
		"the row is kept; error rows of kind memory say what was asked for; with memory again --resume completes the run")
	dir := workspace(t)
	write(t, filepath.Join(dir, "contexts.yaml"), []byte(contexts))
	bench(t, dir, []string{"-matrix", "contexts.yaml", "-o", "whole", "--no-kv", "-q"}, 0)
	p := start(t, dir, "-matrix", "contexts.yaml", "-o", "out", "--no-kv")
	out := filepath.Join(dir, "out")
	worker, before := p.freeze(out, 1)
	limit(t, worker, unix.RLIMIT_DATA, memoryOf(t, worker)+16<<20)
	send(t, worker, syscall.SIGCONT)
	p.end(1, "rows failed", "no memory to")
	all := rows(t, out)
	at := errorRows(all)
	for _, i := range at {
		if e := all[i].Error; e.Kind != "memory" || !strings.Contains(e.Message, "no memory to create a context of 604 positions") || !strings.Contains(e.Message, "attempted to allocate") || all[i].KVTypeK != "f32" {
			t.Errorf("not told as a want of memory: %+v", e)
		}
	}
	if len(at) != 2 {
		t.Errorf("error rows %v, want the two of the second context", at)
	}
	survives(t, dir, before, outcomes(t, filepath.Join(dir, "whole")))
}

// The kernel kills what takes more memory than there is.
func TestFaultOOMKill(t *testing.T) {
	promise.Of(t, "the kernel kills a worker for want of memory", "moved in the middle of a row into a control group that has no memory left, before it makes another context",
		"an error row says SIGKILL and that memory may have run out; the row is measured again")
	promise.OnlyInFull(t, "it needs root and a control group")
	procs := memoryGroup(t, 4096)
	dir := workspace(t)
	write(t, filepath.Join(dir, "contexts.yaml"), []byte(contexts))
	bench(t, dir, []string{"-matrix", "contexts.yaml", "-o", "whole", "--no-kv", "-q"}, 0)
	want := outcomes(t, filepath.Join(dir, "whole"))
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "contexts.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, 1)
	if err := os.WriteFile(procs, []byte(strconv.Itoa(worker)), 0); err != nil {
		t.Fatal(err)
	}
	send(t, worker, syscall.SIGCONT)
	p.end(0)
	all := rows(t, out)
	at := errorRows(all)
	if len(at) != 1 {
		t.Fatalf("error rows %v, want one", at)
	}
	if e := all[at[0]].Error; e.Kind != "signal" || e.Signal != "SIGKILL" || !strings.Contains(e.Message, "memory runs out") {
		t.Errorf("not told as a death for want of memory: %+v", e)
	}
	survives(t, dir, before, want)
}

// A machine that starts no more programs ends no run: its rows are errors.
func TestFaultNoMoreFiles(t *testing.T) {
	promise.Of(t, "no new worker can be started", "RLIMIT_NOFILE of the run down to what it has open, then its worker killed",
		"error rows say why, the run ends with code 1; --resume completes it")
	promise.OnlyInFull(t, "like fork that fails")
	p, dir, out := steadyRun(t, oneModel...)
	worker, before := p.freeze(out, oneModelMiddle)
	var had unix.Rlimit
	if err := unix.Prlimit(p.Process.Pid, unix.RLIMIT_NOFILE, nil, &had); err != nil {
		t.Fatal(err)
	}
	limit(t, p.Process.Pid, unix.RLIMIT_NOFILE, 3)
	send(t, worker, syscall.SIGKILL)
	// With the last row the report wants files again.
	eventually(t, limitOfARow, "an error row", func() bool { return bytes.Contains(lines(t, out), []byte("too many open files")) })
	limit(t, p.Process.Pid, unix.RLIMIT_NOFILE, had.Cur)
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d\n%s", code, exitFailed, p.printed())
	}
	all := rows(t, out)
	for _, i := range errorRows(all) {
		if e := all[i].Error; e.Signal != "SIGKILL" && !strings.Contains(e.Message, "worker could not be started") {
			t.Errorf("row %d: %+v", i, e)
		}
	}
	survives(t, dir, before, of(uninterrupted(t), "tiny-llama."))
}

// Where no process can be made at all, the Go runtime may end the run itself.
func TestFaultFork(t *testing.T) {
	promise.Of(t, "fork fails", "as another user, RLIMIT_NPROC of the run down to 1, then its worker killed",
		"the run ends with a code other than 0 and keeps every row; --resume completes it")
	promise.OnlyInFull(t, "it needs root and the longest of all to set up")
	asRoot(t, "be another user")
	want := of(uninterrupted(t), "tiny-llama.")
	const nobody = 65534
	dir := workspace(t)
	for _, path := range []string{home, filepath.Join(home, "models"), filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	as := &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	hello := exec.Command(filepath.Join(home, "bench"), "version")
	hello.SysProcAttr = as
	if out, err := hello.CombinedOutput(); err != nil {
		t.Skipf("another user cannot run the program here: %v %s", err, out)
	}
	out := filepath.Join(dir, "out")
	p := startAs(t, dir, as, "-matrix", "steady.yaml", "--models", "tiny-llama", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, oneModelMiddle)
	// Set by that user: root may lack the capability in a container.
	lower := exec.Command("prlimit", "--nproc=1", "--pid", strconv.Itoa(p.Process.Pid))
	lower.SysProcAttr = as
	if out, err := lower.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	send(t, worker, syscall.SIGKILL)
	p.Wait()
	t.Logf("%v", p.ProcessState)
	if code := p.ProcessState.ExitCode(); code == exitOK {
		t.Errorf("exit code %d\n%s", code, p.printed())
	}
	for _, r := range rows(t, out) {
		if r.Status == record.StatusError && r.Error.Signal != "SIGKILL" && !strings.Contains(r.Error.Message, "worker could not be started") {
			t.Errorf("%+v", r.Error)
		}
	}
	survives(t, dir, before, want)
}
