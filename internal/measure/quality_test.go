package measure

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

const chunkTokens = 32

// scored returns a question about a text of some chunks.
func scored(t *testing.T) wire.Quality {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text.txt")
	text := strings.Repeat("The bakery by the bridge opens early, and the first loaves are gone before the lamps are out. ", 8)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return wire.Quality{
		Engine: wire.Engine{Device: "cpu", Threads: 1, FlashAttn: "auto", Mmap: true},
		Model:  wire.Scored{Path: model, TypeK: "f16", TypeV: "f16"},
		Text:   wire.QualityText{Path: path, NCtx: chunkTokens, AllowSynthetic: true},
	}
}

func tallyOf(t *testing.T, c *wire.Client, q wire.Quality) *wire.QualityReply {
	t.Helper()
	r := ask(t, c, wire.Request{Quality: &q})
	if r.Quality == nil {
		t.Fatalf("%+v: %+v", q, r.Error)
	}
	return r.Quality
}

// A chunk is what feeding its tokens one by one gives, and each token of the
// second half is scored by the logits before it.
func TestQualityAgainstForcedDecoding(t *testing.T) {
	q := scored(t)
	q.Chunk = 1
	got := tallyOf(t, serve(t), q)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := llama.Init(); err != nil {
		t.Fatal(err)
	}
	e := q.Engine
	e.Argmax = "host"
	s, _, err := Open(wire.Open{ModelPath: model, Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := os.ReadFile(q.Text.Path)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := s.model.Tokenize(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Tokens != len(tokens) || got.Chunks != len(tokens)/chunkTokens || got.Chunks < 3 {
		t.Errorf("%d tokens in %d chunks, want %d tokens", got.Tokens, got.Chunks, len(tokens))
	}
	chunk := tokens[chunkTokens : 2*chunkTokens]
	var want quality.Moments
	at := chunkTokens / 2
	err = s.Forced(wire.ContextSpec{NCtx: chunkTokens, Batch: 1, TypeK: "f16", TypeV: "f16"}, chunk[:at+1], chunk[at+1:chunkTokens-1], func(logits []float32) error {
		at++
		sum := 0.0
		for _, v := range logits {
			sum += math.Exp(float64(v - logits[chunk[at]]))
		}
		want.Add(math.Log(sum))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Tally.NLL; n.N != want.N || n.N != chunkTokens/2-1 || math.Abs(n.Mean-want.Mean) > 1e-3 || math.Abs(n.SE()-want.SE()) > 1e-3 {
		t.Errorf("%d tokens of mean %v ± %v, one by one %d of %v ± %v", n.N, n.Mean, n.SE(), want.N, want.Mean, want.SE())
	}
}

// In how many calls a chunk is evaluated is no matter, and a model is no way from
// itself.
func TestQualityInParts(t *testing.T) {
	c := serve(t)
	q := scored(t)
	whole := tallyOf(t, c, q)
	q.Engine.NBatch, q.Engine.NUbatch = 7, 7
	parts := tallyOf(t, c, q)
	if w, p := whole.Tally.NLL, parts.Tally.NLL; w.N != p.N || math.Abs(w.Mean-p.Mean) > 1e-3 || math.Abs(w.M2-p.M2) > 1e-2 {
		t.Errorf("in one call %+v, in parts of 7 tokens %+v", w, p)
	}
	q.Reference = &q.Model
	self := tallyOf(t, c, q)
	if v := self.Tally.Versus(); v == nil || v.KL.Value != 0 || v.SameTop.Value != 1 || v.Ratio.Value != 1 || self.Tally.NLL != parts.Tally.NLL {
		t.Errorf("against itself: %+v", v)
	}
	q.Model.TypeK, q.Model.TypeV = "q4_0", "q4_0"
	q.Reference = &wire.Scored{Path: model, TypeK: "f16", TypeV: "f16"}
	lossy := tallyOf(t, c, q)
	if v := lossy.Tally.Versus(); !(v.KL.Value > 0 && v.KL.Value < 1) || lossy.Tally.Reference.NLL != parts.Tally.NLL {
		t.Errorf("a q4_0 cache: %+v", v)
	}
}

func TestQualityRefusals(t *testing.T) {
	c := serve(t)
	for name, change := range map[string]func(q *wire.Quality){
		"synthetic weights":   func(q *wire.Quality) { q.Text.AllowSynthetic = false },
		"cannot be read":      func(q *wire.Quality) { q.Text.Path = "none.txt" },
		"at least 8":          func(q *wire.Quality) { q.Text.NCtx = 3 },
		"less than one chunk": func(q *wire.Quality) { q.Text.NCtx = 2048 },
		"has positions for":   func(q *wire.Quality) { q.Text.NCtx = 1 << 20 },
		"chunk 99 of":         func(q *wire.Quality) { q.Chunk = 99 },
	} {
		q := scored(t)
		change(&q)
		r := ask(t, c, wire.Request{Quality: &q})
		if r.Error == nil || r.Error.Kind != "input" || !strings.Contains(r.Error.Message, name) {
			t.Errorf("%s: %+v", name, r.Error)
		}
	}
	if r := tallyOf(t, c, scored(t)); r.Tally.NLL.N == 0 {
		t.Errorf("the worker does not go on: %+v", r)
	}
}
