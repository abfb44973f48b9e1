//go:build cgo

package llama

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
)

const (
	batchPrompt = 40
	batchSteps  = 12
)

func newBatch(t testing.TB, m *Model, p ContextParams) *Batch {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	p.Threads = 1 // as in newContext
	b, err := m.NewBatch(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// promptsOf returns n different prompts of one length.
func promptsOf(m *Model, n int) [][]int32 {
	all := promptOf(m, n*batchPrompt)
	var out [][]int32
	for part := range slices.Chunk(all, batchPrompt) {
		out = append(out, part)
	}
	return out
}

// alone is what a sequence gives when it is evaluated by itself: the logits after
// the prompt and after each step, and the greedy tokens.
type alone struct {
	logits [][]float32
	tokens []int32
}

func evaluateAlone(t *testing.T, m *Model, prompt []int32, flash FlashAttn) alone {
	t.Helper()
	c := newContext(t, m, ContextParams{NCtx: batchPrompt + batchSteps, HostArgmax: true, FlashAttn: flash})
	var out alone
	keep := func() {
		logits, err := c.Logits()
		if err != nil {
			t.Fatal(err)
		}
		out.logits = append(out.logits, slices.Clone(logits))
	}
	next, err := c.Prefill(prompt)
	for {
		if err != nil {
			t.Fatal(err)
		}
		keep()
		out.tokens = append(out.tokens, next)
		if len(out.tokens) > batchSteps {
			return out
		}
		next, err = c.DecodeStep()
	}
}

// farthest is the largest difference of logits, relative to the largest of them.
func farthest(got, want []float32) float64 {
	var diff, size float64
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i]-want[i])))
		size = max(size, math.Abs(float64(want[i])))
	}
	return diff / size
}

// Sequences that are evaluated together, each fed the tokens that it has alone,
// have the logits they have alone; and the token that is chosen in the graph is
// that of the logits, where another is not as likely.
func TestBatchGivesWhatSequencesGiveAlone(t *testing.T) {
	flash := ContextParams{FlashAttn: FlashOn}
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		prompts := promptsOf(m, 5)
		type way struct {
			ContextParams
			tolerance float64
		}
		want := map[FlashAttn][]alone{}
		for _, p := range []ContextParams{{}, flash} {
			for _, prompt := range prompts {
				want[p.FlashAttn] = append(want[p.FlashAttn], evaluateAlone(t, m, prompt, p.FlashAttn))
			}
		}
		for _, p := range []way{
			{ContextParams{}, 1e-3}, {ContextParams{Unified: true}, 1e-3},
			{ContextParams{NUbatch: 16}, 1e-3}, // prompts in several graphs, of which some have no last token
			{ContextParams{NBatch: 64, NUbatch: 64}, 1e-3},
			// Flash attention on the CPU takes another kernel, in half precision, for
			// other numbers of queries and positions: up to 3e-3 were seen here.
			{flash, 5e-3}, {ContextParams{FlashAttn: FlashOn, Unified: true}, 5e-3},
		} {
			want, tolerance := want[p.FlashAttn], p.tolerance
			t.Run(fmt.Sprintf("%s/unified=%v,flash=%d,n_batch=%d,n_ubatch=%d", arch, p.Unified, p.FlashAttn, p.NBatch, p.NUbatch), func(t *testing.T) {
				p.NCtx, p.Sequences, p.HostArgmax = batchPrompt+batchSteps, len(prompts), true
				host := newBatch(t, m, p.ContextParams)
				p.HostArgmax = false
				graph := newBatch(t, m, p.ContextParams)
				feed, compared := prompts, 0
				for step := range batchSteps + 1 {
					onHost, err := host.Prefill(feed)
					if err != nil {
						t.Fatal(err)
					}
					inGraph, err := graph.Prefill(feed)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(onHost, inGraph) {
						t.Errorf("step %d: chosen in the graph %v, on the host %v", step, inGraph, onHost)
					}
					feed = make([][]int32, len(prompts))
					for seq := range prompts {
						feed[seq] = want[seq].tokens[step : step+1]
						alone := want[seq].logits[step]
						if gap, scale := margin(alone); gap > 2*tolerance*scale {
							compared++
							if inGraph[seq] != want[seq].tokens[step] {
								t.Errorf("step %d of sequence %d: token %d, alone %d", step, seq, inGraph[seq], want[seq].tokens[step])
							}
						}
						if step == 0 && p.NBatch > 0 {
							continue // the logits of the first calls are gone
						}
						logits, err := host.Logits(seq)
						if err != nil {
							t.Fatal(err)
						}
						if d := farthest(logits, alone); d > tolerance {
							t.Errorf("step %d of sequence %d: logits differ by %.2g", step, seq, d)
						}
					}
				}
				if compared < len(prompts)*batchSteps/2 {
					t.Errorf("only %d tokens had a margin to be compared by", compared)
				}
			})
		}
	}
}

