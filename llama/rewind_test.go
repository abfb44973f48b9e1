//go:build cgo

package llama

import (
	"errors"
	"slices"
	"testing"
)

// After a rewind the cache is what it was at the mark: the tokens from there on
// and the bytes in use are those of the first pass, cached or not.
func TestRewind(t *testing.T) {
	const prompt, steps = 60, 8
	for _, arch := range tinyArchs {
		t.Run(arch, func(t *testing.T) {
			m := tinyModel(t, arch)
			c := newContext(t, m, ContextParams{NCtx: prompt + steps})
			if _, err := c.Prefill(promptOf(m, prompt)); err != nil {
				t.Fatal(err)
			}
			mark, err := c.Mark()
			if err != nil {
				t.Fatal(err)
			}
			var first []int32
			for pass, decode := range []func(int, func(int, int32) error) error{
				c.Generate, c.Generate, c.DecodeUncached, c.DecodeUncached, c.Generate,
			} {
				var tokens []int32
				if err := decode(steps, func(_ int, token int32) error { tokens = append(tokens, token); return nil }); err != nil {
					t.Fatal(err)
				}
				used, err := c.KVUsedBytes()
				if err != nil {
					t.Fatal(err)
				}
				if want := kvFormula(m.Info(), prompt+steps); used != want {
					t.Errorf("pass %d: %d bytes of cache used, want %d", pass, used, want)
				}
				if first == nil {
					first = tokens
				} else if !slices.Equal(tokens, first) {
					t.Errorf("pass %d gave %v, the first %v", pass, tokens, first)
				}
				if err := c.Rewind(mark); err != nil {
					t.Fatal(err)
				}
				used, err = c.KVUsedBytes()
				if err != nil {
					t.Fatal(err)
				}
				if want := kvFormula(m.Info(), prompt); used != want || c.Pos() != prompt {
					t.Errorf("pass %d, rewound: %d positions and %d bytes, want %d and %d", pass, c.Pos(), used, prompt, want)
				}
			}
		})
	}
}

func TestRewindRefusals(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 32, HostArgmax: true})
	other := newContext(t, m, ContextParams{NCtx: 32})
	if _, err := c.Mark(); !errors.Is(err, ErrBadInput) {
		t.Errorf("a mark before anything was evaluated gave %v", err)
	}
	check := func(when string, on *Context, mark Mark, want error) {
		t.Helper()
		if err := on.Rewind(mark); !errors.Is(err, want) {
			t.Errorf("rewind %s gave %v, want %v", when, err, want)
		}
	}
	check("to no mark", c, Mark{}, ErrBadInput)
	tokens := promptOf(m, 16)
	for _, x := range []*Context{c, other} {
		if _, err := x.Prefill(tokens); err != nil {
			t.Fatal(err)
		}
	}
	mark, err := c.Mark()
	if err != nil {
		t.Fatal(err)
	}
	check("of another context", other, mark, ErrBadInput)
	check("on the spot", c, mark, nil)
	if _, err := c.Logits(); !errors.Is(err, ErrBadInput) {
		t.Errorf("logits after a rewind gave %v, want %v", err, ErrBadInput)
	}
	if _, err := c.DecodeStep(); err != nil {
		t.Errorf("a step after a rewind: %v", err)
	}
	if err := c.Remove(15); err != nil {
		t.Fatal(err)
	}
	check("past what is left", c, mark, ErrBadInput)
	if _, err := c.Prefill([]int32{tokens[15] + 1}); err != nil {
		t.Fatal(err)
	}
	check("to positions that hold something else", c, mark, ErrBadInput)
	c.Close()
	check("after close", c, mark, ErrClosed)
}

func TestRewindAllocatesNothing(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	c := newContext(t, m, ContextParams{NCtx: 64})
	if _, err := c.Prefill(promptOf(m, 32)); err != nil {
		t.Fatal(err)
	}
	mark, err := c.Mark()
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() {
		if err := errors.Join(c.Generate(2, nil), c.Rewind(mark)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding and rewinding allocates %v times", n)
	}
}

// A sliding window's cache is of the window and not of the context. It can be
// rewound while it holds the window before the mark, and says so when not.
func TestRewindSlidingWindow(t *testing.T) {
	const cells = 256 // the window of 16 and a batch of 64, padded
	c := newContext(t, slidingModel(t), ContextParams{NCtx: 2048, NUbatch: 64})
	if _, err := c.Prefill(promptOf(c.model, 300)); err != nil {
		t.Fatal(err)
	}
	kv, full := int64(0), kvFormula(c.model.Info(), 2048)
	for _, m := range c.MemoryUse() {
		kv += m.KV
	}
	if kv != full*cells/2048 {
		t.Errorf("a cache of %d bytes, want %d of the 2048 cells of %d bytes", kv, cells, full)
	}
	mark, err := c.Mark()
	if err != nil {
		t.Fatal(err)
	}
	generate := func(n int) (tokens []int32) {
		t.Helper()
		if err := c.Generate(n, func(_ int, token int32) error { tokens = append(tokens, token); return nil }); err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	first := generate(64)
	if err := c.Rewind(mark); err != nil {
		t.Fatal(err)
	}
	if again := generate(64); !slices.Equal(again, first) {
		t.Errorf("%v, first %v", again, first)
	}
	generate(cells)
	if err := c.Rewind(mark); !errors.Is(err, ErrBadInput) || c.Pos() != 300+64+cells {
		t.Errorf("rewound over more than the cache holds: %v, at position %d", err, c.Pos())
	}
	if err := c.Generate(1, func(int, int32) error { return nil }); err != nil {
		t.Errorf("a step after a rewind that was refused: %v", err)
	}
}
