//go:build cgo

package llama

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const vocabDir = "../third_party/llama.cpp/models"

func synthFile(t *testing.T, arch string, opt SynthOptions) SynthResult {
	t.Helper()
	opt.VocabDir = vocabDir
	r, err := Synth(context.Background(), arch, filepath.Join(t.TempDir(), arch+".gguf"), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each tiny model loads, has no NaN, says what it is, and generates from a real
// tokenizer without falling into one token.
func TestSynthTiny(t *testing.T) {
	if err := Init(); err != nil {
		t.Fatal(err)
	}
	const maxBytes = 45 << 20 // tests make many of these
	for _, a := range SynthArchs() {
		if !strings.HasPrefix(a.Name, "tiny-") {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			var done, total int64
			r := synthFile(t, a.Name, SynthOptions{Seed: 42, Progress: func(d, n int64) { done, total = d, n }})
			st, err := os.Stat(r.Path)
			if err != nil {
				t.Fatal(err)
			}
			if st.Size() != r.Bytes || done != r.Bytes || total != r.Bytes || r.Bytes > maxBytes {
				t.Errorf("file has %d bytes, result says %d, progress %d of %d, at most %d are wanted", st.Size(), r.Bytes, done, total, maxBytes)
			}

			m, err := Load(ModelParams{Path: r.Path, CheckTensors: true})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			i := m.Info()
			want := ModelInfo{
				Arch: a.arch, Name: a.Name + " (synthetic weights, seed 42)", FileType: "F16", Synthetic: true, HasVocab: true,
				Layers: 2, Embd: int(a.embd), Heads: int(a.heads), KVHeads: int(a.kvHeads), HeadDimK: int(a.headDim), HeadDimV: int(a.headDim),
				Vocab: int(a.vocab), CtxTrain: int(a.ctx), Params: a.Params(2), WeightsBytes: a.WeightBytes(2),
			}
			if a.ropeFactors {
				want.Params += a.headDim / 2 // the engine counts every tensor
			}
			i.ReadBytes, i.BodyParams, i.HeadParams, i.CostUnknown = 0, 0, 0, "" // see TestTokenCost and TestIrregularCaches
			if i != want {
				t.Errorf("model says %+v\nwant %+v", i, want)
			}
			checkGenerates(t, m)
		})
	}
}

func checkGenerates(t *testing.T, m *Model) {
	const text = "The quick brown fox jumps over the lazy dog; twenty 42 naïve cafés."
	tokens, err := m.Tokenize(text)
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Detokenize(tokens)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(back, text) { // a BOS token may come first
		t.Errorf("%q came back as %q", text, back)
	}
	c, err := m.NewContext(ContextParams{NCtx: 256, HostArgmax: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Prefill(tokens); err != nil {
		t.Fatal(err)
	}
	logits, err := c.Logits()
	if err != nil {
		t.Fatal(err)
	}
	var squares float64
	for i, x := range logits {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			t.Fatalf("logit %d is %g", i, x)
		}
		squares += float64(x) * float64(x)
	}
	// The final norm makes the state 1 in the mean square, and rows have norm 1.
	if rms := math.Sqrt(squares / float64(len(logits))); rms < 0.5 || rms > 2 {
		t.Errorf("logits have rms %g, want about 1", rms)
	}
	seen := map[int32]bool{}
	err = c.Generate(64, func(_ int, token int32) error {
		seen[token] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 8 {
		t.Errorf("64 steps gave only %d different tokens", len(seen))
	}
}

func TestSynthIsDeterministic(t *testing.T) {
	read := func(seed int64, layers int) []byte {
		b, err := os.ReadFile(synthFile(t, "tiny-gpt2", SynthOptions{Seed: seed, Layers: layers}).Path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := read(1, 1)
	if !bytes.Equal(a, read(1, 1)) {
		t.Error("the same arguments gave another file")
	}
	tail := func(b []byte) []byte { return b[len(b)-1<<20:] }
	if bytes.Equal(tail(a), tail(read(2, 1))) {
		t.Error("another seed gave the same weights")
	}
}

func TestSynthExistingFile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.gguf")
	synth := func(opt SynthOptions) (SynthResult, error) {
		opt.VocabDir = vocabDir
		return Synth(context.Background(), "tiny-gpt2", out, opt)
	}
	check := func(what string, opt SynthOptions, reused bool, wantErr error) {
		t.Helper()
		r, err := synth(opt)
		if !errors.Is(err, wantErr) || r.Reused != reused {
			t.Errorf("%s: reused %t, error %v; want %t, %v", what, r.Reused, err, reused, wantErr)
		}
	}
	check("new", SynthOptions{Seed: 1}, false, nil)
	check("same", SynthOptions{Seed: 1}, true, nil)
	check("published layers by number", SynthOptions{Seed: 1, Layers: 2}, true, nil)
	check("other seed", SynthOptions{Seed: 2}, false, fs.ErrExist)
	check("other layers", SynthOptions{Seed: 1, Layers: 1}, false, fs.ErrExist)
	check("forced", SynthOptions{Seed: 2, Force: true}, false, nil)
	check("same as forced", SynthOptions{Seed: 2}, true, nil)
	if err := os.Truncate(out, 1<<20); err != nil {
		t.Fatal(err)
	}
	check("truncated", SynthOptions{Seed: 2}, false, fs.ErrExist)

	check("quantized", SynthOptions{Seed: 2, Type: "q8_0", Force: true}, false, nil)
	check("the same quantized", SynthOptions{Seed: 2, Type: "q8_0"}, true, nil)
	check("other seed quantized", SynthOptions{Seed: 1, Type: "q8_0"}, false, fs.ErrExist)
	check("another type", SynthOptions{Seed: 2, Type: "q4_0"}, false, fs.ErrExist)
	check("not quantized", SynthOptions{Seed: 2}, false, fs.ErrExist)
	if err := os.Truncate(out, 4<<20); err != nil {
		t.Fatal(err)
	}
	check("quantized and truncated", SynthOptions{Seed: 2, Type: "q8_0"}, false, fs.ErrExist)
}

func TestSynthLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Synth(ctx, "tiny-gpt2", filepath.Join(dir, "m.gguf"), SynthOptions{
		VocabDir: vocabDir,
		Progress: func(done, _ int64) {
			if done > 4<<20 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v", err, context.Canceled)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("a canceled call left %v", left)
	}
}

func TestSynthRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ggml-vocab-gpt-2.gguf"), []byte("GGUF nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(arch string, opt SynthOptions, want string) {
		t.Helper()
		_, err := Synth(context.Background(), arch, filepath.Join(t.TempDir(), "m.gguf"), opt)
		if !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", arch, err, want)
		}
	}
	check("gpt3", SynthOptions{VocabDir: vocabDir}, "known are gpt2, llama-3.2-1b")
	check("gpt2", SynthOptions{VocabDir: vocabDir, Layers: 513}, "513 layers; give 1 to 512")
	check("gpt2", SynthOptions{VocabDir: vocabDir, Layers: -1}, "-1 layers")
	check("tiny-qwen2", SynthOptions{VocabDir: dir}, "scripts/fetch-llama.sh")
	check("tiny-gpt2", SynthOptions{VocabDir: dir}, "not a readable GGUF file")
}
