package analyze

import (
	"slices"
	"time"

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

type launch struct {
	model, backend string
	n              int
}

func launchOf(r *record.Record) launch { return launch{r.Model, r.Backend, r.Launch} }

// again returns a function that tells the rows of a process which only went on
// with what another of the same launch had begun: a launch that was cut, or has
// its energy windows measured later, pays for the model and the cell a second
// time, which no launch has to. Each process begins with a load.
func again(rows []record.Record) func(*record.Record) bool {
	loads := map[launch][]time.Time{}
	for i := range rows {
		if r := &rows[i]; r.LoadMs != nil {
			loads[launchOf(r)] = append(loads[launchOf(r)], r.Timestamp)
		}
	}
	for _, times := range loads {
		slices.SortFunc(times, time.Time.Compare)
	}
	process := func(r *record.Record) int {
		n := 0
		for i, t := range loads[launchOf(r)] {
			if i > 0 && !t.After(r.Timestamp) {
				n = i
			}
		}
		return n
	}
	type cell struct {
		launch
		id string
	}
	first := map[cell]int{}
	for i := range rows {
		r := &rows[i]
		at := cell{launchOf(r), r.CellID}
		if n, seen := first[at]; !seen || process(r) < n {
			first[at] = process(r)
		}
	}
	return func(r *record.Record) bool { return process(r) > first[cell{launchOf(r), r.CellID}] }
}

// oneTimes returns a row for each launch that recorded any such cost, in order
// of appearance.
func oneTimes(rows []record.Record) []OneTime {
	repeats := again(rows)
	at := map[launch]int{}
	var out []OneTime
	var firsts []*record.Record // row of each launch
	var prefill, decode [][]float64
	for i := range rows {
		r := &rows[i]
		if r.Status != record.StatusOK || !r.Warmup && r.LoadMs == nil && r.ContextMs == nil || repeats(r) {
			continue
		}
		key := launchOf(r)
		j, seen := at[key]
		if !seen {
			j = len(out)
			at[key] = j
			out = append(out, OneTime{Model: r.Model, Backend: r.Backend, Launch: r.Launch})
			firsts, prefill, decode = append(firsts, r), append(prefill, nil), append(decode, nil)
		}
		o := &out[j]
		if o.LoadMs == nil { // one that was cut loads again
			o.LoadMs = r.LoadMs
		}
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
