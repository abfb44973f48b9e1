package analyze

import (
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// OneTime is what a launch costs before its first measured row.
type OneTime struct {
	Model, Backend string
	Launch         int
	LoadMs         *float64 // model file to ready weights
	ContextMs      *float64 // creating contexts and their buffers, summed
	Warmups        int
	WarmupMs       *float64 // prefill and decode of the warm-ups, summed

	// The first row of the launch beyond the median of the later warm-ups of
	// its scenario: loading kernels in prefill, and with CUDA graphs the first
	// capture in decode. Nil when there is no later warm-up. May be negative
	// by noise.
	FirstPrefillExtraMs, FirstDecodeExtraMs *float64
}

// oneTimes returns a row for each launch that recorded any such cost, in order
// of appearance.
func oneTimes(rows []record.Record) []OneTime {
	type launch struct {
		model, backend string
		n              int
	}
	at := map[launch]int{}
	var out []OneTime
	var firsts []*record.Record // row of each launch
	var prefill, decode [][]float64
	for i := range rows {
		r := &rows[i]
		if r.Status != record.StatusOK || !r.Warmup && r.LoadMs == nil && r.ContextMs == nil {
			continue
		}
		key := launch{r.Model, r.Backend, r.Launch}
		j, seen := at[key]
		if !seen {
			j = len(out)
			at[key] = j
			out = append(out, OneTime{Model: r.Model, Backend: r.Backend, Launch: r.Launch})
			firsts, prefill, decode = append(firsts, r), append(prefill, nil), append(decode, nil)
		}
		o := &out[j]
		o.LoadMs = sum(o.LoadMs, r.LoadMs)
		o.ContextMs = sum(o.ContextMs, r.ContextMs)
		if r.Warmup {
			o.Warmups++
			o.WarmupMs = sum(sum(o.WarmupMs, r.PrefillMs), r.DecodeMs)
			if first := firsts[j]; r != first && r.CellID == first.CellID && lacks(r) == nil {
				prefill[j], decode[j] = append(prefill[j], *r.PrefillMs), append(decode[j], *r.DecodeMs)
			}
		}
	}
	for j, first := range firsts {
		if first.Warmup && lacks(first) == nil {
			out[j].FirstPrefillExtraMs = beyondMedian(*first.PrefillMs, prefill[j])
			out[j].FirstDecodeExtraMs = beyondMedian(*first.DecodeMs, decode[j])
		}
	}
	return out
}

func beyondMedian(v float64, others []float64) *float64 {
	median, ok := stats.Percentile(others, 50)
	if !ok {
		return nil
	}
	extra := v - median
	return &extra
}

// sum adds two numbers that may be absent; absent only when both are.
func sum(a, b *float64) *float64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	s := *a + *b
	return &s
}
