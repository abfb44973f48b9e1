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
	rss := held{"resident memory", func(t *testing.T) int64 { return proc(t, "VmRSS") }, 64 << 20, 8 << 20} // arenas of the threads that load; a model would be 15 MB each time
	openAndClose(t, ModelParams{}, contexts, rss)
}

// On a GPU its memory is given back too.
func TestNoLeakOnGPU(t *testing.T) {
	promise.Of(t, "leaks on a GPU", "contexts with a prefill and a step each, and about a tenth as often a tiny model loaded and closed, on the GPU",
		"its memory stays flat: it grows by 64 MB for all loads and 8 MB for all contexts at most; resident memory by 128 and 64 MB")
	gpu := firstGPU(t)
	contexts := promise.Times(t, 300, 10_000)
	taken := func(t *testing.T) int64 { d := firstGPU(t); return d.TotalBytes - d.FreeBytes }
	// The driver keeps some of what a process once had for its own tables.
	rss := held{"resident memory", func(t *testing.T) int64 { return proc(t, "VmRSS") }, 128 << 20, 64 << 20}
	openAndClose(t, ModelParams{Device: &gpu, GPULayers: -1}, contexts, rss, held{"memory of the GPU", taken, 64 << 20, 8 << 20})
}

func firstGPU(t *testing.T) Device {
	t.Helper()
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Kind == GPU {
			return d
		}
	}
	t.Skip("no GPU here")
	return Device{}
}

// held is memory that must be given back, and how much of it may stay after all
// loads of a model and after all contexts.
type held struct {
	name                string
	bytes               func(*testing.T) int64
	ofLoads, ofContexts int64
}

// openAndClose loads a tiny model and creates contexts again and again.
func openAndClose(t *testing.T, p ModelParams, contexts int, holds ...held) {
	loads := max(contexts/10, 90)
	p.Path = tinyFile(t, "tiny-gpt2")
	// flat repeats what should leave nothing. The first ones fill the caches of
	// both allocators, which takes longest when no test ran before.
	flat := func(name string, n int, allowed func(held) int64, once func()) {
		t.Helper()
		start := make([]int64, len(holds))
		for i := range n {
			if i == max(n/10, 60) {
				debug.FreeOSMemory()
				for k, h := range holds {
					start[k] = h.bytes(t)
				}
			}
			once()
		}
		debug.FreeOSMemory()
		for k, h := range holds {
			grown := h.bytes(t) - start[k]
			t.Logf("%d times %s: %s grew by %d KiB from %d MiB", n, name, h.name, grown>>10, start[k]>>20)
			if grown > allowed(h) {
				t.Errorf("%d times %s: %s grew by %d bytes, more than %d", n, name, h.name, grown, allowed(h))
			}
		}
	}
	load := func() *Model {
		m, err := Load(p)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	flat("load and close", loads, func(h held) int64 { return h.ofLoads }, func() { closeModel(t, load()) })
	m := load()
	defer closeModel(t, m)
	prompt := promptOf(m, 4)
	flat("a context with a step", contexts, func(h held) int64 { return h.ofContexts }, func() {
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
