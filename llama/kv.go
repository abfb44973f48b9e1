//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import "fmt"

// Clear empties the cache; its memory stays allocated.
func (c *Context) Clear() {
	C.pb_kv_clear(c.c)
	c.tokens, c.ready = c.tokens[:0], false
}

// Remove forgets the positions from pos on. The next call must be Prefill. It
// fails with ErrBadInput when pos is out of range or the kind of cache cannot
// forget a part.
func (c *Context) Remove(pos int) error {
	const op = "remove"
	if c.c == nil {
		return c.closed(op)
	}
	if pos < 0 || pos > len(c.tokens) {
		return refuse(op, fmt.Sprintf("position %d is outside the %d in use", pos, len(c.tokens)))
	}
	if !C.pb_kv_remove(c.c, C.int(pos)) {
		return refuse(op, "this model's cache can only be cleared as a whole")
	}
	c.tokens, c.ready = c.tokens[:pos], false
	return nil
}

// KVUsed returns the part of the cache the sequence occupies, tensor by tensor:
// what the engine itself would save of keys and values, without framing. An
// empty cache has no entries.
func (c *Context) KVUsed() ([]KVTensor, error) {
	const op = "kv"
	if c.c == nil {
		return nil, c.closed(op)
	}
	raw := make([]C.pb_kv_tensor, 2*c.model.info.Layers)
	for {
		var cerr C.pb_error
		n := int(C.pb_kv_used(c.c, &raw[0], C.int(len(raw)), &cerr))
		if n < 0 {
			return nil, fromC(op, &cerr)
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
func (c *Context) KVUsedBytes() (int64, error) {
	tensors, err := c.KVUsed()
	var sum int64
	for _, t := range tensors {
		sum += t.UsedBytes
	}
	return sum, err
}
