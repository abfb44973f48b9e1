package measure

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Serve is the life of a worker process: it answers requests on conn until the
// parent closes it. Failures of single requests are answered and do not end it,
// except for an assertion of the engine while it computes: that may leave its
// threads behind, and what this process measured afterwards would be wrong.
func Serve(conn io.ReadWriter) error {
	// The engine keeps a team of threads for each thread that calls it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := llama.Init(); err != nil {
		return err
	}
	var w worker
	defer w.close()
	return wire.Serve(conn, w.answer)
}

type worker struct {
	session *Session
	scorer  *Scorer
}

func (w *worker) close() {
	if w.session != nil {
		w.session.Close()
	}
	if w.scorer != nil {
		w.scorer.Close()
	}
}

// quality answers for one chunk, and keeps what is open for the next.
func (w *worker) quality(q wire.Quality) (*wire.QualityReply, error) {
	if w.scorer != nil && !w.scorer.serves(q) {
		if err := w.scorer.Close(); err != nil {
			return nil, err
		}
		w.scorer = nil
	}
	if w.scorer == nil {
		var err error
		if w.scorer, err = OpenScorer(q); err != nil {
			return nil, err
		}
	}
	return w.scorer.Chunk(q.Chunk)
}

func (w *worker) answer(q wire.Request) (wire.Reply, error) {
	var r wire.Reply
	var err error
	switch {
	case q.Devices != nil:
		r.Devices, err = ListDevices()
	case q.Inspect != nil:
		r.Inspected, err = Inspect(*q.Inspect)
	case q.KV != nil:
		r.KV, err = InspectKV(*q.KV)
	case q.Open != nil && w.session != nil:
		err = fmt.Errorf("a model is already open in this worker: %w", llama.ErrBadInput)
	case q.Open != nil:
		w.session, r.Opened, err = Open(*q.Open)
	case q.Roofline != nil:
		r.Roofline, err = Roofline(*q.Roofline)
	case q.Quality != nil:
		r.Quality, err = w.quality(*q.Quality)
	case (q.Row != nil || q.Window != nil) && w.session == nil:
		err = fmt.Errorf("no model is open: %w", llama.ErrBadInput)
	case q.Row != nil:
		r.Row, err = w.session.Row(*q.Row)
	case q.Window != nil:
		r.Window, err = w.session.Window(*q.Window)
	default:
		err = fmt.Errorf("empty request: %w", llama.ErrBadInput)
	}
	if computes := q.Row != nil || q.KV != nil || q.Window != nil || q.Roofline != nil || q.Quality != nil; computes && errors.Is(err, llama.ErrAssert) {
		w.session, w.scorer = nil, nil // freeing what those threads may be reading would crash instead
		return r, err
	}
	if err != nil {
		return wire.Reply{Error: &wire.Error{Kind: kind(err), Message: err.Error()}}, nil
	}
	return r, nil
}

func kind(err error) string {
	switch {
	case errors.Is(err, llama.ErrMemory):
		return "memory"
	case errors.Is(err, llama.ErrBadInput), errors.Is(err, llama.ErrKVFull):
		return "input"
	}
	return "engine"
}
