package measure

import (
	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/llama"
)

// single is one sequence.
type single struct {
	c      *llama.Context
	prompt []int32
	decode func(n int, onStep func(i int, token int32) error) error
}

func (t *single) run(gen int) (timing, error) {
	out := timing{sampled: make([]int32, 1, gen+1), stepEndNs: make([]int64, 0, gen)}
	onStep := func(_ int, token int32) error {
		out.stepEndNs = append(out.stepEndNs, clock.NowNs())
		out.sampled = append(out.sampled, token)
		return nil
	}
	var err error
	out.startNs = clock.NowNs()
	out.sampled[0], err = t.c.Prefill(t.prompt)
	out.prefillEndNs = clock.NowNs()
	if err == nil {
		err = t.decode(gen, onStep)
	}
	return out, err
}

func (t *single) prefill(n int) error {
	_, err := t.c.Prefill(t.prompt[:n])
	return err
}

func (t *single) decodes(gen int) (again func() error, tokenHash func() string, err error) {
	sampled := make([]int32, 1, gen+1)
	same := true
	onStep := func(i int, token int32) error {
		if len(sampled) == i+1 { // in the first repetition
			sampled = append(sampled, token)
		}
		same = same && sampled[i+1] == token
		return nil
	}
	t.c.Clear()
	if sampled[0], err = t.c.Prefill(t.prompt); err != nil {
		return nil, nil, err
	}
	end, err := t.c.Mark()
	if err != nil {
		return nil, nil, err
	}
	again = func() error {
		if err := t.decode(gen, onStep); err != nil {
			return err
		}
		return t.c.Rewind(end)
	}
	tokenHash = func() string {
		if !same {
			return ""
		}
		return prompt.Hash(sampled)
	}
	return again, tokenHash, nil
}
