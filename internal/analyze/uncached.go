package analyze

import (
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Uncached sets a cell that re-evaluates the whole sequence at every decode
// step beside one that does the same work with the KV cache.
type Uncached struct {
	Plain, Cached *Group
	Tokens        int // longest context, prompt + generated

	// Seconds a decoded token, over the rows, for the tokens that both decode:
	// where the cached cell goes on for longer, its first steps count.
	PlainSPerTok, CachedSPerTok float64
	// Ratio of the two; the same holds for the machine's cost. CI is nil with
	// too few rows.
	Ratio float64
	CI    *stats.Range
	// Growth is Ratio over that of the shortest context of the same model,
	// backend and cache type; nil for that one.
	Growth *float64
	// GrowthPer1k is what Ratio gains per 1,000 tokens of context from the
	// shortest to this one; nil with Growth.
	GrowthPer1k *float64
	Shortest    int // tokens of the shortest context
}

// uncached finds the pairs, in order of the groups.
func (a *Analysis) uncached() []Uncached {
	var out []Uncached
	shortest := map[ConfigKey]*Uncached{}
	for _, g := range a.Groups {
		if g.DecodeMode != "uncached" {
			continue
		}
		with := a.cachedTwin(g)
		if with == nil {
			continue
		}
		n := g.GenTokens
		first := func(r *record.Record) float64 { return firstStepsMs(r, n) / float64(n) }
		u := Uncached{Plain: g, Cached: with, Tokens: g.PromptTokens + n, PlainSPerTok: meanOf(g, first) / 1000, CachedSPerTok: meanOf(with, first) / 1000}
		u.Ratio = u.PlainSPerTok / u.CachedSPerTok
		if r := groupRatio(g, with, first); r != nil {
			u.CI = &r.CI
		}
		out = append(out, u)
	}
	for i := range out {
		u := &out[i]
		if s := shortest[u.Plain.ConfigKey]; s == nil || u.Tokens < s.Tokens {
			shortest[u.Plain.ConfigKey] = u
		}
	}
	for i := range out {
		u := &out[i]
		s := shortest[u.Plain.ConfigKey]
		if u.Shortest = s.Tokens; s.Tokens < u.Tokens {
			growth := u.Ratio / s.Ratio
			slope := 1000 * (u.Ratio - s.Ratio) / float64(u.Tokens-s.Tokens)
			u.Growth, u.GrowthPer1k = &growth, &slope
		}
	}
	return out
}

// cachedTwin returns the cached cell that starts with the work of g: the same
// prompt length and at least as many steps, the fewest of those; nil when there
// is none.
func (a *Analysis) cachedTwin(g *Group) *Group {
	var twin *Group
	for _, c := range a.Groups {
		kc, kg := c.ConfigKey, g.ConfigKey
		kc.DecodeMode, kg.DecodeMode = "", ""
		fits := c.DecodeMode != "uncached" && kc == kg && c.PromptTokens == g.PromptTokens && c.GenTokens >= g.GenTokens
		for _, r := range c.Rows {
			fits = fits && (r.GenTokens == g.GenTokens || len(r.StepMs) >= g.GenTokens)
		}
		if fits && (twin == nil || c.GenTokens < twin.GenTokens) {
			twin = c
		}
	}
	return twin
}

// firstStepsMs returns the time of a row's first n decode steps.
func firstStepsMs(r *record.Record, n int) float64 {
	if r.GenTokens == n {
		return *r.DecodeMs
	}
	ms := 0.0
	for _, step := range r.StepMs[:n] {
		ms += step
	}
	return ms
}

func meanOf(g *Group, of func(*record.Record) float64) float64 {
	total := 0.0
	for _, r := range g.Rows {
		total += of(r)
	}
	return total / float64(len(g.Rows))
}

func uncachedTables() []definition {
	return []definition{{
		name: studies + "uncached", title: "Decode without the KV cache", needs: "scenarios with decode: uncached beside cached ones of the same prompt",
		columns: []Column{
			col("model", "model", ""), col("backend", "backend", ""), blank("variant", "variant"), col("context_tokens", "context", "tokens"),
			col("cached_tok_s", "cached", "tok/s"), col("uncached_tok_s", "uncached", "tok/s"),
			col("cost_ratio", "uncached/cached cost", "×"), col("ci95_lo", "lo", ""), col("ci95_hi", "hi", ""), blank("growth", "× the shortest context"),
			Column{Name: "growth_per_1k", Title: "growth", Unit: "× per 1,000 tokens", Blank: true},
		},
		fill: func(a *Analysis, t *Table) error {
			for _, u := range a.Uncached {
				lo, hi := bounds(u.CI)
				batch := float64(u.Cached.Batch)
				t.Add(u.Cached.Model, u.Cached.Backend, u.Cached.Variant(), u.Tokens, batch/u.CachedSPerTok, batch/u.PlainSPerTok, u.Ratio, lo, hi, u.Growth, u.GrowthPer1k)
			}
			return nil
		},
		notes: []string{"Both sides over the tokens that the uncached cell decodes; where the cached one goes on for longer, its first steps. Growth is of the cost ratio, against the shortest context of the same model, backend and cache."},
	}}
}
