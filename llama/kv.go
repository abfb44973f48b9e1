//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import "fmt"

// Clear empties the cache; its memory stays allocated.
func (c *Context) Clear() {
	const op = "clear"
	if c.usable(op) != nil {
		return
	}
	if !C.pb_kv_clear(c.c, &c.cerr) {
		c.failed(op)
	}
	c.tokens, c.ready, c.scored = c.tokens[:0], false, false
}

// Remove forgets the positions from pos on. The next call must be Prefill. It
// fails with ErrBadInput when pos is out of range, the kind of cache cannot
// forget a part, or it is of a sliding window and of the window before pos some
// is gone.
func (c *Context) Remove(pos int) error {
	const op = "remove"
	if err := c.usable(op); err != nil {
		return err
	}
	if pos < 0 || pos > len(c.tokens) {
		return refuse(op, fmt.Sprintf("position %d is outside the %d in use", pos, len(c.tokens)))
	}
	if !C.pb_kv_remove(c.c, C.int(pos), &c.cerr) {
		return fromC(op, &c.cerr)
	}
	c.tokens, c.ready, c.scored = c.tokens[:pos], false, false
	return nil
}

// KVUsed returns the part of the cache the sequences occupy, one after the other
// and tensor by tensor: what the engine itself would save of keys and values,
// without framing. An empty cache has no entries.
func (h *handle) KVUsed() ([]KVTensor, error) {
	const op = "kv"
	if err := h.usable(op); err != nil {
		return nil, err
	}
	raw := make([]C.pb_kv_tensor, max(2*h.model.info.Layers*h.params.Sequences, 1))
	for {
		n := int(C.pb_kv_used(h.c, &raw[0], C.int(len(raw)), &h.cerr))
		if n < 0 {
			return nil, fromC(op, &h.cerr)
		}
		if n > len(raw) {
			raw = make([]C.pb_kv_tensor, n)
			continue
		}
		out := make([]KVTensor, n)
		for i, r := range raw[:n] {
			out[i] = KVTensor{Name: C.GoString(&r.name[0]), Type: C.GoString(&r._type[0]), RowBytes: int64(r.row_bytes), UsedBytes: int64(r.used_bytes)}
		}
		return out, nil
	}
}

// KVUsedBytes returns the sum of KVUsed.
func (h *handle) KVUsedBytes() (int64, error) {
	tensors, err := h.KVUsed()
	var sum int64
	for _, t := range tensors {
		sum += t.UsedBytes
	}
	return sum, err
}
