//go:build cgo

package llama

import (
	"fmt"
	"slices"
)

// Mark returns where the context stands: the positions in use and the token
// that the next DecodeStep feeds. There must be such a token.
func (c *Context) Mark() (Mark, error) {
	const op = "mark"
	if err := c.usable(op); err != nil {
		return Mark{}, err
	}
	if !c.ready {
		return Mark{}, refuse(op, "nothing to continue: call Prefill first")
	}
	return Mark{of: c, tokens: slices.Clone(c.tokens), next: c.next}, nil
}

// Rewind goes back to where m was taken, by forgetting the positions after it:
// decoding from there gives the same tokens again, without another prefill. A
// mark can be used any number of times, after decoding of either kind. Rewind
// allocates nothing; it compares the tokens before the mark and looks at each
// cell of the cache, some microseconds. It fails with ErrBadInput when the
// positions before the mark were replaced since, or Remove does. Logits need
// another evaluation first.
func (c *Context) Rewind(m Mark) error {
	const op = "rewind"
	if err := c.usable(op); err != nil {
		return err
	}
	n := len(m.tokens)
	if m.of != c || n > len(c.tokens) || !slices.Equal(m.tokens, c.tokens[:n]) {
		return refuse(op, fmt.Sprintf("the %d positions before the mark are not in this context any more: take it again", n))
	}
	if err := c.Remove(n); err != nil {
		return err
	}
	c.next, c.ready = m.next, true
	return nil
}
