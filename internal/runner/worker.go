package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// Launcher starts workers.
type Launcher interface {
	Launch(LaunchSpec) (Worker, error)
}

// LaunchSpec says what kind of worker to start.
type LaunchSpec struct {
	Label string            // what it is for, in the log
	Env   map[string]string // engine environment of the backend entry
}

// Worker is a process that answers requests, one at a time.
type Worker interface {
	// Call sends a request and waits for its reply. The error is a *Death when
	// the process is gone. When ctx ends before the reply comes, the process is
	// ended and the Death wraps the context's cause.
	Call(ctx context.Context, q wire.Request) (wire.Reply, error)
	// PID returns the worker's process id.
	PID() int
	// Close lets the worker exit and waits until it has. The error is a *Death
	// when it did not exit cleanly. After a Call that returned a *Death, Close
	// only frees what the parent held.
	Close() error
}

// Death says how a worker's process ended.
type Death struct {
	Signal     string   // e.g. "SIGKILL"; empty when it exited for another reason
	ExitCode   int      // when it exited
	StderrTail []string // its last lines; of a crash the first
	LastWord   string   // the line among them that says most; the last if empty
	Cause      error    // why the parent ended it; nil when it died by itself
}

func (d *Death) Error() string {
	how := fmt.Sprintf("exited with code %d", d.ExitCode)
	if d.Signal != "" {
		how = "died by " + d.Signal
	}
	switch {
	case d.Cause != nil:
		return fmt.Sprintf("%v; it was ended and %s", d.Cause, how)
	case len(d.StderrTail) > 0: // its own last word says more than a signal's name
		return how + ": " + cmp.Or(d.LastWord, d.StderrTail[len(d.StderrTail)-1])
	case d.Signal == "SIGKILL":
		return how + ", as the kernel does when memory runs out (dmesg would say so)"
	}
	return how
}

// Unwrap returns why the parent ended the process.
func (d *Death) Unwrap() error { return d.Cause }

// timeoutError is a reply that did not come in time.
type timeoutError struct{ limit time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("no reply within %v", e.limit) }

// refusal is a request that failed without killing the worker.
type refusal struct{ kind, message string }

func (e refusal) Error() string { return e.message }

// call asks w and waits for at most limit for an answer to the question.
func call(ctx context.Context, w Worker, q wire.Request, limit time.Duration) (wire.Reply, error) {
	limit = limit.Round(time.Millisecond)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, timeoutError{limit})
	defer cancel()
	r, err := w.Call(ctx, q)
	switch {
	case err != nil:
		return r, err
	case r.Error != nil:
		return r, refusal{r.Error.Kind, r.Error.Message}
	case q.Open != nil && r.Opened == nil, q.Inspect != nil && r.Inspected == nil, q.Devices != nil && r.Devices == nil,
		q.Row != nil && r.Row == nil, q.KV != nil && r.KV == nil,
		q.Window != nil && r.Window == nil, q.Roofline != nil && r.Roofline == nil,
		q.Quality != nil && r.Quality == nil:
		return r, refusal{"engine", "the worker answered another question than was asked"}
	}
	return r, nil
}

// failure turns what went wrong while doing something into a row's error.
func failure(err error, doing string) *record.Error {
	e := &record.Error{Kind: "exit", Message: fmt.Sprintf("%s: worker could not be started: %v", doing, err)}
	var death *Death
	var refused refusal
	switch {
	case errors.As(err, &death):
		e.Message = fmt.Sprintf("%s: worker %v", doing, err)
		e.StderrTail = death.StderrTail
		var late timeoutError
		if e.Signal = death.Signal; e.Signal == "" {
			e.ExitCode = &death.ExitCode
		} else {
			e.Kind = "signal"
		}
		if errors.As(death.Cause, &late) {
			e.Kind = "timeout"
		}
	case errors.As(err, &refused):
		e.Kind, e.Message = refused.kind, doing+": "+refused.message
	}
	return e
}

func died(err error) bool {
	var death *Death
	return errors.As(err, &death)
}
