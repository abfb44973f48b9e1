package econ

import "fmt"

// KVShape is what the size of a KV cache depends on.
type KVShape struct {
	Layers   int // > 0
	KVHeads  int // heads that keys and values have, > 0
	HeadDimK int // > 0
	HeadDimV int // > 0
}

func (s KVShape) check() error {
	return all(
		atLeast(1, "Layers", int64(s.Layers)),
		atLeast(1, "KVHeads", int64(s.KVHeads)),
		atLeast(1, "HeadDimK", int64(s.HeadDimK)),
		atLeast(1, "HeadDimV", int64(s.HeadDimV)),
	)
}

// ElemType is how ggml stores one element of a cache row: in blocks of Elems
// elements that take Bytes bytes together. ggml keeps a row a whole number of
// blocks.
type ElemType struct {
	Name  string
	Elems int
	Bytes int
}

// ElemTypes returns the types the engine accepts for a KV cache, with the
// block layouts of ggml's type traits (ggml-common.h).
func ElemTypes() []ElemType {
	return []ElemType{
		{"f32", 1, 4},
		{"f16", 1, 2},
		{"bf16", 1, 2},
		{"q8_0", 32, 34},
		{"q5_1", 32, 24},
		{"q5_0", 32, 22},
		{"q4_1", 32, 20},
		{"q4_0", 32, 18},
		{"iq4_nl", 32, 18},
	}
}

// ElemTypeNamed returns the element type with that ggml name.
func ElemTypeNamed(name string) (ElemType, error) {
	for _, t := range ElemTypes() {
		if t.Name == name {
			return t, nil
		}
	}
	return ElemType{}, fmt.Errorf("econ: no KV element type named %q", name)
}

// rowBytes is the size of n elements stored as one row.
func (t ElemType) rowBytes(field string, n int) (int64, error) {
	if t.Elems < 1 || n%t.Elems != 0 {
		return 0, require(false, field, float64(n), fmt.Sprintf("a multiple of the %s block of %d", t.Name, t.Elems))
	}
	return int64(n / t.Elems * t.Bytes), nil
}

// KVBytesPerToken returns the bytes one position of one sequence takes in the
// cache:
//
//	Layers * KVHeads * (HeadDimK*bytesK + HeadDimV*bytesV)
//
// which is 2*L*H_kv*D_h*2 for 16-bit types and equal head dims. It holds for a
// plain attention cache, not for sliding windows, MLA or recurrent state.
// Source: TR123 4.3.
func KVBytesPerToken(s KVShape, k, v ElemType) (int64, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	rowK, err := k.rowBytes("KVHeads*HeadDimK", s.KVHeads*s.HeadDimK)
	if err != nil {
		return 0, err
	}
	rowV, err := v.rowBytes("KVHeads*HeadDimV", s.KVHeads*s.HeadDimV)
	if err != nil {
		return 0, err
	}
	return int64(s.Layers) * (rowK + rowV), nil
}

// KVBytes returns the cache payload of batch sequences of tokens positions
// each, batch*tokens*KVBytesPerToken, with batch >= 1 and tokens >= 0.
// Source: TR123 4.3.
func KVBytes(s KVShape, k, v ElemType, batch, tokens int) (int64, error) {
	if err := all(atLeast(1, "batch", int64(batch)), atLeast(0, "tokens", int64(tokens))); err != nil {
		return 0, err
	}
	per, err := KVBytesPerToken(s, k, v)
	return per * int64(batch) * int64(tokens), err
}

// Crossover is the length at which the cache outgrows the weights.
type Crossover struct {
	Tokens    int64 // longest context whose cache is no larger than the weights
	Reachable bool  // whether the model has that many positions
}

// KVCrossover returns the crossover of one sequence:
//
//	floor(weightsBytes / kvBytesPerToken)
//
// with all inputs >= 1. Reachable is false when that lies beyond the model's
// positions, so that its cache can never outgrow its weights. Source: TR123
// 8.4, which prints crossovers the model cannot reach.
func KVCrossover(weightsBytes, kvBytesPerToken int64, positions int) (Crossover, error) {
	if err := all(
		atLeast(1, "weightsBytes", weightsBytes),
		atLeast(1, "kvBytesPerToken", kvBytesPerToken),
		atLeast(1, "positions", int64(positions)),
	); err != nil {
		return Crossover{}, err
	}
	tokens := weightsBytes / kvBytesPerToken
	return Crossover{Tokens: tokens, Reachable: tokens <= int64(positions)}, nil
}

// Limit says what ends a context.
type Limit string

// What can end a context.
const (
	LimitMemory    Limit = "memory"
	LimitPositions Limit = "positions"
)

// Budget is memory and what has to fit in it besides the cache.
type Budget struct {
	TotalBytes     int64 // > 0
	WeightsBytes   int64 // >= 0
	WorkspaceBytes int64 // work buffers of the engine, >= 0
}

// LongestContext returns the longest context of each of batch sequences that
// fits the budget, and what ends it:
//
//	min(positions, floor((Total - Weights - Workspace) / (batch*kvBytesPerToken)))
//
// It is 0, ended by memory, when weights and workspace alone do not fit.
// TR123 8.4 reads the crossover as this limit, which it is not.
func LongestContext(b Budget, kvBytesPerToken int64, batch, positions int) (tokens int64, by Limit, err error) {
	if err := all(
		atLeast(1, "TotalBytes", b.TotalBytes),
		atLeast(0, "WeightsBytes", b.WeightsBytes),
		atLeast(0, "WorkspaceBytes", b.WorkspaceBytes),
		atLeast(1, "kvBytesPerToken", kvBytesPerToken),
		atLeast(1, "batch", int64(batch)),
		atLeast(1, "positions", int64(positions)),
	); err != nil {
		return 0, "", err
	}
	fit := max(0, b.TotalBytes-b.WeightsBytes-b.WorkspaceBytes) / (kvBytesPerToken * int64(batch))
	if fit >= int64(positions) {
		return int64(positions), LimitPositions, nil
	}
	return fit, LimitMemory, nil
}
