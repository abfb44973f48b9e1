package llama

import "errors"

// The kinds of failure, to be told apart with errors.Is.
var (
	// ErrBadInput: the call was refused before anything changed. The message
	// says which rule it broke.
	ErrBadInput = errors.New("bad input")
	// ErrKVFull: the context has no room for the tokens.
	ErrKVFull = errors.New("KV cache full")
	// ErrAborted: the caller stopped the work.
	ErrAborted = errors.New("aborted")
	// ErrMemory: an allocation on the host or the device failed.
	ErrMemory = errors.New("out of memory")
	// ErrEngine: any other failure the engine reported.
	ErrEngine = errors.New("engine error")
	// ErrAssert: an assertion inside the engine. The Context in use can only be
	// closed; if it was evaluating, the engine's threads may be left behind in
	// that call, and the process should not measure any more.
	ErrAssert = errors.New("engine assertion")
	// ErrClosed: the Model or Context was closed.
	ErrClosed = errors.New("already closed")
	// ErrNoCgo: the program was built without cgo, so there is no engine.
	ErrNoCgo = errors.New("built without cgo: rebuild with CGO_ENABLED=1 and a C compiler")
)

// Error is a failed operation. Kind is one of the Err values above; Msg is the
// whole story, ending with the engine's own last lines.
type Error struct {
	Op   string // the operation, e.g. "prefill"
	Kind error
	Msg  string
}

func (e *Error) Error() string { return "llama: " + e.Op + ": " + e.Msg }

// Unwrap returns the kind, so that errors.Is works.
func (e *Error) Unwrap() error { return e.Kind }

func refuse(op, msg string) error { return &Error{Op: op, Kind: ErrBadInput, Msg: msg} }
