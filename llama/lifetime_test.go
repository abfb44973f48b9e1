//go:build cgo

package llama

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

func TestClosedContext(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 16, HostArgmax: true})
	if _, err := c.Prefill(promptOf(m, 4)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, call := range map[string]func() error{
		"prefill":         func() error { _, err := c.Prefill(promptOf(m, 1)); return err },
		"decode":          func() error { _, err := c.DecodeStep(); return err },
		"generate":        func() error { return c.Generate(1, nil) },
		"decode uncached": func() error { return c.DecodeUncached(1, nil) },
		"decode forced":   func() error { return c.DecodeForced(promptOf(m, 1), nil) },
		"logits":          func() error { _, err := c.Logits(); return err },
		"remove":          func() error { return c.Remove(0) },
		"kv used":         func() error { _, err := c.KVUsed(); return err },
		"kv used bytes":   func() error { _, err := c.KVUsedBytes(); return err },
	} {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, ErrClosed)
		}
	}
	c.Clear()
	if c.MemoryUse() != nil || c.TimeOnDevice(1, false) || c.PaddedCtx() != 256 || c.Params().NCtx != 16 {
		t.Errorf("memory %v, %d positions, %+v", c.MemoryUse(), c.PaddedCtx(), c.Params())
	}
	if _, ok := c.BusyMs(0); ok {
		t.Error("a closed context knows how long it was busy")
	}
	if _, ok := c.SpanMs(0, 0); ok {
		t.Error("a closed context knows how long it took")
	}
}

func TestModelOutlivesItsContexts(t *testing.T) {
	m, err := Load(ModelParams{Path: tinyFile(t, "tiny-gpt2"), Mmap: true})
	if err != nil {
		t.Fatal(err)
	}
	c := newContext(t, m, ContextParams{NCtx: 16})
	if err := m.Close(); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "1 of its contexts") {
		t.Errorf("closing the model under its context: %v", err)
	}
	if _, err := c.Prefill(promptOf(m, 4)); err != nil {
		t.Error(err)
	}
	for range 2 {
		c.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = m.NewContext(ContextParams{NCtx: 16})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("a context of a closed model: %v", err)
	}
	if _, err = m.Tokenize("a"); !errors.Is(err, ErrClosed) {
		t.Errorf("the tokenizer of a closed model: %v", err)
	}
	if _, ok := m.Meta("general.name"); ok || m.Info().Arch != "gpt2" {
		t.Error("a closed model keeps its info, but not its file's metadata")
	}
}

// An assertion in the engine becomes an error, and the context takes no more.
func TestAssertion(t *testing.T) {
	promise.Of(t, "an assertion of the engine", "a cache type that the engine accepts and then dies of",
		"an error that quotes the assertion; the context takes no more")
	m := tinyModel(t, "tiny-llama")
	allow := func(name string, block int) {
		kvBlocks[name] = block
		t.Cleanup(func() { delete(kvBlocks, name) })
	}
	check := func(when string, err error) {
		t.Helper()
		if !errors.Is(err, ErrAssert) {
			t.Errorf("%s: %v, want %v", when, err, ErrAssert)
		}
	}

	allow("q8_1", 32) // only ever the left side of a product: the CPU cannot read it as V
	c := newContext(t, m, ContextParams{NCtx: 16, TypeV: "q8_1", FlashAttn: FlashOn})
	_, err := c.Prefill(promptOf(m, 4))
	check("prefill", err)
	if !strings.Contains(err.Error(), "GGML_ASSERT") {
		t.Errorf("the error does not quote the assertion: %v", err)
	}
	_, err = c.Prefill(promptOf(m, 4))
	check("prefill again", err)
	_, err = c.DecodeStep()
	check("decode", err)
	_, err = c.KVUsed()
	check("kv used", err)
	c.Clear()
	check("remove", c.Remove(0))
	if c.MemoryUse() != nil || c.Pos() != 0 {
		t.Errorf("memory %v, position %d", c.MemoryUse(), c.Pos())
	}
}

