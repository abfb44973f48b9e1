package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// steadyMiddle is a number of rows of steady.yaml after which five are left,
// three of them long: both models are loaded and all warm-ups done.
const steadyMiddle = 11

// uninterrupted returns what steady.yaml comes to when nothing happens.
func uninterrupted(t *testing.T) map[record.Key]string {
	t.Helper()
	steadyOnce.Do(func() {
		dir := workspace(t)
		bench(t, dir, []string{"-matrix", "steady.yaml", "-o", "out", "--no-kv"}, 0)
		steady = outcomes(t, filepath.Join(dir, "out"))
	})
	return steady
}

var (
	steadyOnce sync.Once
	steady     map[record.Key]string
)

// state returns the state letter and the parent of a process, or nothing when
// there is none.
func state(pid int) (state string, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// "pid (command) state parent ...", where the command may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// gone reports whether a process has ended, waited for or not.
func gone(pid int) bool {
	s, _ := state(pid)
	return s == "" || s == "Z"
}

// workers returns the workers of p.
func (p *process) workers() []int {
	p.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, parent := state(pid); parent != p.Process.Pid || gone(pid) {
			continue
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.HasSuffix(cmdline, []byte("\x00worker\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// reach waits until the run in dir has at least n rows and returns the worker
// that is at the next one.
func (p *process) reach(dir string, n int) (worker int) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, fmt.Sprintf("%d rows in %s", n, dir), func() bool {
		return bytes.Count(lines(p.t, dir), []byte("\n")) >= n
	})
	pids := p.workers()
	if len(pids) != 1 {
		p.t.Fatalf("workers %v, want one; did the run end?\n%s", pids, p.printed())
	}
	return pids[0]
}

// freeze stops the worker in the middle of a row, after at least n rows, and
// returns it and the rows that are there. Nothing moves from then on, which
// takes chance out of what follows.
func (p *process) freeze(dir string, n int) (worker int, before []byte) {
	p.t.Helper()
	worker = p.reach(dir, n)
	send(p.t, worker, syscall.SIGSTOP)
	// An answer that was on its way is still written down.
	for before = []byte{}; ; time.Sleep(100 * time.Millisecond) {
		now := lines(p.t, dir)
		if bytes.Equal(now, before) {
			break
		}
		before = now
	}
	if s, _ := state(worker); s != "T" {
		p.t.Fatalf("worker %d is in state %q, not stopped; did the run end?\n%s", worker, s, p.printed())
	}
	return worker, before
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// errorRows returns the indexes of the error rows.
func errorRows(all []record.Record) []int {
	var at []int
	for i := range all {
		if all[i].Status == record.StatusError {
			at = append(at, i)
		}
	}
	return at
}

func TestWorkerKilled(t *testing.T) {
	promise.Of(t, "a worker is killed once", "SIGKILL in the middle of a long row",
		"an error row says so, the row is measured again after a warm-up, the run ends with code 0; a resume adds nothing")
	want := uninterrupted(t)
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, steadyMiddle)
	send(t, worker, syscall.SIGKILL)
	p.end(0, "the worker died", "SIGKILL")

	all := rows(t, out)
	at := errorRows(all)
	n := bytes.Count(before, []byte("\n"))
	if !slices.Equal(at, []int{n}) {
		t.Fatalf("error rows %v, want one, after the %d rows there were", at, n)
	}
	lost := all[n]
	if lost.Error == nil || lost.Error.Kind != "signal" || lost.Error.Signal != "SIGKILL" || lost.PrefillMs != nil || lost.TokenHash != "" {
		t.Errorf("not a row lost to SIGKILL: %+v, %+v", lost, lost.Error)
	}
	if next := all[n+1]; next.LoadMs == nil || next.CellID != lost.CellID || !next.Warmup {
		t.Errorf("the new worker did not begin with a warm-up of the lost row's cell: %+v", next)
	}
	sameOutcomes(t, out, want)

	whole := lines(t, out)
	bench(t, dir, []string{"--resume", "out", "--no-kv"}, 0)
	if !bytes.Equal(lines(t, out), whole) {
		t.Error("a run with nothing missing got more rows when resumed")
	}
}

// A cell that costs two workers is given up, until the run is resumed.
func TestWorkerKilledTwice(t *testing.T) {
	promise.Of(t, "a cell kills two workers", "SIGKILL to both in the middle of the same row",
		"the cell is given up with error rows, the run ends with code 1; --resume measures it")
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "--models", "tiny-llama", "--scenarios", "long", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, 1)
	send(t, worker, syscall.SIGKILL)
	// Then come the error row and the warm-up of the new worker.
	worker, _ = p.freeze(out, bytes.Count(before, []byte("\n"))+2)
	send(t, worker, syscall.SIGKILL)
	p.end(1, "rows failed", "bench --resume out")
	if errs := errorRows(rows(t, out)); len(errs) < 2 {
		t.Errorf("error rows %v, want at least two", errs)
	}
	if n := len(outcomes(t, out)); n != 3 {
		t.Errorf("%d rows accounted for, want 3", n)
	}

	want := map[record.Key]string{}
	for key, outcome := range uninterrupted(t) {
		if strings.HasPrefix(key.CellID, "tiny-llama.cpu.f16.long.") {
			want[key] = outcome
		}
	}
	bench(t, dir, []string{"--resume", "out", "--no-kv"}, 0)
	sameOutcomes(t, out, want)
}

func TestParentKilled(t *testing.T) {
	promise.Of(t, "the run is killed and leaves half a row", "SIGKILL to the run, then half a row at the end of its file",
		"no process is left within 2 s; the half row is moved aside with a warning; --resume completes the run")
	want := uninterrupted(t)
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "-o", "out", "--no-kv")
	worker := p.reach(out, steadyMiddle)
	send(t, p.Process.Pid, syscall.SIGKILL)
	p.Wait()
	eventually(t, 2*time.Second, "worker gone", func() bool { return gone(worker) })

	// Half a row at the end, as a power cut leaves it.
	before := lines(t, out)
	f, err := os.OpenFile(filepath.Join(out, record.File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"schema":1,"timestamp":"20`); err != nil {
		t.Fatal(err)
	}

	bench(t, dir, []string{"--resume", "out", "--no-kv"}, 0, "half written", "rows are there already")
	sameOutcomes(t, out, want)
	if !bytes.HasPrefix(lines(t, out), before) {
		t.Error("rows that were there have changed")
	}
	if got := errorRows(rows(t, out)); len(got) > 0 {
		t.Errorf("error rows %v", got)
	}
	env, err := environ.Read(out)
	if err != nil || len(env.Sessions) != 2 || env.Sessions[0].Ended != nil || env.Sessions[1].Ended == nil {
		t.Errorf("%v: sessions %+v, want one that was killed and one that ended", err, env.Sessions)
	}
}

// A worker in the middle of a long row does not look whether anyone listens.
func TestNoOrphan(t *testing.T) {
	promise.Of(t, "the run is killed while its worker is deep in a row", "SIGKILL to the run during a row of hours",
		"the worker is gone within 2 s")
	dir := workspace(t)
	matrix := `
name: endless
repetitions: 1
models: [{name: tiny-gpt2, synth: tiny-gpt2}]
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0}]
scenarios:
  - {name: short, prompt_tokens: 16, gen_tokens: 8}
  - {name: endless, prompt_tokens: 96, gen_tokens: 4000, decode: uncached}
`
	if err := os.WriteFile(filepath.Join(dir, "endless.yaml"), []byte(matrix), 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "-matrix", "endless.yaml", "-o", "out")
	worker := p.reach(filepath.Join(dir, "out"), 1)
	time.Sleep(50 * time.Millisecond) // into the endless row
	send(t, p.Process.Pid, syscall.SIGKILL)
	p.Wait()
	eventually(t, 2*time.Second, "worker gone", func() bool { return gone(worker) })
}

// Ctrl-C goes to the whole foreground process group.
func TestInterrupt(t *testing.T) {
	promise.Of(t, "Ctrl-C", "SIGINT to the process group in the middle of a row",
		"the row is finished, the run ends with code 1 and says how to go on; --resume completes it")
	want := uninterrupted(t)
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, steadyMiddle)
	send(t, -p.Process.Pid, syscall.SIGINT)
	eventually(t, 5*time.Second, "told", func() bool { return strings.Contains(p.printed(), "stopping after this row") })
	send(t, worker, syscall.SIGCONT)
	p.end(1, "rows are missing; continue with: "+filepath.Join(home, "bench")+" --resume out", "report: out/report.md")

	all := rows(t, out)
	if n := bytes.Count(before, []byte("\n")); len(all) != n+1 || all[n].Status != record.StatusOK {
		t.Errorf("%d rows, want the %d there were and the one at hand, ok", len(all), n)
	}
	before = lines(t, out)
	bench(t, dir, []string{"--resume", "out", "--no-kv"}, 0)
	sameOutcomes(t, out, want)
	if !bytes.HasPrefix(lines(t, out), before) {
		t.Error("rows that were there have changed")
	}
}

func TestSecondInterrupt(t *testing.T) {
	promise.Of(t, "Ctrl-C twice", "SIGINT twice in the middle of a row",
		"the run ends at once with code 1; the row at hand leaves no trace")
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, steadyMiddle)
	send(t, -p.Process.Pid, syscall.SIGINT)
	eventually(t, 5*time.Second, "told", func() bool { return strings.Contains(p.printed(), "once more to stop at once") })
	send(t, -p.Process.Pid, syscall.SIGINT)
	p.end(1, "continue with: "+filepath.Join(home, "bench")+" --resume out")
	if !gone(worker) {
		t.Error("the worker is still there")
	}
	if !bytes.Equal(lines(t, out), before) {
		t.Error("the row at hand left a trace")
	}
}

func TestTwoRunsIntoOneFolder(t *testing.T) {
	promise.Of(t, "two runs into one folder", "a second run and a resume while the first runs",
		"refused with code 2 and the process id of the first, which goes on unharmed")
	want := uninterrupted(t)
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "steady.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, steadyMiddle)
	who := fmt.Sprintf("process %d is writing to this run", p.Process.Pid)
	bench(t, dir, []string{"-matrix", "steady.yaml", "-o", "out"}, 2, who)
	bench(t, dir, []string{"--resume", "out"}, 2, who)
	bench(t, dir, []string{"analyze", "out"}, 0, "report: out/report.md") // only reads
	if !bytes.Equal(lines(t, out), before) {
		t.Error("the rows have changed")
	}
	send(t, worker, syscall.SIGCONT)
	p.end(0)
	sameOutcomes(t, out, want)
}
