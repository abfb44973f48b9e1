//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Prefill evaluates tokens after what the cache already holds and returns the
// greedy choice for the token that follows, once the device is idle. The
// returned token is not in the cache; DecodeStep feeds it.
func (c *Context) Prefill(tokens []int32) (next int32, err error) {
	if len(tokens) == 0 {
		return 0, refuse("prefill", "no tokens")
	}
	if err := c.admit("prefill", tokens); err != nil {
		return 0, err
	}
	return c.evaluate("prefill", tokens)
}

// DecodeStep feeds the token that the last Prefill or DecodeStep returned and
// returns the next one. One call is one cgo call.
func (c *Context) DecodeStep() (next int32, err error) {
	const op = "decode"
	if err := c.continues(op); err != nil {
		return 0, err
	}
	all := append(c.tokens, c.next) // in place: there is room for NCtx tokens
	return c.evaluate(op, all[len(c.tokens):])
}

// Generate calls DecodeStep n times. onStep, if not nil, gets each token right
// after it is known; an error from it stops the generation and is returned.
func (c *Context) Generate(n int, onStep func(i int, token int32) error) error {
	return repeat(n, c.DecodeStep, onStep)
}

// DecodeUncached is Generate without the benefit of a KV cache: each step
// forgets the cache and evaluates the whole sequence again. It is the
// use_cache=False baseline that cached decoding is compared with.
func (c *Context) DecodeUncached(n int, onStep func(i int, token int32) error) error {
	return repeat(n, c.uncachedStep, onStep)
}

func (c *Context) uncachedStep() (int32, error) {
	const op = "decode uncached"
	if err := c.continues(op); err != nil {
		return 0, err
	}
	all := append(c.tokens, c.next)
	c.Clear()
	return c.evaluate(op, all)
}

// repeat steps n times and tells onStep, if not nil, of each token.
func repeat(n int, step func() (int32, error), onStep func(i int, token int32) error) error {
	for i := range n {
		t, err := step()
		if err != nil {
			return err
		}
		if onStep != nil {
			if err := onStep(i, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// DecodeForced feeds tokens one at a time whatever the model would have chosen
// and calls onStep, if not nil, with the logits after each. The slice is the
// engine's own and valid until the next call on c. Needs
// ContextParams.HostArgmax.
func (c *Context) DecodeForced(tokens []int32, onStep func(i int, logits []float32) error) error {
	const op = "decode forced"
	if !c.params.HostArgmax {
		return refuse(op, "logits stay on the device in this context: create it with HostArgmax")
	}
	if err := c.admit(op, tokens); err != nil {
		return err
	}
	for i := range tokens {
		if _, err := c.evaluate(op, tokens[i:i+1]); err != nil {
			return err
		}
		logits, err := c.Logits()
		if err != nil {
			return err
		}
		if onStep != nil {
			if err := onStep(i, logits); err != nil {
				return err
			}
		}
	}
	return nil
}

// Logits returns the logits after the last evaluated token, one per token of
// the vocabulary. The slice is the engine's own and valid until the next call
// on c. Needs ContextParams.HostArgmax.
func (c *Context) Logits() ([]float32, error) {
	const op = "logits"
	if err := c.usable(op); err != nil {
		return nil, err
	}
	if !c.scored {
		return nil, refuse(op, "nothing was evaluated yet, or not since Rewind")
	}
	p := C.pb_logits(c.c, &c.cerr)
	if p == nil {
		return nil, fromC(op, &c.cerr)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), c.model.info.Vocab), nil
}

// evaluate submits tokens that were admitted and keeps the books.
func (c *Context) evaluate(op string, tokens []int32) (int32, error) {
	if !C.pb_decode(c.c, (*C.int32_t)(&tokens[0]), C.int(len(tokens)), (*C.int32_t)(&c.next), &c.cerr) {
		err := c.failed(op)
		c.rollBack()
		return 0, err
	}
	c.tokens = append(c.tokens, tokens...)
	c.ready, c.scored = true, true
	return c.next, nil
}

// rollBack takes what a failed call left in the cache out again, so that the
// books and the cache agree: all of it if this kind of cache forgets no part.
func (c *Context) rollBack() {
	var ignored C.pb_error
	if !c.broken && !bool(C.pb_kv_remove(c.c, C.int(len(c.tokens)), &ignored)) {
		c.Clear()
	}
}

// continues refuses a step that has no token to feed or no room for it.
func (c *Context) continues(op string) error {
	if err := c.usable(op); err != nil {
		return err
	}
	if !c.ready {
		return refuse(op, "nothing to continue: call Prefill first")
	}
	if len(c.tokens) >= c.params.NCtx {
		return c.full(op, 1)
	}
	return nil
}

// admit refuses what the engine would abort on, or would let overflow into the
// padding behind the last position.
func (c *Context) admit(op string, tokens []int32) error {
	if err := c.usable(op); err != nil {
		return err
	}
	if c.model.params.DryRun {
		return refuse(op, "the model was loaded as a dry run: it has no weights")
	}
	if len(c.tokens)+len(tokens) > c.params.NCtx {
		return c.full(op, len(tokens))
	}
	return c.model.valid(op, tokens)
}

func (c *Context) full(op string, n int) error {
	return &Error{Op: op, Kind: ErrKVFull, Msg: fmt.Sprintf("%d positions in use, %d more do not fit in n_ctx %d", len(c.tokens), n, c.params.NCtx)}
}