func TestCacheTypes(t *testing.T) {
	llama, phi := tinyModel(t, "tiny-llama"), tinyModel(t, "tiny-phi2")
	for name, block := range kvBlocks {
		c := newContext(t, llama, ContextParams{NCtx: 16, TypeK: name, TypeV: name, FlashAttn: FlashOn})
		if err := c.Generate(0, nil); err != nil {
			t.Fatal(err)
		}
		generate(t, c, promptOf(llama, 8), 4)
		c.Close()
		// Heads of 80 values are two and a half blocks.
		for _, flash := range []FlashAttn{FlashAuto, FlashOff, FlashOn} {
			c, err := phi.NewContext(ContextParams{NCtx: 16, Threads: 1, TypeK: name, FlashAttn: flash})
			if block > 1 && !(errors.Is(err, ErrBadInput) && strings.Contains(err.Error(), "do not divide this model's heads of 80")) {
				t.Errorf("phi-2 with keys of %s, flash %d: %v", name, flash, err)
			}
			if err == nil {
				generate(t, c, promptOf(phi, 4), 2)
				c.Close()
			}
		}
	}
	// These the engine accepts and then dies of.
	for _, name := range []string{"i8", "i32", "f64", "q8_1", "q8_K"} {
		for _, p := range []ContextParams{{TypeK: name}, {TypeV: name, FlashAttn: FlashOn}} {
			p.NCtx = 16
			if _, err := llama.NewContext(p); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "known are bf16, f16") {
				t.Errorf("a cache of %s: %v", name, err)
			}
		}
	}
}

// Numbers that a C int cannot hold must not be cut to ones it can.
func TestLargeNumbers(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	for name, p := range map[string]ContextParams{
		"n_ctx":    {NCtx: 1 << 32},
		"n_batch":  {NCtx: 16, NBatch: 1 << 32},
		"n_ubatch": {NCtx: 16, NBatch: 1<<32 + 1, NUbatch: 1<<32 + 1},
		"threads":  {NCtx: 16, Threads: 1 << 32},
		"flash":    {NCtx: 16, FlashAttn: 1 << 32},
		"flash 2":  {NCtx: 16, FlashAttn: 2},
	} {
		if _, err := m.NewContext(p); !errors.Is(err, ErrBadInput) {
			t.Errorf("%s: %v, want %v", name, err, ErrBadInput)
		}
	}
	c := newContext(t, m, ContextParams{NCtx: 300, NBatch: math.MaxInt32, NUbatch: 77})
	if p := c.Params(); p.NBatch > c.PaddedCtx() || p.NUbatch != 77 {
		t.Errorf("parameters in force: %+v", p)
	}
	generate(t, c, promptOf(m, 295), 5)
	for _, layers := range []int{math.MinInt, math.MaxInt} {
		m, err := Load(ModelParams{Path: tinyFile(t, "tiny-gpt2"), GPULayers: layers, DryRun: true})
		if err != nil {
			t.Errorf("%d layers: %v", layers, err)
			continue
		}
		m.Close()
	}
}

