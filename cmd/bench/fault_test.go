package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/record"
)

// What must hold after any fault.

// asRoot skips a test that needs what only root may do.
func asRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot " + what)
	}
}

// of returns the outcomes of the cells whose ID begins with a prefix.
func of(all map[record.Key]string, prefix string) map[record.Key]string {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(k record.Key, _ string) bool { return !strings.HasPrefix(k.CellID, prefix) })
	return out
}

// limit sets a resource limit of another process.
func limit(t *testing.T, pid, resource int, value uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
}

// livingIn returns the processes whose working directory is dir.
func livingIn(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || gone(pid) {
			continue
		}
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && cwd == dir {
			pids = append(pids, pid)
		}
	}
	return pids
}

// noOrphans checks that no process of a run in dir is left.
func noOrphans(t *testing.T, dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Second, "no process left of the run", func() bool { return len(livingIn(t, dir)) == 0 })
}

// survives checks what is promised of the run in dir/out after any fault: no
// process is left, each row that was there is there still, and --resume ends
// with exactly the outcomes that a run without the fault comes to.
func survives(t *testing.T, dir string, before []byte, want map[record.Key]string) {
	t.Helper()
	out := filepath.Join(dir, "out")
	noOrphans(t, dir)
	if !bytes.HasPrefix(lines(t, out), before) {
		t.Error("rows that were there have changed")
	}
	before = lines(t, out)
	bench(t, dir, []string{"--resume", "out", "--no-kv", "-q"}, 0)
	if !bytes.HasPrefix(lines(t, out), before) {
		t.Error("rows that were there have changed when the run was resumed")
	}
	sameOutcomes(t, out, want)
	noOrphans(t, dir)
}

// steadyRun starts steady.yaml in a fresh workspace, narrowed by more arguments.
func steadyRun(t *testing.T, args ...string) (p *process, dir, out string) {
	t.Helper()
	dir = workspace(t)
	p = start(t, dir, append([]string{"-matrix", "steady.yaml", "-o", "out", "--no-kv"}, args...)...)
	return p, dir, filepath.Join(dir, "out")
}

// oneModel narrows steady.yaml to 8 rows, of which the last three are long.
var oneModel = []string{"--models", "tiny-llama"}

// oneModelMiddle is a number of rows after which a long one is at hand.
const oneModelMiddle = 3

func signalled(p *process) syscall.Signal {
	if ws, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return 0
}