// A batch of one decodes to the very tokens of a context, and generating is
// feeding what was chosen.
func TestBatchGenerates(t *testing.T) {
	m := tinyModel(t, "tiny-llama")
	prompts := promptsOf(m, 4)
	for _, n := range []int{1, 4} {
		b := newBatch(t, m, ContextParams{NCtx: batchPrompt + batchSteps, Sequences: n})
		first, err := b.Prefill(prompts[:n])
		if err != nil {
			t.Fatal(err)
		}
		got := [][]int32{slices.Clone(first)}
		err = b.Generate(batchSteps, func(i int, tokens []int32) error {
			if i != len(got)-1 {
				t.Errorf("step %d is told as %d", len(got)-1, i)
			}
			got = append(got, slices.Clone(tokens))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for seq := range n {
			want := evaluateAlone(t, m, prompts[seq], FlashOff)
			for step, tokens := range got {
				if tokens[seq] != want.tokens[step] {
					t.Errorf("%d sequences, step %d of sequence %d: token %d, alone %d", n, step, seq, tokens[seq], want.tokens[step])
				}
			}
		}
		if _, err := b.DecodeStep(); !errors.Is(err, ErrKVFull) {
			t.Errorf("a step beyond n_ctx gave %v", err)
		}
	}
}

// The payload is that of one sequence times their number, in one buffer or in
// several, and after a rewind that of the mark.
func TestBatchCacheAndRewind(t *testing.T) {
	for _, arch := range tinyArchs {
		m := tinyModel(t, arch)
		for _, unified := range []bool{false, true} {
			const n = 3
			b := newBatch(t, m, ContextParams{NCtx: batchPrompt + batchSteps, Sequences: n, Unified: unified})
			check := func(when string, positions int) {
				t.Helper()
				used, err := b.KVUsedBytes()
				if err != nil {
					t.Fatal(err)
				}
				if want := n * kvFormula(m.Info(), positions); used != want || b.Pos() != positions {
					t.Errorf("%s, unified %v, %s: %d bytes of cache at %d, want %d at %d", arch, unified, when, used, b.Pos(), want, positions)
				}
			}
			check("empty", 0)
			if _, err := b.Prefill(promptsOf(m, n)); err != nil {
				t.Fatal(err)
			}
			check("prefilled", batchPrompt)
			mark, err := b.Mark()
			if err != nil {
				t.Fatal(err)
			}
			var first []int32
			for range 3 {
				var tokens []int32
				if err := b.Generate(batchSteps, func(_ int, x []int32) error { tokens = append(tokens, x...); return nil }); err != nil {
					t.Fatal(err)
				}
				check("decoded", batchPrompt+batchSteps)
				if first == nil {
					first = tokens
				} else if !slices.Equal(first, tokens) {
					t.Errorf("%s: %v after a rewind, %v before", arch, tokens, first)
				}
				if err := b.Rewind(mark); err != nil {
					t.Fatal(err)
				}
				check("rewound", batchPrompt)
			}
			b.Clear()
			check("cleared", 0)
			if err := b.Rewind(mark); !errors.Is(err, ErrBadInput) {
				t.Errorf("%s: a rewind to what was cleared gave %v", arch, err)
			}
		}
	}
}

func TestBatchRefusals(t *testing.T) {
	m := tinyModel(t, "tiny-gpt2")
	for _, n := range []int{-1, MaxSequences + 1} {
		if _, err := m.NewBatch(ContextParams{NCtx: 8, Sequences: n}); !errors.Is(err, ErrBadInput) {
			t.Errorf("%d sequences gave %v", n, err)
		}
	}
	if _, err := m.NewContext(ContextParams{NCtx: 8, Sequences: 2}); !errors.Is(err, ErrBadInput) {
		t.Errorf("a context of two sequences gave %v", err)
	}
	b := newBatch(t, m, ContextParams{NCtx: 8, Sequences: 2})
	_, notReady := b.DecodeStep()
	_, unmarked := b.Mark()
	_, unscored := b.Logits(0)
	prefill := func(tokens ...[]int32) error { _, err := b.Prefill(tokens); return err }
	for what, err := range map[string]error{
		"a step before a prefill": notReady,
		"a mark before a prefill": unmarked,
		"logits before a prefill": unscored,
		"one list for two":        prefill([]int32{1}),
		"no tokens":               prefill(nil, nil),
		"uneven lists":            prefill([]int32{1, 2}, []int32{1}),
		"a token that is none":    prefill([]int32{1}, []int32{-1}),
	} {
		if !errors.Is(err, ErrBadInput) {
			t.Errorf("%s gave %v", what, err)
		}
	}
	nine := make([]int32, 9)
	if err := prefill(nine, nine); !errors.Is(err, ErrKVFull) {
		t.Errorf("nine tokens for eight positions gave %v", err)
	}
	if err := prefill([]int32{1, 2}, []int32{3, 4}); err != nil {
		t.Errorf("after refusals: %v", err)
	}
	if _, err := b.Logits(0); !errors.Is(err, ErrBadInput) {
		t.Errorf("logits that stayed on the device gave %v", err)
	}
	b.Close()
	if _, err := b.DecodeStep(); !errors.Is(err, ErrClosed) {
		t.Errorf("a step of a closed batch gave %v", err)
	}
}
