//go:build cgo

package llama

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/promise"
)

// proc returns the number after a name in /proc/self/status, in bytes.
func proc(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in\n%s", name, status)
	return 0
}

// Memory that is not to be had is told as such, not as a broken file, and
// once it is there again everything works.
func TestOutOfMemory(t *testing.T) {
	promise.Of(t, "no memory for a model or a context", "RLIMIT_DATA 64 MB above what is used, and for a context 1 to 24 MB",
		"an error says that memory ran out and how much is free; with memory the next call works")
	promise.Tries(t, 94)
	if os.Getenv("LLAMA_LIMITED") == "" { // the limit is for a process of its own
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfMemory$", "-test.v")
		cmd.Env = append(os.Environ(), "LLAMA_LIMITED=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	file := tinyFile(t, "tiny-llama")
	m := tinyModel(t, "tiny-llama")
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &before); err != nil {
		t.Fatal(err)
	}
	limited := func(room int64, call func() error) error {
		t.Helper()
		if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(proc(t, "VmData") + room), Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		defer unix.Setrlimit(unix.RLIMIT_DATA, &before)
		return call()
	}
	for name, call := range map[string]func() error{
		"load":    func() error { m, err := Load(ModelParams{Path: file}); closeModel(t, m); return err },
		"context": func() error { c, err := m.NewContext(ContextParams{NCtx: 100_000}); closeContext(t, c); return err },
	} {
		// Room for what Go and the tokenizer take, not for the weights.
		if err := limited(64<<20, call); !errors.Is(err, ErrMemory) || !strings.Contains(fmt.Sprint(err), "no memory") || !strings.Contains(fmt.Sprint(err), "engine:") {
			t.Errorf("%s: %v, want %v", name, err, ErrMemory)
		}
		if err := call(); err != nil {
			t.Errorf("%s with memory: %v", name, err)
		}
	}
	// Whichever allocation it is that fails: the engine stops on an assertion
	// when it is one of its own tables.
	for room := int64(1 << 20); room < 24<<20; room += 1 << 18 {
		err := limited(room, func() error { c, err := m.NewContext(ContextParams{NCtx: 1500}); closeContext(t, c); return err })
		if err != nil && !errors.Is(err, ErrMemory) {
			t.Errorf("%d bytes of room: %v, want %v", room, err, ErrMemory)
		}
	}
}

func closeModel(t *testing.T, m *Model) {
	t.Helper()
	if m == nil {
		return
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func closeContext(t *testing.T, c *Context) {
	t.Helper()
	if c == nil {
		return
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// What is closed is given back: the process does not grow. The whole test takes
// minutes; without FAULTS=all a part of it runs.
func TestNoLeak(t *testing.T) {
	promise.Of(t, "leaks", "contexts with a prefill and a step each, and about a tenth as often a tiny model loaded and closed",
		"resident memory stays flat: it grows by 64 MB for all loads and 8 MB for all contexts at most")
	contexts := promise.Times(t, 300, 10_000)
	loads := max(contexts/10, 90)
	file := tinyFile(t, "tiny-gpt2")
	m := tinyModel(t, "tiny-gpt2")
	// flat repeats what should leave nothing. The first ones fill the caches of
	// both allocators, which takes longest when no test ran before.
	flat := func(name string, n int, allowed int64, once func()) {
		t.Helper()
		var start int64
		for i := range n {
			if i == max(n/10, 60) {
				debug.FreeOSMemory()
				start = proc(t, "VmRSS")
			}
			once()
		}
		debug.FreeOSMemory()
		grown := proc(t, "VmRSS") - start
		t.Logf("%d times %s: resident memory grew by %d KiB from %d MiB", n, name, grown>>10, start>>20)
		if grown > allowed {
			t.Errorf("%d times %s: resident memory grew by %d bytes, more than %d", n, name, grown, allowed)
		}
	}
	flat("load and close", loads, 64<<20, func() { // arenas of the threads that load; a model would be 15 MB each time
		m, err := Load(ModelParams{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		closeModel(t, m)
	})
	prompt := promptOf(m, 4)
	flat("a context with a step", contexts, 8<<20, func() {
		c := newClosedLater(t, m)
		if _, err := c.Prefill(prompt); err != nil {
			t.Fatal(err)
		}
		if _, err := c.DecodeStep(); err != nil {
			t.Fatal(err)
		}
		closeContext(t, c)
	})
}

func newClosedLater(t *testing.T, m *Model) *Context {
	t.Helper()
	c, err := m.NewContext(ContextParams{NCtx: 16, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
