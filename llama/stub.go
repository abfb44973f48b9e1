//go:build !cgo

package llama

import "context"

// Without cgo there is no engine. The package still compiles, so that programs
// which only read records can be built anywhere; every call fails clearly.

// Model is a loaded model; without cgo there can be none.
type Model struct{}

// Context is a sequence being evaluated; without cgo there can be none.
type Context struct{ handle }

// Batch is several sequences being evaluated; without cgo there can be none.
type Batch struct{ handle }

type handle struct{}

// Init returns ErrNoCgo.
func Init() error { return ErrNoCgo }

// Version returns nothing.
func Version() string { return "" }

// SystemInfo returns nothing.
func SystemInfo() string { return "" }

// Devices returns ErrNoCgo.
func Devices() ([]Device, error) { return nil, ErrNoCgo }

// Load returns ErrNoCgo.
func Load(ModelParams) (*Model, error) { return nil, ErrNoCgo }

// Close does nothing.
func (*Model) Close() error { return nil }

// Info returns nothing.
func (*Model) Info() ModelInfo { return ModelInfo{} }

// Meta returns nothing.
func (*Model) Meta(string) (string, bool) { return "", false }

// Tokenize returns ErrNoCgo.
func (*Model) Tokenize(string) ([]int32, error) { return nil, ErrNoCgo }

// Detokenize returns ErrNoCgo.
func (*Model) Detokenize([]int32) (string, error) { return "", ErrNoCgo }

// Vocabulary returns ErrNoCgo.
func (*Model) Vocabulary() (Vocabulary, error) { return Vocabulary{}, ErrNoCgo }

// NewContext returns ErrNoCgo.
func (*Model) NewContext(ContextParams) (*Context, error) { return nil, ErrNoCgo }

// NewBatch returns ErrNoCgo.
func (*Model) NewBatch(ContextParams) (*Batch, error) { return nil, ErrNoCgo }

// Close does nothing.
func (*handle) Close() error { return nil }

// Params returns nothing.
func (*handle) Params() ContextParams { return ContextParams{} }

// PaddedCtx returns 0.
func (*handle) PaddedCtx() int { return 0 }

// Pos returns 0.
func (*Context) Pos() int { return 0 }

// MemoryUse returns nothing.
func (*handle) MemoryUse() []Memory { return nil }

// Prefill returns ErrNoCgo.
func (*Context) Prefill([]int32) (int32, error) { return 0, ErrNoCgo }

// DecodeStep returns ErrNoCgo.
func (*Context) DecodeStep() (int32, error) { return 0, ErrNoCgo }

// Generate returns ErrNoCgo.
func (*Context) Generate(int, func(int, int32) error) error { return ErrNoCgo }

// DecodeUncached returns ErrNoCgo.
func (*Context) DecodeUncached(int, func(int, int32) error) error { return ErrNoCgo }

// DecodeForced returns ErrNoCgo.
func (*Context) DecodeForced([]int32, func(int, []float32) error) error { return ErrNoCgo }

// Score returns ErrNoCgo.
func (*Context) Score([]int32, int) ([]float32, error) { return nil, ErrNoCgo }

// Logits returns ErrNoCgo.
func (*Context) Logits() ([]float32, error) { return nil, ErrNoCgo }

// Clear does nothing.
func (*Context) Clear() {}

// Remove returns ErrNoCgo.
func (*Context) Remove(int) error { return ErrNoCgo }

// Mark returns ErrNoCgo.
func (*Context) Mark() (Mark, error) { return Mark{}, ErrNoCgo }

// Rewind returns ErrNoCgo.
func (*Context) Rewind(Mark) error { return ErrNoCgo }

// Pos returns 0.
func (*Batch) Pos() int { return 0 }

// Prefill returns ErrNoCgo.
func (*Batch) Prefill([][]int32) ([]int32, error) { return nil, ErrNoCgo }

// DecodeStep returns ErrNoCgo.
func (*Batch) DecodeStep() ([]int32, error) { return nil, ErrNoCgo }

// Generate returns ErrNoCgo.
func (*Batch) Generate(int, func(int, []int32) error) error { return ErrNoCgo }

// Logits returns ErrNoCgo.
func (*Batch) Logits(int) ([]float32, error) { return nil, ErrNoCgo }

// Clear does nothing.
func (*Batch) Clear() {}

// Mark returns ErrNoCgo.
func (*Batch) Mark() (BatchMark, error) { return BatchMark{}, ErrNoCgo }

// Rewind returns ErrNoCgo.
func (*Batch) Rewind(BatchMark) error { return ErrNoCgo }

// KVUsed returns ErrNoCgo.
func (*handle) KVUsed() ([]KVTensor, error) { return nil, ErrNoCgo }

// KVUsedBytes returns ErrNoCgo.
func (*handle) KVUsedBytes() (int64, error) { return 0, ErrNoCgo }

// Synth returns ErrNoCgo: the engine writes the headers of the files.
func Synth(context.Context, string, string, SynthOptions) (SynthResult, error) {
	return SynthResult{}, ErrNoCgo
}

// TimeOnDevice returns false.
func (*handle) TimeOnDevice(int, bool) bool { return false }

// BusyMs returns false.
func (*handle) BusyMs(int) (float64, bool) { return 0, false }

// SpanMs returns false.
func (*handle) SpanMs(int, int) (float64, bool) { return 0, false }

// MeasureRoofline returns ErrNoCgo.
func MeasureRoofline(Device, int) (Roofline, error) { return Roofline{}, ErrNoCgo }
