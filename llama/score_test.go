//go:build cgo

package llama

import (
	"errors"
	"math"
	"testing"
)

// The logits of many positions are those that forced decoding gives one by one.
func TestScore(t *testing.T) {
	const n, outputs = 24, 10
	for _, arch := range tinyArchs {
		t.Run(arch, func(t *testing.T) {
			m := tinyModel(t, arch)
			tokens, vocab := promptOf(m, n), m.Info().Vocab
			forced := newContext(t, m, ContextParams{NCtx: n, HostArgmax: true})
			if _, err := forced.Prefill(tokens[:n-outputs]); err != nil {
				t.Fatal(err)
			}
			var want []float32
			if err := forced.DecodeForced(tokens[n-outputs:], func(_ int, logits []float32) error {
				want = append(want, logits...)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			c := newContext(t, m, ContextParams{NCtx: n, HostArgmax: true, Outputs: outputs, NBatch: n - 2})
			for pass := range 2 { // the second after Clear
				if got, err := c.Score(tokens[:5], 0); err != nil || len(got) != 0 {
					t.Fatalf("no outputs: %d logits, %v", len(got), err)
				}
				got, err := c.Score(tokens[5:], outputs)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != outputs*vocab || c.Pos() != n {
					t.Fatalf("%d logits at %d positions, want %d at %d", len(got), c.Pos(), outputs*vocab, n)
				}
				scale := 0.0
				for _, v := range want {
					scale = max(scale, math.Abs(float64(v)))
				}
				for i, v := range got {
					if d := math.Abs(float64(v - want[i])); d > 1e-3*scale {
						t.Fatalf("pass %d: logit %d of output %d is %v, %v when fed one by one", pass, i%vocab, i/vocab, v, want[i])
					}
				}
				if _, err := c.DecodeStep(); !errors.Is(err, ErrBadInput) {
					t.Errorf("a step without a token to feed: %v", err)
				}
				c.Clear()
			}
		})
	}
}

func TestScoreRefusals(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	tokens := promptOf(m, 16)
	c := newContext(t, m, ContextParams{NCtx: 12, NBatch: 8, HostArgmax: true, Outputs: 4})
	for name, call := range map[string]func() ([]float32, error){
		"no tokens":     func() ([]float32, error) { return c.Score(nil, 0) },
		"past n_batch":  func() ([]float32, error) { return c.Score(tokens[:9], 1) },
		"past outputs":  func() ([]float32, error) { return c.Score(tokens[:8], 5) },
		"past tokens":   func() ([]float32, error) { return c.Score(tokens[:2], 3) },
		"negative":      func() ([]float32, error) { return c.Score(tokens[:2], -1) },
		"no such token": func() ([]float32, error) { return c.Score([]int32{int32(m.Info().Vocab)}, 1) },
		"logits on device": func() ([]float32, error) {
			return newContext(t, m, ContextParams{NCtx: 12}).Score(tokens[:2], 1)
		},
	} {
		if _, err := call(); !errors.Is(err, ErrBadInput) {
			t.Errorf("%s: %v, want %v", name, err, ErrBadInput)
		}
	}
	if _, err := c.Score(tokens[:8], 4); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Score(tokens[:8], 4); !errors.Is(err, ErrKVFull) {
		t.Errorf("past n_ctx: %v, want %v", err, ErrKVFull)
	}
	if _, err := m.NewContext(ContextParams{NCtx: 8, Outputs: 9}); !errors.Is(err, ErrBadInput) {
		t.Errorf("more outputs than tokens in a call: %v", err)
	}
}

func TestVocabulary(t *testing.T) {
	seen := map[string]string{}
	for arch, bos := range map[string]bool{"tiny-gpt2": false, "tiny-llama": true, "tiny-qwen2": false} {
		m := tinyModel(t, arch)
		v, err := m.Vocabulary()
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[v.Hash]; other != "" || len(v.Hash) != 16 {
			t.Errorf("%s has the hash %q, as %q", arch, v.Hash, other)
		}
		seen[v.Hash] = arch
		tokens, err := m.Tokenize("a text")
		if err != nil {
			t.Fatal(err)
		}
		if (v.BOS != nil) != bos || bos && tokens[0] != *v.BOS || v.AddsEOS {
			t.Errorf("%s: %+v, but a text begins with %v", arch, v, tokens)
		}
	}
}
