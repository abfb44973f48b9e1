package measure

import (
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/internal/wire"
)

// batch is row("cached") for n sequences.
func batch(n int) wire.Request {
	q := row("cached")
	q.Row.Context.Batch = n
	return q
}

func TestBatchRows(t *testing.T) {
	c := serve(t)
	o := open(t, c)
	alone, first, second := ask(t, c, row("cached")).Row, ask(t, c, batch(3)).Row, ask(t, c, batch(3)).Row
	if alone == nil || first == nil || second == nil {
		t.Fatal("a row failed")
	}
	if first.PromptTokens != 32 || first.GenTokens != 8 || len(first.StepEndNs) != 8 {
		t.Errorf("%d prompt tokens, %d generated in %d steps", first.PromptTokens, first.GenTokens, len(first.StepEndNs))
	}
	last := first.StartNs
	for _, ns := range append([]int64{first.PrefillEndNs}, first.StepEndNs...) {
		if ns <= last {
			t.Error("the clock stood still or went back")
		}
		last = ns
	}
	i := o.Info
	if want := int64(3 * i.Layers * i.KVHeads * (i.HeadDimK + i.HeadDimV) * 2 * 40); first.KVUsedBytes != want {
		t.Errorf("%d bytes of cache used by 3 sequences at 40 positions, want %d", first.KVUsedBytes, want)
	}
	if first.TokenHash != second.TokenHash || first.PromptHash != second.PromptHash {
		t.Error("the same row again sampled other tokens")
	}
	if first.TokenHash == alone.TokenHash || first.PromptHash == alone.PromptHash {
		t.Error("three sequences have the hash of one")
	}
	if q := batch(2); true {
		q.Row.DecodeMode = "uncached"
		if r := ask(t, c, q); r.Error == nil || r.Error.Kind != "input" {
			t.Errorf("a batch without the cache: %+v", r.Error)
		}
	}
}

// The hash of a batch is over the tokens of one sequence after the other.
func TestBySequence(t *testing.T) {
	if got, want := bySequence([]int32{1, 10, 2, 20, 3, 30}, 2), []int32{1, 2, 3, 10, 20, 30}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A row's tokens are those of each sequence by itself, whose prompts differ.
func TestBatchTokens(t *testing.T) {
	s := session(t)
	const n = 3
	tr, err := s.prepare(*batch(n).Row)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := tr.run(tr.gen)
	if err != nil {
		t.Fatal(err)
	}
	each := slices.Collect(slices.Chunk(seen.sampled, tr.gen+1))
	if len(each) != n {
		t.Fatalf("%d tokens sampled, want %d", len(seen.sampled), n*(tr.gen+1))
	}
	one, err := s.prepare(*row("cached").Row)
	if err != nil {
		t.Fatal(err)
	}
	var prompts []string
	for i, want := range each {
		one.subject.(*single).prompt = tr.subject.(*several).prompts[i]
		prompts = append(prompts, prompt.Hash(one.subject.(*single).prompt))
		one.c.Clear()
		alone, err := one.run(one.gen)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone.sampled, want) {
			t.Errorf("sequence %d sampled %v, alone %v", i, want, alone.sampled)
		}
	}
	if slices.Sort(prompts); len(slices.Compact(prompts)) != n {
		t.Error("two sequences have the same prompt")
	}
}

// Windows count the tokens of all sequences and do what the row does.
func TestBatchWindow(t *testing.T) {
	c := serve(t)
	open(t, c)
	hash := ask(t, c, batch(3)).Row.TokenHash
	for phase, tokens := range map[string][]int{"prefill": {3 * 32, 3 * 31}, "decode": {3 * 8}} {
		w := ask(t, c, wire.Request{Window: &wire.Window{Row: *batch(3).Row, Phase: phase, RampMs: 1, WindowMs: 20}}).Window
		if w == nil {
			t.Fatalf("no %s window", phase)
		}
		for i, n := range w.Tokens {
			if !slices.Contains(tokens, n) {
				t.Errorf("repetition %d of %s evaluated %d tokens, want one of %v", i, phase, n, tokens)
			}
		}
		if phase == "decode" && w.TokenHash != hash {
			t.Errorf("the window sampled %s, the row %s", w.TokenHash, hash)
		}
		if len(w.References) < 4 || slices.Min(w.References) <= 0 {
			t.Errorf("%s: rates of rows around the window %v", phase, w.References)
		}
	}
}
