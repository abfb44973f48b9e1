package measure

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

const vocabDir = "../../third_party/llama.cpp/models"

var model string // a tiny synthetic model

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "phasebench-measure")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		model = filepath.Join(dir, "tiny.gguf")
		if _, err := llama.Synth(context.Background(), "tiny-qwen2", model, llama.SynthOptions{Seed: 1, VocabDir: vocabDir}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// serve serves one end of a connection as a worker process does, and returns
// the other.
func serve(t *testing.T) *wire.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error)
	go func() { done <- Serve(theirs) }()
	t.Cleanup(func() {
		ours.Close()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
	return wire.NewClient(ours)
}

func ask(t *testing.T, c *wire.Client, q wire.Request) wire.Reply {
	t.Helper()
	r, err := c.Call(q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, c *wire.Client) *wire.Opened {
	t.Helper()
	r := ask(t, c, wire.Request{Open: &wire.Open{ModelPath: model, Engine: wire.Engine{Device: "cpu", Threads: 1, FlashAttn: "auto", Mmap: true}}})
	if r.Opened == nil {
		t.Fatalf("open: %+v", r.Error)
	}
	return r.Opened
}

func row(mode string) wire.Request {
	return wire.Request{Row: &wire.Row{
		Context:      wire.ContextSpec{NCtx: 48, Batch: 1, TypeK: "f16", TypeV: "f16"},
		PromptTokens: 32, GenTokens: 8, DecodeMode: mode, Seed: 42,
	}}
}

func TestRows(t *testing.T) {
	c := serve(t)
	o := open(t, c)
	if !o.Info.Synthetic || o.LoadMs <= 0 || o.PID != os.Getpid() || o.Threads != 1 || o.Device == "" {
		t.Errorf("opened %+v", o)
	}
	before := clock.NowNs()
	first := ask(t, c, row("cached")).Row
	second := ask(t, c, row("cached")).Row
	uncached := ask(t, c, row("uncached")).Row
	after := clock.NowNs()
	for name, r := range map[string]*wire.RowReply{"first": first, "second": second, "uncached": uncached} {
		if r == nil {
			t.Fatalf("%s row failed", name)
		}
		if r.PromptTokens != 32 || r.GenTokens != 8 || len(r.StepEndNs) != 8 {
			t.Errorf("%s: %d prompt tokens, %d generated in %d steps", name, r.PromptTokens, r.GenTokens, len(r.StepEndNs))
		}
		last := r.StartNs
		for _, ns := range append([]int64{r.PrefillEndNs}, r.StepEndNs...) {
			if ns <= last {
				t.Errorf("%s: the clock stood still or went back", name)
			}
			last = ns
		}
		if r.StartNs < before || last > after {
			t.Errorf("%s: times outside of the test's own: another clock", name)
		}
		if r.TokenHash != first.TokenHash || r.PromptHash != first.PromptHash {
			t.Errorf("%s: other tokens than the first row", name)
		}
		if r.PrefillCudaMs != nil || r.EngineGPUBytes != 0 {
			t.Errorf("%s: device-side times or memory on the CPU", name)
		}
	}
	i := o.Info
	if want := int64(i.Layers * i.KVHeads * (i.HeadDimK + i.HeadDimV) * 2 * 40); first.KVUsedBytes != want {
		t.Errorf("%d bytes of cache used at 40 positions, want %d", first.KVUsedBytes, want)
	}
	if first.ContextMs == nil || second.ContextMs != nil {
		t.Error("the first row creates the context, the second must not")
	}
	if first.HostPeakRSSBytes < first.HostRSSBytes || first.HostRSSBytes < 1<<20 {
		t.Errorf("resident %d, peak %d bytes", first.HostRSSBytes, first.HostPeakRSSBytes)
	}
	alone := row("cached")
	alone.Row.GenTokens = 0
	if r := ask(t, c, alone).Row; r == nil || len(r.StepEndNs) != 0 || r.PrefillEndNs <= r.StartNs {
		t.Errorf("prefill alone: %+v", r)
	}
	other := row("cached")
	other.Row.Seed = 43
	if r := ask(t, c, other).Row; r == nil || r.PromptHash == first.PromptHash {
		t.Error("another seed gave the same prompt")
	}
}

func TestFailuresAreAnswered(t *testing.T) {
	c := serve(t)
	check := func(name string, q wire.Request, kind, says string) {
		t.Helper()
		r := ask(t, c, q)
		if r.Error == nil || r.Error.Kind != kind || !strings.Contains(r.Error.Message, says) {
			t.Errorf("%s: %+v, want kind %s saying %q", name, r.Error, kind, says)
		}
	}
	check("nothing", wire.Request{}, "input", "empty request")
	check("row without a model", row("cached"), "input", "no model is open")
	check("missing file", wire.Request{Open: &wire.Open{ModelPath: "none.gguf", Engine: wire.Engine{Device: "cpu"}}}, "input", "no such file")
	open(t, c)
	check("second model", wire.Request{Open: &wire.Open{ModelPath: model, Engine: wire.Engine{Device: "cpu"}}}, "input", "already open")
	for name, c := range map[string]struct {
		change func(*wire.Row)
		says   string
	}{
		"too long":     {func(r *wire.Row) { r.PromptTokens = 100 }, "do not fit"},
		"nothing made": {func(r *wire.Row) { r.GenTokens = -1 }, "gen_tokens"},
		"no prompt":    {func(r *wire.Row) { r.PromptTokens = 0 }, "1"},
		"no sequence":  {func(r *wire.Row) { r.Context.Batch = 0 }, "batch"},
		"too many":     {func(r *wire.Row) { r.Context.Batch = 257 }, "1 to 256"},
		"cache type":   {func(r *wire.Row) { r.Context.TypeK = "f17" }, "f17"},
	} {
		q := row("cached")
		c.change(q.Row)
		t.Run(name, func(t *testing.T) {
			check(name, q, map[bool]string{true: "engine", false: "input"}[name == "no prompt"], c.says)
		})
	}
	if ask(t, c, row("cached")).Row == nil {
		t.Error("a good row after the bad ones failed")
	}
}

// damaged returns a model that says another number of something than it has.
func damaged(t *testing.T, key string, value uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "damaged.gguf")
	if _, err := llama.Synth(context.Background(), "tiny-gpt2", path, llama.SynthOptions{VocabDir: vocabDir}); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const kind = 4 // bytes between a key and its value
	binary.LittleEndian.PutUint32(file[bytes.Index(file, []byte(key))+len(key)+kind:], value)
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// An assertion while a model loads is answered; one while a row is computed
// ends the worker, because it may have left the engine's threads behind.
func TestAssertions(t *testing.T) {
	openFile := func(path string) wire.Request {
		return wire.Request{Open: &wire.Open{ModelPath: path, Engine: wire.Engine{Device: "cpu", Threads: 1}}}
	}
	ours, theirs := net.Pipe()
	done := make(chan error)
	go func() {
		done <- Serve(theirs)
		theirs.Close()
	}()
	c := wire.NewClient(ours)
	r := ask(t, c, openFile(damaged(t, "gpt2.block_count", 100000)))
	if r.Error == nil || r.Error.Kind != "engine" || !strings.Contains(r.Error.Message, "GGML_ASSERT") {
		t.Errorf("a model of too many layers: %+v", r.Error)
	}
	if r := ask(t, c, openFile(damaged(t, "gpt2.attention.head_count", 1))); r.Opened == nil {
		t.Fatalf("open: %+v", r.Error)
	}
	go c.Call(row("cached"))
	if err := <-done; !errors.Is(err, llama.ErrAssert) {
		t.Errorf("the worker ended with %v, want %v", err, llama.ErrAssert)
	}
}

func TestInspect(t *testing.T) {
	c := serve(t)
	spec := wire.ContextSpec{NCtx: 512, Batch: 1, TypeK: "f16", TypeV: "f16"}
	larger := spec
	larger.NCtx = 1024
	r := ask(t, c, wire.Request{Inspect: &wire.Inspect{ModelPath: model, Engine: wire.Engine{Device: "cpu"}, Contexts: []wire.ContextSpec{spec, larger}}}).Inspected
	if r == nil || len(r.Memory) != 2 {
		t.Fatalf("inspected %+v", r)
	}
	small, large := r.Memory[0], r.Memory[1]
	// For its matrix instructions (AMX) the engine keeps a second copy of a matrix
	// that embeddings are looked up in, too.
	tied := 2 * r.Info.HeadParams
	if w := small.Host.Weights - r.Info.WeightsBytes; w != 0 && w != tied || large.Host.KV != 2*small.Host.KV || small.Host.Compute <= 0 {
		t.Errorf("512 positions %+v, 1024 positions %+v, weights %d", small.Host, large.Host, r.Info.WeightsBytes)
	}
	if small.Device.Sum() != 0 || small.FreeDev != 0 {
		t.Errorf("device memory for a CPU run: %+v", small)
	}
}

func TestInspectKV(t *testing.T) {
	c := serve(t)
	q := &wire.KV{ModelPath: model, Engine: wire.Engine{Device: "cpu", Threads: 1}, TypeK: "f16", TypeV: "f16", Lengths: []int{2, 64, 300}, Seed: 1}
	r := ask(t, c, wire.Request{KV: q}).KV
	if r == nil || len(r.Points) != 3 {
		t.Fatalf("kv %+v", r)
	}
	perToken := int64(r.Info.Layers * r.Info.KVHeads * (r.Info.HeadDimK + r.Info.HeadDimV) * 2)
	for i, p := range r.Points {
		n := int64(q.Lengths[i])
		if p.UsedBytes != n*perToken || p.PrefillUsedBytes != int64(p.PrefillTokens)*perToken || p.ClearedUsedBytes != 0 ||
			p.AllocBytes != int64(p.NCtx)*perToken || p.Tensors != 2*r.Info.Layers {
			t.Errorf("%d tokens: %+v", n, p)
		}
	}
}

func TestDevices(t *testing.T) {
	r := ask(t, serve(t), wire.Request{Devices: &wire.Devices{}}).Devices
	if r == nil || len(r.Devices) == 0 || r.Version == "" {
		t.Errorf("devices %+v", r)
	}
}

func BenchmarkRow(b *testing.B) {
	runtime.LockOSThread()
	if err := llama.Init(); err != nil {
		b.Fatal(err)
	}
	s, _, err := Open(wire.Open{ModelPath: model, Engine: wire.Engine{Device: "cpu", Mmap: true}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if _, err := s.Row(*row("cached").Row); err != nil {
			b.Fatal(err)
		}
	}
}
