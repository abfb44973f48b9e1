//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// Batch is several sequences of the same length being evaluated in lockstep,
// one call of the engine for a step of all. It belongs to one goroutine at a
// time.
type Batch struct {
	handle
	tokens []int32 // what the cache holds: by position, then by sequence
	next   []int32 // the greedy choice for each sequence after the last evaluation
	ready  bool    // next is valid
	scored bool    // the engine has the logits after the last token of each
}

// NewBatch allocates a cache of p.NCtx positions for each of p.Sequences
// sequences. Errors are those of NewContext, and ErrBadInput for a number of
// sequences outside 1 to MaxSequences.
func (m *Model) NewBatch(p ContextParams) (*Batch, error) {
	const op = "new batch"
	if p.Sequences = cmp.Or(p.Sequences, 1); p.Sequences < 1 || p.Sequences > MaxSequences {
		return nil, refuse(op, fmt.Sprintf("%d sequences; the engine takes 1 to %d", p.Sequences, MaxSequences))
	}
	b := &Batch{next: make([]int32, p.Sequences)}
	if err := b.open(op, m, p); err != nil {
		return nil, err
	}
	b.tokens = make([]int32, 0, p.NCtx*p.Sequences)
	return b, nil
}

// Pos returns the number of positions the cache holds of each sequence.
func (b *Batch) Pos() int { return len(b.tokens) / len(b.next) }

// Prefill evaluates tokens of each sequence after what the cache already holds
// and returns the greedy choice for the token that follows each, once the device
// is idle. There must be one list for each sequence, all of the same length. The
// returned slice is valid until the next call on b; its tokens are not in the
// cache yet, DecodeStep feeds them.
func (b *Batch) Prefill(tokens [][]int32) (next []int32, err error) {
	const op = "prefill"
	if len(tokens) != len(b.next) || len(tokens[0]) == 0 {
		return nil, refuse(op, fmt.Sprintf("%d lists of tokens for %d sequences, or no tokens", len(tokens), len(b.next)))
	}
	n := len(tokens[0])
	flat := make([]int32, 0, n*len(tokens))
	for i := range n {
		for seq, list := range tokens {
			if len(list) != n {
				return nil, refuse(op, fmt.Sprintf("sequence %d has %d tokens, sequence 0 has %d", seq, len(list), n))
			}
			flat = append(flat, list[i])
		}
	}
	if err := b.admit(op, flat); err != nil {
		return nil, err
	}
	return b.evaluate(op, flat)
}

// DecodeStep feeds each sequence the token that the last Prefill or DecodeStep
// returned for it and returns the next ones, valid until the next call on b. One
// call is one cgo call and one of the engine.
func (b *Batch) DecodeStep() (next []int32, err error) {
	const op = "decode"
	if err := b.usable(op); err != nil {
		return nil, err
	}
	if !b.ready {
		return nil, refuse(op, "nothing to continue: call Prefill first")
	}
	if b.Pos() >= b.params.NCtx {
		return nil, b.full(op, 1)
	}
	all := append(b.tokens, b.next...) // in place: there is room for NCtx of each
	return b.evaluate(op, all[len(b.tokens):])
}

// Generate calls DecodeStep n times. onStep, if not nil, gets the tokens right
// after they are known; an error from it stops the generation and is returned.
func (b *Batch) Generate(n int, onStep func(i int, tokens []int32) error) error {
	for i := range n {
		tokens, err := b.DecodeStep()
		if err != nil {
			return err
		}
		if onStep != nil {
			if err := onStep(i, tokens); err != nil {
				return err
			}
		}
	}
	return nil
}

// Logits returns the logits of a sequence after its last evaluated token, one
// per token of the vocabulary. The slice is the engine's own and valid until the
// next call on b. Needs ContextParams.HostArgmax, and that the last call
// evaluated no more than ContextParams.NBatch tokens.
func (b *Batch) Logits(seq int) ([]float32, error) {
	const op = "logits"
	if err := b.usable(op); err != nil {
		return nil, err
	}
	if seq < 0 || seq >= len(b.next) {
		return nil, refuse(op, fmt.Sprintf("sequence %d of %d", seq, len(b.next)))
	}
	if !b.scored {
		return nil, refuse(op, "nothing was evaluated yet, or not since Rewind")
	}
	p := C.pb_batch_logits(b.c, C.int(seq), &b.cerr)
	if p == nil {
		return nil, fromC(op, &b.cerr)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), b.model.info.Vocab), nil
}

// Clear empties the cache; its memory stays allocated.
func (b *Batch) Clear() {
	const op = "clear"
	if b.usable(op) != nil {
		return
	}
	b.tokens, b.ready, b.scored = b.tokens[:0], false, false
	if !C.pb_kv_clear(b.c, &b.cerr) {
		b.failed(op)
	}
}

// Mark returns where the sequences stand, as Context.Mark does.
func (b *Batch) Mark() (BatchMark, error) {
	const op = "mark"
	if err := b.usable(op); err != nil {
		return BatchMark{}, err
	}
	if !b.ready {
		return BatchMark{}, refuse(op, "nothing to continue: call Prefill first")
	}
	return BatchMark{of: b, tokens: slices.Clone(b.tokens), next: slices.Clone(b.next)}, nil
}

// Rewind goes back to where m was taken, as Context.Rewind does.
func (b *Batch) Rewind(m BatchMark) error {
	const op = "rewind"
	if err := b.usable(op); err != nil {
		return err
	}
	n := len(m.tokens)
	if m.of != b || n > len(b.tokens) || !slices.Equal(m.tokens, b.tokens[:n]) {
		return refuse(op, "the positions before the mark are not in this batch any more: take it again")
	}
	if !C.pb_kv_remove(b.c, C.int(n/len(b.next)), &b.cerr) {
		return fromC(op, &b.cerr)
	}
	b.tokens, b.ready, b.scored = b.tokens[:n], true, false
	copy(b.next, m.next)
	return nil
}

// evaluate submits tokens that were admitted and keeps the books.
func (b *Batch) evaluate(op string, tokens []int32) ([]int32, error) {
	n := len(tokens) / len(b.next)
	if !C.pb_decode_batch(b.c, (*C.int32_t)(&tokens[0]), C.int(n), C.int(b.Pos()), (*C.int32_t)(&b.next[0]), &b.cerr) {
		err := b.failed(op)
		b.ready, b.scored = false, false
		b.rollBack()
		return nil, err
	}
	b.tokens = append(b.tokens, tokens...)
	b.ready, b.scored = true, true
	return b.next, nil
}

// rollBack takes what a failed call left in the cache out again: all of it if
// this kind of cache forgets no part.
func (b *Batch) rollBack() {
	var ignored C.pb_error
	if !b.broken && !bool(C.pb_kv_remove(b.c, C.int(b.Pos()), &ignored)) {
		b.Clear()
	}
}

// admit refuses what the engine would abort on, or would let overflow into the
// padding behind the last position.
func (b *Batch) admit(op string, tokens []int32) error {
	if err := b.usable(op); err != nil {
		return err
	}
	if b.model.params.DryRun {
		return refuse(op, "the model was loaded as a dry run: it has no weights")
	}
	if n := len(tokens) / len(b.next); b.Pos()+n > b.params.NCtx {
		return b.full(op, n)
	}
	return b.model.valid(op, tokens)
}

func (b *Batch) full(op string, n int) error {
	return &Error{Op: op, Kind: ErrKVFull, Msg: fmt.Sprintf("%d positions of each sequence in use, %d more do not fit in n_ctx %d", b.Pos(), n, b.params.NCtx)}
}
