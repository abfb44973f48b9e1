package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// A run that is ended at any point, also while it starts or reports, loses
// nothing and can be continued.
func TestFaultParentEnded(t *testing.T) {
	promise.Of(t, "the run is killed or asked to end", "SIGKILL, SIGTERM and SIGHUP in turn, at random points from the start of the program to its end",
		"every row that was written is kept; --resume, or the same command where nothing was written yet, completes the run")
	n := promise.Times(t, 1, 50)
	want := uninterrupted(t)
	start := time.Now()
	p, _, _ := steadyRun(t)
	p.end(0)
	whole := time.Since(start)
	rng := rand.New(rand.NewPCG(8, 0))
	hit := 0
	for i := range n {
		s := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGHUP}[i%3]
		wait := time.Duration(rng.Float64() * float64(whole))
		t.Run(fmt.Sprintf("%v after %v", s, wait.Round(time.Millisecond)), func(t *testing.T) {
			p, dir, out := steadyRun(t)
			time.Sleep(wait)
			before := lines(t, out)
			send(t, p.Process.Pid, s) // of a process that has ended but was not waited for, too
			p.Wait()
			switch code := p.ProcessState.ExitCode(); {
			case code == exitOK:
			case s == syscall.SIGKILL && signalled(p) == s, s != syscall.SIGKILL && code == exitFailed:
				hit++
			case signalled(p) == s && len(before) == 0: // before it listens
				hit++
			default:
				t.Errorf("%v\n%s", p.ProcessState, p.printed())
			}
			if _, err := os.Stat(filepath.Join(out, record.File)); err != nil {
				noOrphans(t, dir)
				bench(t, dir, []string{"-matrix", "steady.yaml", "-o", "out", "--no-kv", "-q"}, 0)
				sameOutcomes(t, out, want)
				return
			}
			survives(t, dir, before, want)
		})
	}
	t.Logf("%d of %d runs ended early", hit, n)
}

// Whatever a worker dies of, its row is an error that names it, and is tried
// once more.
func TestFaultWorkerDies(t *testing.T) {
	promise.Of(t, "a worker crashes or is killed", "SIGSEGV, SIGABRT, SIGBUS, SIGKILL and SIGTERM, in the middle of a row",
		"an error row names the signal, the row is measured again by a new worker, the run ends with code 0")
	signals := []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGKILL, syscall.SIGTERM}
	signals = signals[:promise.Times(t, 1, len(signals))]
	want := of(uninterrupted(t), "tiny-llama.")
	for _, s := range signals {
		t.Run(unix.SignalName(s), func(t *testing.T) {
			p, dir, out := steadyRun(t, oneModel...)
			worker, before := p.freeze(out, oneModelMiddle)
			send(t, worker, s)
			send(t, worker, syscall.SIGCONT)
			p.end(0, "the worker died", unix.SignalName(s))
			all := rows(t, out)
			at := errorRows(all)
			if len(at) != 1 {
				t.Fatalf("error rows %v, want one", at)
			}
			if e := all[at[0]].Error; e.Kind != "signal" || e.Signal != unix.SignalName(s) || strings.Contains(e.Message, "0x") {
				t.Errorf("not told as a death by %s: %+v", unix.SignalName(s), e)
			}
			survives(t, dir, before, want)
		})
	}
}

// A worker that no longer answers is ended when its row takes much longer than
// the rows before let expect.
func TestFaultWorkerHangs(t *testing.T) {
	promise.Of(t, "a worker hangs", "SIGSTOP in the middle of a row, so that SIGTERM cannot be obeyed",
		"ended by SIGTERM, then SIGKILL, after 20 times what the row should take and at least a minute; the row is measured again")
	promise.OnlyInFull(t, "a row is given a minute at least")
	p, dir, out := steadyRun(t, oneModel...)
	_, before := p.freeze(out, oneModelMiddle)
	p.end(0, "the worker died", "no reply within 1m0s")
	all := rows(t, out)
	at := errorRows(all)
	if len(at) != 1 || all[at[0]].Error.Kind != "timeout" || all[at[0]].Error.Signal != "SIGKILL" {
		t.Errorf("error rows %v, want one for a timeout", at)
	}
	survives(t, dir, before, of(uninterrupted(t), "tiny-llama."))
}

// A model file that is cut off while it is mapped ends the worker by SIGBUS.
func TestFaultModelCutOff(t *testing.T) {
	promise.Of(t, "the model file is cut off during the run", "truncated to half in the middle of a row",
		"error rows name the file, the run ends with code 1; with the file restored --resume completes it")
	promise.OnlyInFull(t, "three runs")
	dir := workspace(t)
	uninterrupted(t) // which makes the model
	whole, err := os.ReadFile(filepath.Join(home, "models", "synthetic", "tiny-llama-seed42-f16.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "m.gguf"), whole)
	matrix := `
name: cut
repetitions: 3
models: [{name: m, path: m.gguf}]
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0, mmap: true}]
scenarios: [{name: long, prompt_tokens: 32, gen_tokens: 96}]
energy: {windows: 0, idle_s: 0, roofline: false}
`
	write(t, filepath.Join(dir, "cut.yaml"), []byte(matrix))
	bench(t, dir, []string{"-matrix", "cut.yaml", "-o", "whole", "--no-kv", "-q"}, 0)
	want := outcomes(t, filepath.Join(dir, "whole"))
	out := filepath.Join(dir, "out")
	p := start(t, dir, "-matrix", "cut.yaml", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, 1)
	if err := os.Truncate(filepath.Join(dir, "m.gguf"), int64(len(whole)/2)); err != nil {
		t.Fatal(err)
	}
	send(t, worker, syscall.SIGCONT)
	p.end(1, "rows failed", "m.gguf")
	write(t, filepath.Join(dir, "m.gguf"), whole)
	survives(t, dir, before, want)
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
