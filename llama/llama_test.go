//go:build cgo

package llama

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The five architectures of the study, small enough for tests.
var tinyArchs = []string{"tiny-gpt2", "tiny-llama", "tiny-qwen2", "tiny-phi2", "tiny-llama-3b"}

var tinyDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "phasebench-llama")
	if err == nil {
		tinyDir = dir
		err = Init()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	for _, m := range tinyModels {
		if err := m.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// tinyFile returns the file of a synthetic model, made once per test run.
func tinyFile(t testing.TB, arch string) string {
	t.Helper()
	path := filepath.Join(tinyDir, arch+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, err := Synth(context.Background(), arch, path, SynthOptions{Seed: 42, VocabDir: vocabDir}); err != nil {
		t.Fatal(err)
	}
	return path
}

var tinyModels = map[string]*Model{} // by architecture

// tinyModel returns a synthetic model, loaded once per test run; only TestMain
// closes it.
func tinyModel(t testing.TB, arch string) *Model {
	t.Helper()
	if tinyModels[arch] == nil {
		m, err := Load(ModelParams{Path: tinyFile(t, arch)})
		if err != nil {
			t.Fatal(err)
		}
		tinyModels[arch] = m
	}
	return tinyModels[arch]
}

func newContext(t testing.TB, m *Model, p ContextParams) *Context {
	t.Helper()
	// Engine calls of one context stay on one thread.
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	// The engine's threads spin while they wait: two of them on a machine that
	// is busy with something else take a hundred times as long as one.
	p.Threads = 1
	c, err := m.NewContext(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// promptOf returns n varied tokens that are plain words for every tokenizer.
func promptOf(m *Model, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(1000 + i*7919%(m.Info().Vocab-2000))
	}
	return out
}

func TestModelInfo(t *testing.T) {
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		i := m.Info()
		if !i.Synthetic || !i.HasVocab || i.FileType != "F16" || i.Layers < 1 || i.Params < 1 || i.WeightsBytes < i.Params {
			t.Errorf("%s: implausible info %+v", arch, i)
		}
		if !strings.Contains(i.Name, "synthetic") {
			t.Errorf("%s: the name %q does not say that the weights are synthetic", arch, i.Name)
		}
		if v, ok := m.Meta("general.architecture"); !ok || v != i.Arch {
			t.Errorf("%s: general.architecture is %q, %v", arch, v, ok)
		}
		if _, ok := m.Meta("no.such.key"); ok {
			t.Errorf("%s: a key that is not there was found", arch)
		}
	}
}

func TestTokenizeRoundTrip(t *testing.T) {
	const text = "The ferry left at 6:45; nobody — not even Zoë — had counted the crates."
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		tokens, err := m.Tokenize(text)
		if err != nil {
			t.Fatal(err)
		}
		back, err := m.Detokenize(tokens)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(back, text) {
			t.Errorf("%s: %q came back as %q", arch, text, back)
		}
		if _, err := m.Detokenize([]int32{int32(m.Info().Vocab)}); !errors.Is(err, ErrBadInput) {
			t.Errorf("%s: a token outside the vocabulary gave %v", arch, err)
		}
	}
}

// kvFormula is 2*L*T*H_kv*D_h*2 bytes: keys and values of two bytes each (TR123
// section 4.3).
func kvFormula(i ModelInfo, tokens int) int64 {
	return int64(i.Layers) * int64(tokens) * int64(i.KVHeads) * int64(i.HeadDimK+i.HeadDimV) * 2
}

func TestKVPayloadIsExact(t *testing.T) {
	for _, arch := range tinyArchs {
		for flash, lengths := range map[FlashAttn][]int{
			FlashOn:  {64, 128, 256, 512, 1024, 2048},
			FlashOff: {64, 512}, // V lies transposed, at every length alike
		} {
			t.Run(fmt.Sprintf("%s/flash=%d", arch, flash), func(t *testing.T) {
				m := tinyModel(t, arch)
				for _, n := range lengths {
					checkPayload(t, m, n, flash)
				}
			})
		}
	}
}

func checkPayload(t *testing.T, m *Model, n int, flash FlashAttn) {
	t.Helper()
	c := newContext(t, m, ContextParams{NCtx: n, FlashAttn: flash})
	defer c.Close()
	check := func(when string, tokens int) {
		t.Helper()
		got, err := c.KVUsedBytes()
		if err != nil {
			t.Fatal(err)
		}
		if want := kvFormula(m.Info(), tokens); got != want {
			t.Errorf("%d tokens, %s: %d bytes used, the formula says %d", n, when, got, want)
		}
	}
	check("empty", 0)
	if _, err := c.Prefill(promptOf(m, n-4)); err != nil {
		t.Fatal(err)
	}
	check("after prefill", n-4)
	if err := c.Generate(4, nil); err != nil {
		t.Fatal(err)
	}
	check("after decode", n)
	var alloc int64
	for _, u := range c.MemoryUse() {
		alloc += u.KV
	}
	if want := kvFormula(m.Info(), c.PaddedCtx()); alloc != want {
		t.Errorf("%d tokens: %d bytes allocated for %d positions, the formula says %d", n, alloc, c.PaddedCtx(), want)
	}
	if err := c.Remove(n / 2); err != nil {
		t.Fatal(err)
	}
	check("after removing the second half", n/2)
	c.Clear()
	check("after clear", 0)
}

func TestQuantizedCache(t *testing.T) {
	m := tinyModel(t, "tiny-llama")
	if _, err := m.NewContext(ContextParams{NCtx: 64, TypeV: "q8_0"}); !errors.Is(err, ErrBadInput) {
		t.Errorf("a quantized V cache without flash attention gave %v", err)
	}
	c := newContext(t, m, ContextParams{NCtx: 64, TypeK: "q8_0", TypeV: "q8_0", FlashAttn: FlashOn})
	if _, err := c.Prefill(promptOf(m, 64)); err != nil {
		t.Fatal(err)
	}
	got, err := c.KVUsedBytes()
	if err != nil {
		t.Fatal(err)
	}
	// A block of 32 values takes 34 bytes instead of 64.
	if want := kvFormula(m.Info(), 64) / 64 * 34; got != want {
		t.Errorf("%d bytes used, want %d", got, want)
	}
}

// generate returns the tokens a context samples: one from the prompt, n more.
func generate(t *testing.T, c *Context, prompt []int32, n int) []int32 {
	t.Helper()
	first, err := c.Prefill(prompt)
	if err != nil {
		t.Fatal(err)
	}
	out := []int32{first}
	if err := c.Generate(n, func(_ int, tok int32) error { out = append(out, tok); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// margin returns the distance between the two largest logits and the scale of
// the largest.
func margin(logits []float32) (gap, scale float64) {
	a, b := math.Inf(-1), math.Inf(-1)
	for _, v := range logits {
		if f := float64(v); f > a {
			a, b = f, a
		} else if f > b {
			b = f
		}
	}
	return a - b, math.Abs(a)
}

func TestGraphArgmaxIsHostArgmax(t *testing.T) {
	for i := range 2 * len(tinyArchs) {
		arch := tinyArchs[i/2]
		m := tinyModel(t, arch)
		graph := newContext(t, m, ContextParams{NCtx: 128, SplitArgmax: i%2 == 1})
		host := newContext(t, m, ContextParams{NCtx: 128, HostArgmax: true})
		// Feeding varied tokens, whatever the model answers, asks it a new
		// question each time; random weights left to themselves soon repeat.
		answers := map[int32]bool{}
		for i, token := range promptOf(m, 100) {
			want, err := graph.Prefill([]int32{token})
			if err != nil {
				t.Fatal(err)
			}
			got, err := host.Prefill([]int32{token})
			if err != nil {
				t.Fatal(err)
			}
			logits, err := host.Logits()
			if err != nil {
				t.Fatal(err)
			}
			if gap, _ := margin(logits); got != want && gap != 0 {
				t.Fatalf("%s: answer %d is %d in the graph and %d on the host, with a margin of %g", arch, i, want, got, gap)
			}
			answers[want] = true
		}
		if len(answers) < 10 {
			t.Errorf("%s: only %d different answers to 100 questions", arch, len(answers))
		}
	}
}

// TestCachedIsUncached feeds the same tokens one at a time with the cache and
// all at once without, and compares the logits.
func TestCachedIsUncached(t *testing.T) {
	const prompt, steps, tolerance = 24, 24, 1e-3
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		tokens := promptOf(m, prompt+steps)
		cached := newContext(t, m, ContextParams{NCtx: 64, HostArgmax: true, TypeK: "f32", TypeV: "f32"})
		uncached := newContext(t, m, ContextParams{NCtx: 64, HostArgmax: true, TypeK: "f32", TypeV: "f32"})
		if _, err := cached.Prefill(tokens[:prompt]); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		err := cached.DecodeForced(tokens[prompt:], func(i int, got []float32) error {
			uncached.Clear()
			next, err := uncached.Prefill(tokens[:prompt+i+1])
			if err != nil {
				return err
			}
			want, err := uncached.Logits()
			if err != nil {
				return err
			}
			diff, scale := 0.0, 0.0
			for j := range want {
				diff = max(diff, math.Abs(float64(want[j]-got[j])))
				scale = max(scale, math.Abs(float64(want[j])))
			}
			worst = max(worst, diff/scale)
			if gap, top := margin(want); gap > tolerance*top && cached.next != next {
				t.Errorf("%s, step %d: tokens %d and %d differ although the margin is %g", arch, i, cached.next, next, gap)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: largest difference %.2g of the largest logit", arch, worst)
		if worst > tolerance {
			t.Errorf("%s: cached and uncached logits differ by %g of the largest logit, more than %g", arch, worst, tolerance)
		}
	}
}

func TestDecodeUncachedGivesTheSameTokens(t *testing.T) {
	m := tinyModel(t, "tiny-qwen2")
	prompt := promptOf(m, 30)
	want := generate(t, newContext(t, m, ContextParams{NCtx: 64}), prompt, 20)
	c := newContext(t, m, ContextParams{NCtx: 64})
	first, err := c.Prefill(prompt)
	if err != nil {
		t.Fatal(err)
	}
	got := []int32{first}
	if err := c.DecodeUncached(20, func(_ int, tok int32) error { got = append(got, tok); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("uncached %v\ncached   %v", got, want)
	}
	if c.Pos() != 50 {
		t.Errorf("%d positions after 30 prompt tokens and 20 steps", c.Pos())
	}
}

func TestLongPromptInSmallBatches(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	prompt := promptOf(m, 300)
	want := generate(t, newContext(t, m, ContextParams{NCtx: 320}), prompt, 8)
	got := generate(t, newContext(t, m, ContextParams{NCtx: 320, NBatch: 64, NUbatch: 64}), prompt, 8)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in batches of 64 %v\nin one batch     %v", got, want)
	}
}

func TestRefusals(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 16})
	host := newContext(t, m, ContextParams{NCtx: 16, HostArgmax: true})
	check := func(name string, err, want error, says string) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: got %v, want %v saying %q", name, err, want, says)
		}
	}
	_, err := c.DecodeStep()
	check("decode before prefill", err, ErrBadInput, "call Prefill first")
	_, err = c.Prefill(nil)
	check("empty prompt", err, ErrBadInput, "no tokens")
	_, err = c.Prefill([]int32{-1})
	check("negative token", err, ErrBadInput, "outside the vocabulary")
	_, err = c.Prefill([]int32{int32(m.Info().Vocab)})
	check("token past the vocabulary", err, ErrBadInput, "outside the vocabulary")
	_, err = c.Prefill(promptOf(m, 17))
	check("prompt past n_ctx", err, ErrKVFull, "do not fit in n_ctx 16")
	_, err = c.Logits()
	check("logits before anything", err, ErrBadInput, "nothing was evaluated")
	if _, err = c.Prefill(promptOf(m, 16)); err != nil {
		t.Fatal(err)
	}
	_, err = c.DecodeStep()
	check("decode past n_ctx", err, ErrKVFull, "do not fit in n_ctx 16")
	_, err = c.Logits()
	check("logits of a graph context", err, ErrBadInput, "HostArgmax")
	check("forced decoding in a graph context", c.DecodeForced(promptOf(m, 1), nil), ErrBadInput, "HostArgmax")
	check("remove past the end", c.Remove(17), ErrBadInput, "outside")
	_, err = host.Logits()
	check("logits before anything", err, ErrBadInput, "nothing was evaluated")

	for name, p := range map[string]ContextParams{
		"n_ctx 0":               {},
		"n_ctx past the model":  {NCtx: m.Info().CtxTrain + 1},
		"negative threads":      {NCtx: 16, Threads: -1},
		"n_ubatch over n_batch": {NCtx: 16, NBatch: 8, NUbatch: 9},
		"unknown cache type":    {NCtx: 16, TypeK: "f17"},
	} {
		_, err := m.NewContext(p)
		check(name, err, ErrBadInput, "")
	}
	_, err = Load(ModelParams{Path: filepath.Join(t.TempDir(), "none.gguf")})
	check("missing file", err, ErrBadInput, "no such file")
	_, err = Load(ModelParams{Path: tinyFile(t, "tiny-gpt2"), Device: &Device{Index: 99}})
	check("missing device", err, ErrBadInput, "does not exist")
	junk := filepath.Join(t.TempDir(), "junk.gguf")
	if err := os.WriteFile(junk, []byte("not a model at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load(ModelParams{Path: junk})
	check("not a GGUF file", err, ErrEngine, "engine:")

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Prefill(promptOf(m, 1))
	check("closed context", err, ErrClosed, "")
	_, err = c.DecodeStep()
	check("closed context", err, ErrClosed, "")
	if err := c.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestLoadProgressAndCancel(t *testing.T) {
	file := tinyFile(t, "tiny-gpt2")
	var last float32
	m, err := Load(ModelParams{Path: file, Progress: func(f float32) bool { last = f; return true }})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if last != 1 {
		t.Errorf("progress ended at %v", last)
	}
	_, err = Load(ModelParams{Path: file, Progress: func(float32) bool { return false }})
	if !errors.Is(err, ErrAborted) {
		t.Errorf("a load that was stopped by its progress function gave %v, want %v", err, ErrAborted)
	}
}

func TestDryRunKnowsTheMemory(t *testing.T) {
	file := tinyFile(t, "tiny-llama")
	use := func(dry bool) map[string]Memory {
		m, err := Load(ModelParams{Path: file, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		c := newContext(t, m, ContextParams{NCtx: 512})
		defer c.Close()
		out := map[string]Memory{}
		for _, u := range c.MemoryUse() {
			out[u.Buffer] = u
		}
		return out
	}
	dry, real := use(true), use(false)
	if fmt.Sprint(dry) != fmt.Sprint(real) {
		t.Errorf("dry run %v\nreal    %v", dry, real)
	}
}

func TestDevices(t *testing.T) {
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	cpus := 0
	for _, d := range devices {
		if d.Kind == CPU {
			cpus++
		}
		if d.Name == "" || d.TotalBytes <= 0 || d.FreeBytes > d.TotalBytes {
			t.Errorf("implausible device %+v", d)
		}
	}
	if cpus != 1 {
		t.Errorf("%d CPU devices in %+v", cpus, devices)
	}
}

func TestDecodeStepAllocatesNothing(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 256})
	if _, err := c.Prefill(promptOf(m, 8)); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() {
		if _, err := c.DecodeStep(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a decode step allocates %v times", n)
	}
}

func TestPhysicalCores(t *testing.T) {
	sys := t.TempDir()
	for cpu, core := range []string{"0", "1", "0", "1"} { // two cores of two threads
		dir := filepath.Join(sys, fmt.Sprintf("devices/system/cpu/cpu%d/topology", cpu))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"core_id": core, "physical_package_id": "0"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		sys        string
		cpus       []int // of the mask; all without
		most, want int
	}{
		{sys, nil, 4, 2}, {sys, nil, 1, 1}, {t.TempDir(), nil, 3, 3}, {t.TempDir(), nil, 1000, 512},
		{sys, []int{0, 1}, 2, 2}, {sys, []int{1, 3}, 2, 1}, // of which the last are one core
	} {
		var mask *unix.CPUSet
		if c.cpus != nil {
			mask = &unix.CPUSet{}
			for _, cpu := range c.cpus {
				mask.Set(cpu)
			}
		}
		if got := physicalCores(c.sys, mask, c.most); got != c.want {
			t.Errorf("CPUs %v, at most %d: %d cores, want %d", c.cpus, c.most, got, c.want)
		}
	}
}
