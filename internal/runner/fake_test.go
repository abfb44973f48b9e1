package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// fakeEngine stands in for worker processes. It logs what it is asked, and
// lets a test break single rows.
type fakeEngine struct {
	log      []string
	labels   []string // of the workers launched
	envs     []map[string]string
	ctxTrain int
	headDim  int
	contexts []wire.ContextSpec // asked for in rows
	limits   []time.Duration    // that rows were given
	need     func(wire.ContextSpec) wire.MemoryNeed
	// row, when it is set and answers, decides about the n-th row asked for, from 1.
	row     func(n int, q wire.Row) (wire.Reply, error, bool)
	open    func(n int) error // decides about the n-th open, from 1
	inspect func(n int, q wire.Inspect) error
	kv      func(q wire.KV) (*wire.KVReply, error)
	quality func(q wire.Quality) (*wire.QualityReply, error)
	// window, when it is set, may spoil the reply to the n-th window asked for, from 1.
	window   func(n int, q wire.Window, a *wire.WindowReply) error
	roofline func(q wire.Roofline) (*wire.RooflineReply, error)
	rows     int
	opens    int
	inspects int
	windows  int
	live     int // workers launched and not closed
	nowNs    int64
}

func newFake() *fakeEngine {
	return &fakeEngine{ctxTrain: 1024, need: func(wire.ContextSpec) wire.MemoryNeed { return wire.MemoryNeed{FreeDev: 1} }}
}

type fakeWorker struct {
	e      *fakeEngine
	pid    int
	dead   bool
	closed bool
}

func (e *fakeEngine) Launch(spec LaunchSpec) (Worker, error) {
	e.labels = append(e.labels, spec.Label)
	e.envs = append(e.envs, spec.Env)
	if e.live++; e.live > 1 {
		return nil, errors.New("two workers at a time")
	}
	return &fakeWorker{e: e, pid: 1000 + len(e.labels)}, nil
}

func (w *fakeWorker) PID() int { return w.pid }

func (w *fakeWorker) Close() error {
	if !w.closed {
		w.closed = true
		w.e.live--
	}
	if w.dead {
		return &Death{Signal: "SIGKILL"}
	}
	return nil
}

func (w *fakeWorker) Call(ctx context.Context, q wire.Request) (r wire.Reply, err error) {
	if w.dead {
		return r, &Death{Signal: "SIGKILL"}
	}
	defer func() { w.dead = died(err) }()
	e := w.e
	info := wire.ModelInfo{Arch: "fake", CtxTrain: e.ctxTrain, HeadDimK: e.headDim, HeadDimV: e.headDim, Synthetic: true}
	switch {
	case q.Inspect != nil:
		e.inspects++
		if e.inspect != nil {
			if err := e.inspect(e.inspects, *q.Inspect); err != nil {
				return refusalOrDeath(err)
			}
		}
		r.Inspected = &wire.Inspected{Info: info}
		for _, c := range q.Inspect.Contexts {
			r.Inspected.Memory = append(r.Inspected.Memory, e.need(c))
		}
	case q.KV != nil:
		if r.KV, err = e.kv(*q.KV); err != nil {
			return refusalOrDeath(err)
		}
	case q.Quality != nil:
		if r.Quality, err = e.quality(*q.Quality); err != nil {
			return refusalOrDeath(err)
		}
	case q.Open != nil:
		e.opens++
		if e.open != nil {
			if err := e.open(e.opens); err != nil {
				return refusalOrDeath(err)
			}
		}
		e.log = append(e.log, "open "+q.Open.ModelPath+" "+q.Open.Engine.Device)
		r.Opened = &wire.Opened{Info: info, LoadMs: 10, PID: w.pid, Threads: 2, Device: "Fake", Version: "v"}
	case q.Row != nil:
		e.rows++
		e.contexts = append(e.contexts, q.Row.Context)
		if end, ok := ctx.Deadline(); ok {
			e.limits = append(e.limits, time.Until(end).Round(time.Second))
		}
		e.log = append(e.log, fmt.Sprintf("%s %d+%d", q.Row.Context.TypeK, q.Row.PromptTokens, q.Row.GenTokens))
		if e.row != nil {
			if r, err, ok := e.row(e.rows, *q.Row); ok {
				return r, err
			}
		}
		r.Row = e.answer(*q.Row)
	case q.Roofline != nil:
		if r.Roofline, err = e.roofline(*q.Roofline); err != nil {
			return refusalOrDeath(err)
		}
	case q.Window != nil:
		e.windows++
		if end, ok := ctx.Deadline(); ok {
			e.limits = append(e.limits, time.Until(end).Round(time.Second))
		}
		e.log = append(e.log, fmt.Sprintf("%s of %d+%d for %g after %g ms", q.Window.Phase, q.Window.Row.PromptTokens, q.Window.Row.GenTokens, q.Window.WindowMs, q.Window.RampMs))
		r.Window = e.repeat(*q.Window)
		if e.window != nil {
			if err := e.window(e.windows, *q.Window, r.Window); err != nil {
				return refusalOrDeath(err)
			}
		}
	}
	return r, nil
}

// repeat takes as long for each repetition as answer does for the phase.
func (e *fakeEngine) repeat(q wire.Window) *wire.WindowReply {
	e.nowNs += 1e6
	a := &wire.WindowReply{StartNs: e.nowNs}
	tokens, each := []int{q.Row.GenTokens}, int64(q.Row.GenTokens)*1e6
	if q.Phase == "prefill" {
		tokens, each = []int{q.Row.PromptTokens, q.Row.PromptTokens - 1}, 2e6
	} else {
		a.TokenHash = "t"
	}
	for e.nowNs < a.StartNs+int64(q.RampMs*1e6) {
		e.nowNs += each
	}
	for a.OpenNs = e.nowNs; e.nowNs < a.OpenNs+int64(q.WindowMs*1e6); {
		e.nowNs += each
		a.EndNs = append(a.EndNs, e.nowNs)
		a.Tokens = append(a.Tokens, q.Row.Context.Batch*tokens[len(a.Tokens)%len(tokens)])
	}
	a.References, a.Before = []float64{3900, 4000, 4100}, 2
	a.BusyNs = e.nowNs - a.StartNs + 3e6 // of the references
	return a
}

