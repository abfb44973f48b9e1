package runner

import (
	"context"
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// Each batch has a context of its own, its rows carry what the times mean for all
// sequences and for each, and its windows are held against the rate of all.
func TestBatches(t *testing.T) {
	s := windowed()
	s.Scenarios[0].Batch = []int{1, 4}
	e := newFake()
	sink, sum := measured(t, s, e, nil)
	if sum.Errors > 0 || sum.Windows != 8 || sum.Planned != 6 {
		t.Fatalf("%+v", sum)
	}
	var batches []int
	for _, c := range e.contexts {
		if !slices.Contains(batches, c.Batch) {
			batches = append(batches, c.Batch)
		}
	}
	if !slices.Equal(batches, []int{1, 4}) {
		t.Errorf("contexts of %v sequences, want 1 and 4", batches)
	}
	prompt, gen := float64(s.Scenarios[0].PromptTokens), float64(s.Scenarios[0].GenTokens)
	seen := false
	for _, r := range sink.rows {
		if r.Batch == 1 && r.Rates != nil {
			t.Errorf("a row of one sequence has %+v", *r.Rates)
		}
		if r.Batch != 4 {
			continue
		}
		seen = true
		// A prefill takes 2 ms and a step 1 ms, of all sequences.
		want := record.BatchRates{
			PrefillTokS: 4 * prompt / 2e-3, DecodeTokS: 4 * 1e3, PrefillTokSPerSeq: prompt / 2e-3, DecodeTokSPerSeq: 1e3, TTFTMs: 2, TPOTMs: 1,
		}
		if r.Rates == nil || *r.Rates != want {
			t.Errorf("rates %+v, want %+v", r.Rates, want)
		}
	}
	if !seen {
		t.Error("no row of 4 sequences")
	}
	for _, w := range sink.windows {
		if len(w.Reasons) > 0 {
			t.Errorf("window %s of batch %d: %v", w.Phase, w.Batch, w.Reasons)
		}
		if w.Phase != "decode" || w.Batch != 4 {
			continue
		}
		if want := 4 * 1e3; w.TokPerS != want || w.TokPerSRows == nil || *w.TokPerSRows != want || w.TokPerSLike == nil || *w.TokPerSLike != want {
			t.Errorf("a decode window of 4 sequences ran at %v tok/s, its rows at %v, want %v", w.TokPerS, *w.TokPerSRows, want)
		}
		if w.Tokens != w.Reps*4*int(gen) {
			t.Errorf("%d tokens in %d repetitions", w.Tokens, w.Reps)
		}
	}
}

// What a batch needs is checked before the run, as is what the estimate takes.
func TestBatchesAreChecked(t *testing.T) {
	s := windowed()
	s.Scenarios[0].Batch = []int{1, 64}
	e := newFake()
	var asked []wire.ContextSpec
	groups, err := Check(context.Background(), planOf(t, s), Host{}, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range groups[0].Contexts {
		asked = append(asked, c.Spec)
	}
	if len(asked) != 2 || asked[0].Batch != 1 || asked[1].Batch != 64 || asked[0].NCtx < asked[1].NCtx {
		t.Errorf("contexts %+v, want one for 1 and one for 64 sequences", asked)
	}
	if _, err := Estimate(context.Background(), &groups[0], s, e); err != nil {
		t.Fatal(err)
	}
	probed := map[int]int{}
	for _, c := range e.contexts {
		probed[c.Batch]++
	}
	if probed[1] != 2 || probed[64] != 2 {
		t.Errorf("probes by batch %v, want 2 of each", probed)
	}
}
