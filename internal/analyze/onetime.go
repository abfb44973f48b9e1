package analyze

import "github.com/phasebench/phasebench/internal/record"

// OneTime is what a launch costs before its first measured row.
type OneTime struct {
	Model, Backend string
	Launch         int
	LoadMs         *float64 // model file to ready weights
	ContextMs      *float64 // creating contexts and their buffers, summed
	Warmups        int
	WarmupMs       *float64 // prefill and decode of the warm-ups, summed
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
		}
		o := &out[j]
		o.LoadMs = sum(o.LoadMs, r.LoadMs)
		o.ContextMs = sum(o.ContextMs, r.ContextMs)
		if r.Warmup {
			o.Warmups++
			o.WarmupMs = sum(sum(o.WarmupMs, r.PrefillMs), r.DecodeMs)
		}
	}
	return out
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