// nanModel returns a model whose every logit is NaN.
func nanModel(t *testing.T) *Model {
	t.Helper()
	file, err := os.ReadFile(tinyFile(t, "tiny-gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	weights := file[len(file)/2:]
	for i := range weights {
		weights[i] = 0x7f // 0x7f7f is NaN in half precision
	}
	path := filepath.Join(t.TempDir(), "nan.gguf")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(ModelParams{Path: path, CheckTensors: true}); !errors.Is(err, ErrEngine) {
		t.Errorf("weights that are NaN, to be checked, gave %v", err)
	}
	m, err := Load(ModelParams{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestNaN(t *testing.T) {
	promise.Of(t, "weights that are NaN", "a model whose every logit is NaN",
		"an error says NaN; the cache is left empty")
	m := nanModel(t)
	for where, p := range map[string]ContextParams{"graph": {}, "graph-split": {SplitArgmax: true}, "host": {HostArgmax: true}} {
		p.NCtx = 32
		c := newContext(t, m, p)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "NaN") {
				t.Errorf("argmax %s, %s: %v", where, what, err)
			}
			if used, err := c.KVUsedBytes(); err != nil || used != 0 || c.Pos() != 0 {
				t.Errorf("argmax %s, %s failed and left %d positions, %d bytes, %v", where, what, c.Pos(), used, err)
			}
		}
		_, err := c.Prefill(promptOf(m, 8))
		check("prefill", err)
		c.next, c.ready = 1, true
		_, err = c.DecodeStep()
		check("decode", err)
	}
}

// A failed step must leave neither the books nor the cache changed.
func TestFailedStepLeavesTheCache(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 32})
	if _, err := c.Prefill(promptOf(m, 8)); err != nil {
		t.Fatal(err)
	}
	c.next = int32(m.Info().Vocab) // which the engine refuses
	if _, err := c.DecodeStep(); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "engine:") {
		t.Errorf("a step with a token that does not exist: %v", err)
	}
	if _, err := c.DecodeStep(); !errors.Is(err, ErrBadInput) {
		t.Errorf("a step after one that failed: %v", err)
	}
	used, err := c.KVUsedBytes()
	if err != nil || c.Pos() != 8 || used != kvFormula(m.Info(), 8) {
		t.Errorf("%d positions, %d bytes used, %v; want 8 and %d", c.Pos(), used, err, kvFormula(m.Info(), 8))
	}
}

func TestRemoveThenContinue(t *testing.T) {
	m := tinyModel(t, "tiny-qwen2")
	prompt := promptOf(m, 20)
	c := newContext(t, m, ContextParams{NCtx: 64})
	want := generate(t, c, prompt, 6)
	if err := c.Remove(10); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DecodeStep(); !errors.Is(err, ErrBadInput) {
		t.Errorf("a step right after Remove: %v", err)
	}
	got := generate(t, c, prompt[10:], 6)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("after taking back half of the prompt %v, before %v", got, want)
		}
	}
}

func TestOddTexts(t *testing.T) {
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		for _, text := range []string{"", "\x00", "a\x00b", "\xff\xfe", "caf\xc3", "\xed\xa0\x80", strings.Repeat("\xc3", 100), "<|endoftext|>"} {
			tokens, err := m.Tokenize(text)
			if err != nil {
				t.Errorf("%s: %q: %v", arch, text, err)
				continue
			}
			if _, err := m.Detokenize(tokens); err != nil {
				t.Errorf("%s: %q as %v: %v", arch, text, tokens, err)
			}
		}
		if _, err := m.Tokenize("\xf4\x90\x80\x80"); !errors.Is(err, ErrEngine) {
			t.Errorf("%s: a code point past U+10FFFF: %v", arch, err)
		}
		// Half a character may be a token.
		if _, err := m.Detokenize([]int32{0, 100, int32(m.Info().Vocab) - 1}); err != nil {
			t.Error(err)
		}
	}
}

// A file cut off anywhere is an error.
func TestTruncatedFile(t *testing.T) {
	promise.Of(t, "a model file that is cut off", "a tiny model cut at seven places, mapped and read",
		"an error with a reason of the engine")
	promise.Tries(t, 14)
	whole, err := os.ReadFile(tinyFile(t, "tiny-gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 3, 20, 4096, 1 << 20, len(whole) / 2, len(whole) - 1} {
		path := filepath.Join(t.TempDir(), "cut.gguf")
		if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		for _, mmap := range []bool{false, true} {
			m, err := Load(ModelParams{Path: path, Mmap: mmap})
			if err == nil {
				m.Close()
				t.Errorf("%d of %d bytes, mmap %t: loaded", n, len(whole), mmap)
			} else if !strings.Contains(err.Error(), "engine:") && !errors.Is(err, ErrAssert) {
				t.Errorf("%d of %d bytes, mmap %t: no reason given: %v", n, len(whole), mmap, err)
			}
		}
	}
}
