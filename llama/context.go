//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Context is one sequence being evaluated: a KV cache and the buffers to
// compute with. It belongs to one goroutine at a time.
type Context struct {
	handle
	tokens []int32 // what the cache holds, in order
	next   int32   // the greedy choice after the last evaluation
	ready  bool    // next is valid
	scored bool    // the engine has the logits after the last token
}

// handle is a context of the engine, for one sequence or several.
type handle struct {
	c      *C.pb_context
	model  *Model        // must outlive c
	params ContextParams // as asked, with defaults resolved
	padded int           // positions the engine allocated
	broken bool          // an assertion failed
	cerr   C.pb_error    // kept here so that a decode step allocates nothing
}

// kvBlocks holds the types a cache can have and how many values make a block
// of each. The engine takes any other type too, and crashes on it later.
var kvBlocks = map[string]int{
	"f32": 1, "f16": 1, "bf16": 1,
	"q8_0": 32, "q5_0": 32, "q5_1": 32, "q4_0": 32, "q4_1": 32, "iq4_nl": 32,
}

// NewContext allocates a context. It fails with ErrBadInput when the parameters
// cannot work for this model, and with ErrMemory when the buffers do not fit.
// The model must stay open until the context is closed.
func (m *Model) NewContext(p ContextParams) (*Context, error) {
	const op = "new context"
	if p.Sequences = cmp.Or(p.Sequences, 1); p.Sequences != 1 {
		return nil, refuse(op, fmt.Sprintf("%d sequences; a context has one: use NewBatch", p.Sequences))
	}
	c := &Context{}
	if err := c.open(op, m, p); err != nil {
		return nil, err
	}
	c.tokens = make([]int32, 0, p.NCtx)
	return c, nil
}

// callTokens is how many tokens of several sequences are submitted in one call:
// the engine's own default. It gives each sequence of a call an equal part of
// what it computes at once, and attention over a few tokens each of many
// sequences is slower than over many of few.
const callTokens = 2048

// open creates the engine's context in h.
func (h *handle) open(op string, m *Model, p ContextParams) error {
	if m.c == nil {
		return &Error{Op: op, Kind: ErrClosed, Msg: "the model is closed"}
	}
	if p.NCtx < 1 || p.NCtx > m.info.CtxTrain {
		return refuse(op, fmt.Sprintf("n_ctx is %d; this model has positions for 1 to %d tokens", p.NCtx, m.info.CtxTrain))
	}
	if p.NBatch == 0 {
		p.NBatch = p.NCtx * p.Sequences
		if p.Sequences > 1 {
			p.NBatch = min(p.NBatch, max(callTokens, p.NUbatch))
		}
	}
	p.NUbatch = cmp.Or(p.NUbatch, min(512, p.NBatch))
	if p.Threads == 0 {
		p.Threads = PhysicalCores()
		if m.params.Device != nil && m.params.GPULayers < 0 {
			p.Threads = 1
		}
	}
	if p.NUbatch < 1 || p.NUbatch > p.NBatch || p.NBatch > math.MaxInt32 || p.Threads < 1 || p.Threads > maxThreads {
		return refuse(op, fmt.Sprintf("need 1 <= n_ubatch (%d) <= n_batch (%d) < 2^31 and 1 <= threads (%d) <= %d", p.NUbatch, p.NBatch, p.Threads, maxThreads))
	}
	if p.FlashAttn < FlashAuto || p.FlashAttn > FlashOn {
		return refuse(op, fmt.Sprintf("flash attention is %d; give FlashAuto, FlashOff or FlashOn", p.FlashAttn))
	}
	if p.Outputs < 0 || p.Outputs > p.NBatch {
		return refuse(op, fmt.Sprintf("%d outputs; a call evaluates at most n_batch (%d) tokens", p.Outputs, p.NBatch))
	}
	p.TypeK, p.TypeV = cmp.Or(p.TypeK, "f16"), cmp.Or(p.TypeV, "f16")
	if err := cacheType(op, "K", p.TypeK, m.info.HeadDimK); err != nil {
		return err
	}
	if err := cacheType(op, "V", p.TypeV, m.info.HeadDimV); err != nil {
		return err
	}
	if p.FlashAttn == FlashOff && kvBlocks[p.TypeV] > 1 {
		return refuse(op, "a quantized V cache ("+p.TypeV+") needs flash attention")
	}
	typeK := C.CString(p.TypeK)
	defer C.free(unsafe.Pointer(typeK))
	typeV := C.CString(p.TypeV)
	defer C.free(unsafe.Pointer(typeV))
	cp := C.pb_context_params{
		n_ctx: C.int(p.NCtx), n_seq: C.int(p.Sequences), unified: C.bool(p.Unified),
		n_batch: C.int(p.NBatch), n_ubatch: C.int(p.NUbatch), threads: C.int(p.Threads),
		flash_attn: C.int(p.FlashAttn), type_k: typeK, type_v: typeV, graph_argmax: C.bool(!p.HostArgmax), split_argmax: C.bool(p.SplitArgmax), n_outputs: C.int(p.Outputs),
	}
	h.c, h.model, h.params = C.pb_context_new(m.c, &cp, &h.cerr), m, p
	if h.c == nil {
		return fromC(op, &h.cerr)
	}
	h.params.NBatch = int(C.pb_context_n_batch(h.c))
	h.params.NUbatch = int(C.pb_context_n_ubatch(h.c))
	h.padded = int(C.pb_context_n_ctx(h.c))
	m.contexts.Add(1)
	return nil
}

