package analyze

import (
	"github.com/phasebench/phasebench/internal/stats"
)

// Uncached sets a cell that re-evaluates the whole sequence at every decode
// step beside the one that does the same work with the KV cache.
type Uncached struct {
	Cached, Plain *Group
	Tokens        int // longest context, prompt + generated

	// Time of a decoded token without the cache over that with it; the same
	// ratio holds for the machine's cost. CI is nil with too few rows.
	Ratio float64
	CI    *stats.Range
	// Growth is Ratio over that of the shortest context of the same model,
	// backend and cache type.
	Growth float64
}

// uncached finds the pairs, in order of the groups.
func (a *Analysis) uncached() []Uncached {
	type work struct {
		ConfigKey
		prompt, gen int
	}
	cached := map[work]*Group{}
	for _, g := range a.Groups {
		if g.DecodeMode != "uncached" {
			k := g.ConfigKey
			k.DecodeMode = ""
			cached[work{k, g.PromptTokens, g.GenTokens}] = g
		}
	}
	var out []Uncached
	shortest := map[ConfigKey]Uncached{}
	for _, g := range a.Groups {
		k := g.ConfigKey
		k.DecodeMode = ""
		with := cached[work{k, g.PromptTokens, g.GenTokens}]
		if g.DecodeMode != "uncached" || with == nil {
			continue
		}
		u := Uncached{Cached: with, Plain: g, Tokens: g.PromptTokens + g.GenTokens, Ratio: g.Decode.SPerTok.Value / with.Decode.SPerTok.Value}
		if r := groupRatio(g, with, decodeMsPerTok); r != nil {
			u.CI = &r.CI
		}
		if s, seen := shortest[k]; !seen || u.Tokens < s.Tokens {
			shortest[k] = u
		}
		out = append(out, u)
	}
	for i := range out {
		k := out[i].Cached.ConfigKey
		k.DecodeMode = ""
		out[i].Growth = out[i].Ratio / shortest[k].Ratio
	}
	return out
}

func uncachedTables() []definition {
	return []definition{{
		name: studies + "uncached", title: "Decode without the KV cache", needs: "scenarios with decode: uncached beside cached ones of the same size",
		columns: []Column{col("model", "model", ""), col("backend", "backend", ""), blank("variant", "variant"), col("context_tokens", "context", "tokens"),
			col("cached_tok_s", "cached", "tok/s"), col("uncached_tok_s", "uncached", "tok/s"),
			col("cost_ratio", "uncached/cached cost", "×"), col("ci_lo", "lo", ""), col("ci_hi", "hi", ""), col("growth", "over the shortest", "×")},
		fill: func(a *Analysis, t *Table) error {
			for _, u := range a.Uncached {
				var lo, hi any
				if u.CI != nil {
					lo, hi = u.CI.Lo, u.CI.Hi
				}
				t.Add(u.Cached.Model, u.Cached.Backend, u.Cached.Variant(), u.Tokens, u.Cached.Decode.TokPerS(), u.Plain.Decode.TokPerS(), u.Ratio, lo, hi, u.Growth)
			}
			return nil
		},
	}}
}