func refusalOrDeath(err error) (wire.Reply, error) {
	if died(err) {
		return wire.Reply{}, err
	}
	return wire.Reply{Error: &wire.Error{Kind: "memory", Message: err.Error()}}, nil
}

// answer takes 2 ms for the prefill and 1 ms for each step.
func (e *fakeEngine) answer(q wire.Row) *wire.RowReply {
	e.nowNs += 1e6
	a := &wire.RowReply{
		PromptTokens: q.PromptTokens, GenTokens: q.GenTokens, PromptHash: "p", TokenHash: "t",
		StartNs: e.nowNs, PrefillEndNs: e.nowNs + 2e6, KVUsedBytes: 5, NCtx: 256, NBatch: 64, NUbatch: 64,
	}
	for e.nowNs = a.PrefillEndNs; len(a.StepEndNs) < q.GenTokens; {
		e.nowNs += 1e6
		a.StepEndNs = append(a.StepEndNs, e.nowNs)
	}
	return a
}

// rowsOf is a Sink that keeps rows and windows in memory.
type rowsOf struct {
	rows    []record.Record
	windows []record.WindowRecord
	after   func(n int) // called after the n-th row or window, from 1
}

func (s *rowsOf) Append(r *record.Record) error {
	s.rows = append(s.rows, *r)
	return s.kept()
}

func (s *rowsOf) AppendWindow(w *record.WindowRecord) error {
	s.windows = append(s.windows, *w)
	return s.kept()
}

func (s *rowsOf) kept() error {
	if s.after != nil {
		s.after(len(s.rows) + len(s.windows))
	}
	return nil
}

// notes is a Progress that keeps the notes.
type notes struct {
	silent
	text []string
}

func (n *notes) Note(text string) { n.text = append(n.text, text) }

// line says in short how a row ended.
func line(r record.Record) string {
	rep := fmt.Sprint(r.Rep)
	if r.Warmup {
		rep = "w" + rep
	}
	end := string(r.Status)
	if r.Error != nil {
		end += " " + r.Error.Kind
	}
	if r.Reason != "" {
		end += " " + r.Reason
	}
	return fmt.Sprintf("%d %s %s %s %s/%s: %s", r.Launch, r.Model, r.Backend, r.Scenario, r.KVTypeK, rep, end)
}

func lines(rows []record.Record) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(line(r) + "\n")
	}
	return b.String()
}

func on() *bool { v := true; return &v }

// spec is a matrix with one model m, one backend cpu without warm-ups, one
// scenario a of 8+4 tokens and one repetition, for tests to widen.
func spec() *matrix.Spec {
	return &matrix.Spec{
		Repetitions: 1, Launches: 1, Seed: 42,
		Models:    []matrix.Model{{Name: "m", Path: "m.gguf"}},
		Backends:  []matrix.Backend{{Name: "cpu", Device: "cpu", FlashAttn: "auto", Argmax: "graph", Mmap: on()}},
		Scenarios: []matrix.Scenario{{Name: "a", PromptTokens: 8, GenTokens: 4, Decode: "cached"}},
		KVTypes:   []matrix.KVType{{K: "f16", V: "f16"}},
	}
}

func planOf(t *testing.T, s *matrix.Spec) *matrix.Plan {
	t.Helper()
	p, err := s.Plan(matrix.Narrow{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// play runs a matrix on a fake engine and returns the rows written.
func play(t *testing.T, s *matrix.Spec, e *fakeEngine, set func(*Options)) ([]record.Record, Summary) {
	t.Helper()
	sink := &rowsOf{}
	opts := Options{Launcher: e, Sink: sink, RunID: "r"}
	if set != nil {
		set(&opts)
	}
	if own, ok := opts.Sink.(*rowsOf); ok {
		sink = own
	}
	sum, err := Run(t.Context(), planOf(t, s), opts)
	if err != nil {
		t.Fatal(err)
	}
	if e.live != 0 {
		t.Errorf("%d workers left", e.live)
	}
	return sink.rows, sum
}

func wantLines(t *testing.T, got, want string) {
	t.Helper()
	if got, want = strings.TrimSpace(got), strings.TrimSpace(want); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// death makes the rows whose numbers are listed kill the worker.
func death(at ...int) func(int, wire.Row) (wire.Reply, error, bool) {
	return func(n int, _ wire.Row) (wire.Reply, error, bool) {
		for _, k := range at {
			if n == k {
				return wire.Reply{}, &Death{Signal: "SIGABRT", StderrTail: []string{"GGML_ASSERT failed"}}, true
			}
		}
		return wire.Reply{}, nil, false
	}
}

const tick = time.Millisecond

// unpowered is a Telemetry of a machine where nothing tells power or energy.
type unpowered struct{}

func (unpowered) Annotate(*record.Record, Span)             {}
func (unpowered) SensorPeriod(string) (time.Duration, bool) { return 0, false }
func (unpowered) Closely(bool)                              {}
func (unpowered) Judge(*record.WindowRecord, int)           {}
func (unpowered) Foreign(int) []string                      { return nil }
func (unpowered) Idle(context.Context, string, time.Duration) (record.DeviceRecord, bool) {
	return record.DeviceRecord{}, false
}
