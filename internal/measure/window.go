package measure

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// longestMs is the most a ramp-in or a window may be asked to last, 10 min: a
// worker answers nothing while it repeats.
const longestMs = 10 * 60 * 1000

// repetition does one phase once more and returns how many tokens it evaluated,
// of all sequences: those of the prompt, or one for each decode step.
type repetition func() (tokens int, err error)

// Window repeats one phase of a row for as long as asked. Events on the GPU's
// stream are not taken, whatever the row says.
func (s *Session) Window(w wire.Window) (*wire.WindowReply, error) {
	if err := checkWindow(w); err != nil {
		return nil, err
	}
	t, err := s.prepare(w.Row)
	if err != nil {
		return nil, err
	}
	t.c.TimeOnDevice(0, false)
	defer collect()
	start := clock.NowNs()
	before, err := t.references(w)
	if err != nil {
		return nil, err
	}
	var out *wire.WindowReply
	if w.Phase == "prefill" {
		out, err = repeat(t.prefills(), w)
	} else {
		out, err = t.decodeWindow(w)
	}
	if err != nil {
		return nil, err
	}
	after, err := t.references(w)
	if err != nil {
		return nil, err
	}
	out.References, out.Before = append(before, after...), len(before)
	out.BusyNs = clock.NowNs() - start
	return out, nil
}

func (t *trial) decodeWindow(w wire.Window) (*wire.WindowReply, error) {
	again, tokenHash, err := t.decodes(t.gen)
	if err != nil {
		return nil, err
	}
	out, err := repeat(func() (int, error) { return t.gen * t.sequences, again() }, w)
	if err != nil {
		return nil, err
	}
	out.TokenHash = tokenHash()
	return out, nil
}

// references returns the rate of the window's phase in some rows, in tok/s.
func (t *trial) references(w wire.Window) ([]float64, error) {
	var rates []float64
	for start := clock.NowNs(); len(rates) < wire.MostReferences &&
		(len(rates) < wire.FewestReferences || clock.NowNs()-start < int64(wire.ReferencesFor)); {
		rate, err := t.reference(w)
		if err != nil {
			return nil, err
		}
		rates = append(rates, rate)
	}
	return rates, nil
}

func (t *trial) reference(w wire.Window) (tokPerS float64, err error) {
	if err := t.wake(); err != nil {
		return 0, err
	}
	const nsPerS = 1e9
	if w.Phase == "prefill" {
		seen, err := t.run(0)
		return float64(t.promptTokens*t.sequences) / float64(seen.prefillEndNs-seen.startNs) * nsPerS, err
	}
	seen, err := t.run(t.gen)
	if err != nil {
		return 0, err
	}
	tokens, from, ends := t.gen, seen.prefillEndNs, seen.stepEndNs
	if w.Row.DecodeMode != "uncached" && tokens > wire.SettlingSteps {
		tokens, from = tokens-wire.SettlingSteps, ends[wire.SettlingSteps-1]
	}
	return float64(tokens*t.sequences) / float64(ends[len(ends)-1]-from) * nsPerS, nil
}

func checkWindow(w wire.Window) error {
	inRange := func(ms float64) bool { return ms >= 0 && ms <= longestMs }
	switch {
	case w.Phase != "prefill" && w.Phase != "decode":
		return fmt.Errorf("phase is %q, want prefill or decode: %w", w.Phase, llama.ErrBadInput)
	case !inRange(w.RampMs) || !inRange(w.WindowMs):
		return fmt.Errorf("ramp_ms is %g and window_ms %g, want 0 to %d: %w", w.RampMs, w.WindowMs, longestMs, llama.ErrBadInput)
	case w.Phase == "decode" && w.Row.GenTokens < 1:
		return fmt.Errorf("gen_tokens is %d, a decode window needs at least 1: %w", w.Row.GenTokens, llama.ErrBadInput)
	}
	return nil
}

// repeat is the loop of a window: it holds at least one repetition. The clock is
// read once for each, so that where one ends the next begins.
func repeat(again repetition, w wire.Window) (*wire.WindowReply, error) {
	const nsPerMs, room = 1e6, 1 << 16 // repetitions, before the lists grow
	out := &wire.WindowReply{EndNs: make([]int64, 0, room), Tokens: make([]int, 0, room)}
	now := clock.NowNs()
	for out.StartNs = now; float64(now-out.StartNs) < w.RampMs*nsPerMs; now = clock.NowNs() {
		if _, err := again(); err != nil {
			return nil, err
		}
	}
	for out.OpenNs = now; len(out.EndNs) == 0 || float64(now-out.OpenNs) < w.WindowMs*nsPerMs; {
		tokens, err := again()
		if err != nil {
			return nil, err
		}
		now = clock.NowNs()
		out.EndNs = append(out.EndNs, now)
		out.Tokens = append(out.Tokens, tokens)
	}
	return out, nil
}

// prefills evaluates the prompts and the prompts less their last token in turns.
// Two alike in a row would let the engine keep the graph of the first, which a
// prefill after a decode has to build. A prompt of one token stays as it is.
func (t *trial) prefills() repetition {
	next, other := t.promptTokens, max(t.promptTokens-1, 1)
	return func() (int, error) {
		t.c.Clear()
		tokens := next
		next, other = other, next
		return tokens * t.sequences, t.prefill(tokens)
	}
}