// cacheType refuses a type whose blocks do not divide a head: without flash
// attention the engine would compute NaN or worse from the half blocks.
func cacheType(op, which, name string, headDim int) error {
	block, ok := kvBlocks[name]
	if !ok {
		return refuse(op, fmt.Sprintf("%s cache of type %q: known are %s", which, name, strings.Join(slices.Sorted(maps.Keys(kvBlocks)), ", ")))
	}
	if headDim%block != 0 {
		return refuse(op, fmt.Sprintf("%s cache of type %s: its blocks of %d values do not divide this model's heads of %d", which, name, block, headDim))
	}
	return nil
}

// Close frees the context. Closing twice does nothing; every other call on a
// closed context fails with ErrClosed or, where it returns no error, does
// nothing.
func (h *handle) Close() error {
	if h.c != nil {
		C.pb_context_free(h.c)
		h.c = nil
		h.model.contexts.Add(-1)
	}
	return nil
}

// usable says whether the engine may be called with this context.
func (h *handle) usable(op string) error {
	switch {
	case h.c == nil:
		return &Error{Op: op, Kind: ErrClosed, Msg: "the context is closed"}
	case h.broken:
		return &Error{Op: op, Kind: ErrAssert, Msg: "an assertion failed in this context before: close it"}
	}
	return nil
}

// failed is the error of the last call.
func (h *handle) failed(op string) error {
	err := fromC(op, &h.cerr)
	h.broken = h.broken || errors.Is(err, ErrAssert)
	return err
}

// failed is the error of the last call, which left no token to continue from.
func (c *Context) failed(op string) error {
	c.ready, c.scored = false, false
	return c.handle.failed(op)
}

// Params returns the parameters in force: defaults resolved and batches cut to
// NCtx. FlashAuto stays as it is; what the engine chose is not known.
func (h *handle) Params() ContextParams { return h.params }

// PaddedCtx returns the number of positions the engine allocated: those of all
// sequences, where each buffer is rounded up to a multiple of 256. Only NCtx of
// them are used by each.
func (h *handle) PaddedCtx() int { return h.padded }

// Pos returns the number of positions the cache holds.
func (c *Context) Pos() int { return len(c.tokens) }

// MemoryUse returns the bytes of the model and this context by buffer, as the
// engine's allocator counts them. The order is the engine's own. It returns
// nil for a context that is closed or broken by an assertion.
func (h *handle) MemoryUse() []Memory {
	const op = "memory use"
	if h.usable(op) != nil {
		return nil
	}
	raw := make([]C.pb_memory, 16) // a context has a handful of buffer types
	n := int(C.pb_memory_get(h.c, &raw[0], C.int(len(raw)), &h.cerr))
	if n < 0 {
		h.failed(op)
		return nil
	}
	var out []Memory
	for _, r := range raw[:min(n, len(raw))] {
		m := Memory{Buffer: C.GoString(&r.name[0]), Weights: int64(r.weights), KV: int64(r.kv), Compute: int64(r.compute)}
		if r.device >= 0 {
			d := int(r.device)
			m.Device = &d
		}
		out = append(out, m)
	}
	return out
}
