// Package measure does the measuring, in a worker process: it loads a model
// once, then times prefill and decode row by row with nothing else in between.
package measure

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Session is a loaded model and the contexts made for it so far. It belongs to
// one goroutine, which must be locked to its thread. While it is open the Go
// runtime collects no garbage but what Row and Window leave, after them.
type Session struct {
	engine   wire.Engine
	model    *llama.Model
	contexts map[wire.ContextSpec]engineContext
	prompts  map[promptKey][]int32
	restore  func() // the garbage collector
}

type promptKey struct {
	seed        int64
	sequence, n int
}

// engineContext is what a *llama.Context and a *llama.Batch have in common.
type engineContext interface {
	Clear()
	Close() error
	Params() llama.ContextParams
	PaddedCtx() int
	MemoryUse() []llama.Memory
	KVUsedBytes() (int64, error)
	TimeOnDevice(calls int, every bool) bool
	BusyMs(call int) (float64, bool)
	SpanMs(from, to int) (float64, bool)
}

// Open loads the model and says what was loaded.
func Open(o wire.Open) (*Session, *wire.Opened, error) {
	params, device, err := modelParams(o.ModelPath, o.Engine)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	model, err := llama.Load(params)
	if err != nil {
		return nil, nil, err
	}
	loadMs := msSince(start)
	s := &Session{
		engine:   o.Engine,
		model:    model,
		contexts: map[wire.ContextSpec]engineContext{},
		prompts:  map[promptKey][]int32{},
		restore:  noCollector(),
	}
	s.engine.Threads = threads(o.Engine)
	return s, &wire.Opened{
		Info:    modelInfo(model.Info()),
		LoadMs:  loadMs,
		PID:     os.Getpid(),
		Threads: s.engine.Threads,
		Device:  device.Description,
		Version: llama.Version(),
	}, nil
}

// Close frees the contexts and the model, and lets garbage be collected again.
func (s *Session) Close() error {
	var errs []error
	for _, c := range s.contexts {
		errs = append(errs, c.Close())
	}
	s.restore()
	return errors.Join(append(errs, s.model.Close())...)
}

// Row measures once. The KV cache is empty when the clock starts, and the device
// and the caches of the processor are warm, as they are where one request
// follows another. With no tokens to generate it is the prefill alone.
func (s *Session) Row(r wire.Row) (*wire.RowReply, error) {
	t, err := s.prepare(r)
	if err != nil {
		return nil, err
	}
	c := t.c
	if err := t.wake(); err != nil {
		return nil, err
	}
	if calls := 1 + r.GenTokens; r.NoDeviceTimes {
		c.TimeOnDevice(0, false)
	} else {
		c.TimeOnDevice(calls, r.StepTimes)
	}
	defer collect()

	seen, err := t.run(t.gen)
	if err != nil {
		return nil, err
	}
	used, err := c.KVUsedBytes()
	if err != nil {
		return nil, err
	}
	out := &wire.RowReply{
		PromptTokens: t.promptTokens,
		GenTokens:    t.gen,
		PromptHash:   t.promptHash,
		TokenHash:    prompt.Hash(seen.sampled),
		StartNs:      seen.startNs,
		PrefillEndNs: seen.prefillEndNs,
		StepEndNs:    seen.stepEndNs,
		ContextMs:    t.contextMs,
		KVUsedBytes:  used,
		NCtx:         c.PaddedCtx(),
		NBatch:       c.Params().NBatch,
		NUbatch:      c.Params().NUbatch,
	}
	deviceTimes(c, r.StepTimes, out)
	for _, m := range c.MemoryUse() {
		out.KVAllocBytes += m.KV
		out.WeightsBytes += m.Weights
		out.ComputeBytes += m.Compute
		if m.Device != nil {
			out.EngineGPUBytes += m.KV + m.Weights + m.Compute
		}
	}
	out.HostPeakRSSBytes, out.HostRSSBytes, err = residentBytes()
	return out, err
}

// trial is what a row asks for, ready to be measured.
type trial struct {
	subject
	c            engineContext
	contextMs    *float64 // when it was created for this
	sequences    int
	promptTokens int // of each
	promptHash   string
	gen          int
}

