package measure

import (
	"slices"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/llama"
)

// several are sequences that go in lockstep, each with a prompt of its own.
type several struct {
	c       *llama.Batch
	prompts [][]int32
}

func (t *several) run(gen int) (timing, error) {
	out := timing{stepEndNs: make([]int64, 0, gen)}
	steps := make([]int32, 0, len(t.prompts)*(gen+1)) // by step, then by sequence
	onStep := func(_ int, tokens []int32) error {
		out.stepEndNs = append(out.stepEndNs, clock.NowNs())
		steps = append(steps, tokens...)
		return nil
	}
	out.startNs = clock.NowNs()
	first, err := t.c.Prefill(t.prompts)
	out.prefillEndNs = clock.NowNs()
	steps = append(steps, first...)
	if err == nil {
		err = t.c.Generate(gen, onStep)
	}
	out.sampled = bySequence(steps, len(t.prompts))
	return out, err
}

// bySequence turns tokens listed by step, of n sequences each, into those of one
// sequence after the other.
func bySequence(steps []int32, n int) []int32 {
	out := make([]int32, 0, len(steps))
	for seq := range n {
		for i := seq; i < len(steps); i += n {
			out = append(out, steps[i])
		}
	}
	return out
}

func (t *several) prefill(n int) error {
	parts := make([][]int32, len(t.prompts))
	for i, p := range t.prompts {
		parts[i] = p[:n]
	}
	_, err := t.c.Prefill(parts)
	return err
}

func (t *several) decodes(gen int) (again func() error, tokenHash func() string, err error) {
	same := true
	var sampled []int32
	onStep := func(i int, tokens []int32) error {
		at := (i + 1) * len(t.prompts)
		if len(sampled) == at { // in the first repetition
			sampled = append(sampled, tokens...)
		}
		same = same && slices.Equal(sampled[at:at+len(t.prompts)], tokens)
		return nil
	}
	t.c.Clear()
	first, err := t.c.Prefill(t.prompts)
	if err != nil {
		return nil, nil, err
	}
	sampled = append(make([]int32, 0, len(t.prompts)*(gen+1)), first...)
	end, err := t.c.Mark()
	if err != nil {
		return nil, nil, err
	}
	again = func() error {
		if err := t.c.Generate(gen, onStep); err != nil {
			return err
		}
		return t.c.Rewind(end)
	}
	tokenHash = func() string {
		if !same {
			return ""
		}
		return prompt.Hash(bySequence(sampled, len(t.prompts)))
	}
	return again, tokenHash, nil
}
