package measure

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Forced evaluates prompt in one call and then feeds rest token by token,
// whatever the model would have chosen. It calls onLogits after the prompt and
// after each token of rest, with the engine's own slice: one logit per token of
// the vocabulary, valid until onLogits returns. The engine must have been
// opened with Argmax "host".
func (s *Session) Forced(spec wire.ContextSpec, prompt, rest []int32, onLogits func([]float32) error) error {
	shared, _, err := s.context(spec)
	if err != nil {
		return err
	}
	c, ok := shared.(*llama.Context)
	if !ok {
		return fmt.Errorf("batch is %d; tokens are forced on one sequence: %w", spec.Batch, llama.ErrBadInput)
	}
	c.Clear()
	if _, err := c.Prefill(prompt); err != nil {
		return err
	}
	logits, err := c.Logits()
	if err != nil {
		return err
	}
	if err := onLogits(logits); err != nil {
		return err
	}
	return c.DecodeForced(rest, func(_ int, logits []float32) error { return onLogits(logits) })
}