// subject is what a trial evaluates: one sequence or several in lockstep.
type subject interface {
	// run evaluates the prompts and then gen steps, by the clock.
	run(gen int) (timing, error)
	// prefill evaluates the first n tokens of the prompts.
	prefill(n int) error
	// decodes evaluates the prompts and returns what decodes gen steps from
	// their end each time. TokenHash, as of a row, is empty when not every
	// repetition gave the tokens of the first.
	decodes(gen int) (again func() error, tokenHash func() string, err error)
}

func (s *Session) prepare(r wire.Row) (*trial, error) {
	if r.GenTokens < 0 {
		return nil, fmt.Errorf("gen_tokens is %d: %w", r.GenTokens, llama.ErrBadInput)
	}
	c, contextMs, err := s.context(r.Context)
	if err != nil {
		return nil, err
	}
	t := &trial{c: c, contextMs: contextMs, sequences: r.Context.Batch, promptTokens: r.PromptTokens, gen: r.GenTokens}
	prompts := make([][]int32, t.sequences)
	for i := range prompts {
		if prompts[i], err = s.prompt(r.Seed, i, r.PromptTokens); err != nil {
			return nil, err
		}
	}
	t.promptHash = prompt.Hash(slices.Concat(prompts...))
	switch c := c.(type) {
	case *llama.Batch:
		if r.DecodeMode == "uncached" {
			return nil, fmt.Errorf("decoding without the cache is for one sequence, not %d: %w", t.sequences, llama.ErrBadInput)
		}
		t.subject = &several{c, prompts}
	case *llama.Context:
		one := &single{c: c, prompt: prompts[0], decode: c.Generate}
		if r.DecodeMode == "uncached" {
			one.decode = c.DecodeUncached
		}
		t.subject = one
	}
	return t, nil
}

// timing is when the phases of a row ended, and what they sampled, sequence by
// sequence.
type timing struct {
	startNs, prefillEndNs int64
	stepEndNs             []int64
	sampled               []int32
}

// waking is how many tokens of each sequence are evaluated before the clock of a
// row starts.
const waking = 32

// wake ends the sleep in which this process waited to be asked for a row: the
// first thing it computes then takes longer, by a tenth of a prefill on a fast
// GPU. It leaves the cache empty, and the engine with a graph of another shape
// than the prompt's, which a prefill after a decode finds too. Prefills alone
// follow each other without sleep.
func (t *trial) wake() error {
	defer t.c.Clear()
	t.c.Clear()
	if t.gen == 0 {
		return nil
	}
	return t.prefill(max(1, min(waking, t.promptTokens-1)))
}

// deviceTimes adds what the events on the GPU's stream say, if there are any.
func deviceTimes(c engineContext, steps bool, out *wire.RowReply) {
	known := func(ms float64, ok bool) *float64 {
		if !ok {
			return nil
		}
		return &ms
	}
	out.PrefillCudaMs = known(c.SpanMs(0, 0))
	out.DecodeCudaMs = known(c.SpanMs(1, out.GenTokens))
	out.PrefillBusyMs = known(c.BusyMs(0))
	for i := range out.GenTokens {
		ms, ok := c.BusyMs(1 + i)
		if !steps || !ok {
			return
		}
		out.StepCudaMs = append(out.StepCudaMs, ms)
	}
}

func (s *Session) context(spec wire.ContextSpec) (engineContext, *float64, error) {
	if c := s.contexts[spec]; c != nil {
		return c, nil, nil
	}
	params, err := contextParams(spec, s.engine)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	c, err := newContext(s.model, params)
	if err != nil {
		return nil, nil, err
	}
	ms := msSince(start)
	s.contexts[spec] = c
	return c, &ms, nil
}

func newContext(m *llama.Model, p llama.ContextParams) (engineContext, error) {
	if p.Sequences > 1 {
		return m.NewBatch(p)
	}
	return m.NewContext(p)
}

func (s *Session) prompt(seed int64, sequence, n int) ([]int32, error) {
	key := promptKey{seed, sequence, n}
	if s.prompts[key] == nil {
		tokens, err := prompt.Sequence(s.model.Tokenize, seed, sequence, n)
		if err != nil {
			return nil, err
		}
		s.prompts[key] = tokens
	}
	return s.prompts[key], nil
}

func msSince(t time.Time) float64 { return float64(time.Since(t)) / float64(time.Millisecond) }
