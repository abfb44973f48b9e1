//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"cmp"
	"fmt"
	"unsafe"
)

// Context is one sequence being evaluated: a KV cache and the buffers to
// compute with. It belongs to one goroutine at a time.
type Context struct {
	c      *C.pb_context
	model  *Model
	params ContextParams // as asked, with defaults resolved
	tokens []int32       // what the cache holds, in order
	next   int32         // the greedy choice after the last evaluation
	ready  bool          // next is valid
	cerr   C.pb_error    // kept here so that a decode step allocates nothing
}

// NewContext allocates a context. It fails with ErrBadInput when the parameters
// cannot work for this model, and with ErrMemory when the buffers do not fit.
func (m *Model) NewContext(p ContextParams) (*Context, error) {
	const op = "new context"
	if m.c == nil {
		return nil, &Error{Op: op, Kind: ErrClosed, Msg: "the model is closed"}
	}
	if p.NCtx < 1 || p.NCtx > m.info.CtxTrain {
		return nil, refuse(op, fmt.Sprintf("n_ctx is %d; this model has positions for 1 to %d tokens", p.NCtx, m.info.CtxTrain))
	}
	p.NBatch = cmp.Or(p.NBatch, p.NCtx)
	p.NUbatch = cmp.Or(p.NUbatch, min(512, p.NBatch))
	if p.Threads == 0 {
		p.Threads = PhysicalCores()
		if m.params.Device != nil && m.params.GPULayers < 0 {
			p.Threads = 1
		}
	}
	if p.NBatch < 1 || p.NUbatch < 1 || p.NUbatch > p.NBatch || p.Threads < 1 || p.Threads > 512 {
		return nil, refuse(op, fmt.Sprintf("need 1 <= n_ubatch (%d) <= n_batch (%d) and 1 <= threads (%d) <= 512", p.NUbatch, p.NBatch, p.Threads))
	}
	p.TypeK, p.TypeV = cmp.Or(p.TypeK, "f16"), cmp.Or(p.TypeV, "f16")
	if p.FlashAttn == FlashOff && p.TypeV != "f16" && p.TypeV != "f32" && p.TypeV != "bf16" {
		return nil, refuse(op, "a quantized V cache ("+p.TypeV+") needs flash attention")
	}
	typeK := C.CString(p.TypeK)
	defer C.free(unsafe.Pointer(typeK))
	typeV := C.CString(p.TypeV)
	defer C.free(unsafe.Pointer(typeV))
	cp := C.pb_context_params{
		n_ctx: C.int(p.NCtx), n_batch: C.int(p.NBatch), n_ubatch: C.int(p.NUbatch), threads: C.int(p.Threads),
		flash_attn: C.int(p.FlashAttn), type_k: typeK, type_v: typeV, graph_argmax: C.bool(!p.HostArgmax),
	}
	var cerr C.pb_error
	c := &Context{c: C.pb_context_new(m.c, &cp, &cerr), model: m, params: p, tokens: make([]int32, 0, p.NCtx)}
	if c.c == nil {
		return nil, fromC(op, &cerr)
	}
	c.params.NBatch = int(C.pb_context_n_batch(c.c))
	c.params.NUbatch = int(C.pb_context_n_ubatch(c.c))
	return c, nil
}

// Close frees the context. Closing twice does nothing.
func (c *Context) Close() error {
	C.pb_context_free(c.c)
	c.c = nil
	return nil
}

// Params returns the parameters in force, defaults resolved.
func (c *Context) Params() ContextParams { return c.params }

// PaddedCtx returns the number of positions the engine allocated, which is
// NCtx rounded up to a multiple of 256. Only NCtx of them are used.
func (c *Context) PaddedCtx() int { return int(C.pb_context_n_ctx(c.c)) }

// Pos returns the number of positions the cache holds.
func (c *Context) Pos() int { return len(c.tokens) }

// MemoryUse returns the bytes of the model and this context by buffer, as the
// engine's allocator counts them. The order is the engine's own.
func (c *Context) MemoryUse() []Memory {
	raw := make([]C.pb_memory, 16)
	n := int(C.pb_memory_get(c.c, &raw[0], C.int(len(raw))))
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
