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

// Score evaluates tokens after what the cache already holds, in one call of the
// engine, and returns the logits after each of the last n of them, one row after
// the other: one value per token of the vocabulary. The slice is the engine's own
// and valid until the next call on c; it is empty for n = 0. Needs
// ContextParams.HostArgmax, at least n ContextParams.Outputs and as many tokens
// of NBatch. It chooses no token: DecodeStep needs another Prefill.
func (c *Context) Score(tokens []int32, n int) ([]float32, error) {
	const op = "score"
	if !c.params.HostArgmax {
		return nil, refuse(op, "logits stay on the device in this context: create it with HostArgmax")
	}
	if len(tokens) < 1 || len(tokens) > c.params.NBatch || n < 0 || n > min(len(tokens), c.params.Outputs) {
		return nil, refuse(op, fmt.Sprintf("logits of %d of %d tokens; this context evaluates 1 to %d (n_batch) and returns those of at most %d (outputs)",
			n, len(tokens), c.params.NBatch, c.params.Outputs))
	}
	if err := c.admit(op, tokens); err != nil {
		return nil, err
	}
	var logits *C.float
	if !C.pb_score(c.c, (*C.int32_t)(&tokens[0]), C.int(len(tokens)), C.int(n), &logits, &c.cerr) {
		err := c.failed(op)
		c.rollBack()
		return nil, err
	}
	c.tokens = append(c.tokens, tokens...)
	c.ready, c.scored = false, n > 0
	return unsafe.Slice((*float32)(unsafe.Pointer(logits)), n*c.model.info.Vocab), nil
}
