package analyze

import (
	"fmt"
	"maps"
	"slices"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// CacheTypes is one scenario of a configuration with caches of several types.
type CacheTypes struct {
	Key     // of the first
	Points  []CachePoint
	ByTotal bool // prices have energy in them, as all points have it
}

// CachePoint is a group as one of several types of its cache. What is set beside
// F16 is nil for F16 itself, and where F16 was not measured.
type CachePoint struct {
	*Group
	PerTok *int64 // bytes of a position of one sequence, by formula; nil where there is none
	Bytes  *int64 // payload of all sequences at the end of the cell, as the engine holds it
	// TimesF16 is PerTok over that of F16, or Bytes over F16's where there is no
	// formula.
	TimesF16 *float64

	Prefill16, Decode16 *stats.Ratio // how many times as fast as F16; nil when rows are too few for an interval

	Cost     *Cost    // nil without a price
	USDPerM  *float64 // of the blend, by what CacheTypes.ByTotal says
	TimesUSD *float64 // USDPerM over that of F16

	Longest   *int64 // tokens of the longest context of each sequence on the device; see Crossover
	LimitedBy string

	Even *EvenPoint
}

// EvenPoint is the number of positions from which on a type decodes as fast as F16
// or faster, where it is slower before.
type EvenPoint struct {
	Tokens   int64
	Measured bool // both were measured at so many positions, on either side
	To       int  // positions that both were measured to
}

// f16 reports whether a group's cache is of the plain type.
func (g *Group) f16() bool { return g.KVTypeK == "f16" && g.KVTypeV == "f16" }

// CacheStudies returns the scenarios that were measured with more than one type
// of cache, in order of the groups; F16 comes first in each.
func (a *Analysis) CacheStudies() ([]CacheTypes, error) {
	var out []CacheTypes
	at := map[Key]int{}
	for _, g := range a.Groups {
		if g.DecodeMode == "uncached" || g.KVTypeK == "" {
			continue
		}
		k := g.Key
		k.KVTypeK, k.KVTypeV = "", ""
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, CacheTypes{Key: g.Key})
		}
		out[i].Points = append(out[i].Points, CachePoint{Group: g, Cost: a.shownCost(g)})
	}
	out = slices.DeleteFunc(out, func(s CacheTypes) bool { return len(s.Points) < 2 })
	for i := range out {
		slices.SortStableFunc(out[i].Points, func(x, y CachePoint) int {
			switch {
			case x.f16() == y.f16():
				return 0
			case x.f16():
				return -1
			}
			return 1
		})
		if err := a.compareCaches(&out[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", out[i].Key, err)
		}
	}
	return out, nil
}

// compareCaches fills in what the points of a study take, and sets them beside F16.
func (a *Analysis) compareCaches(s *CacheTypes) error {
	priced := !slices.ContainsFunc(s.Points, func(p CachePoint) bool { return p.Cost == nil })
	s.ByTotal = priced && !slices.ContainsFunc(s.Points, func(p CachePoint) bool { return !p.Cost.Blend.Complete() })
	model := a.Models[slices.IndexFunc(a.Models, func(m *Model) bool { return m.Name == s.Model })]
	for i := range s.Points {
		p := &s.Points[i]
		p.Bytes = p.Rows[0].KVUsedBytes
		if priced {
			usd := p.Cost.blendUSD(s.ByTotal)
			p.USDPerM = &usd
		}
		if model.Info == nil {
			continue
		}
		per, noFormula := kvPerToken(model.Info, p.KVTypeK, p.KVTypeV) // kvRows has warned of it
		if noFormula != nil {
			continue
		}
		p.PerTok = &per
		if plain, err := kvPerToken(model.Info, "f16", "f16"); err == nil {
			p.TimesF16 = quotient(&per, &plain)
		}
		longest, by, err := a.longest(model, p.Device, per, p.Batch)
		if err != nil {
			return err
		}
		p.Longest, p.LimitedBy = longest, string(by)
	}
	base := &s.Points[0]
	if !base.f16() {
		return nil
	}
	for i := range s.Points[1:] {
		p := &s.Points[1+i]
		if p.TimesF16 == nil {
			p.TimesF16 = quotient(p.Bytes, base.Bytes)
		}
		p.Prefill16 = groupRatio(base.Group, p.Group, func(r *record.Record) float64 { return *r.PrefillMs / float64(r.PromptTokens) })
		p.Decode16 = groupRatio(base.Group, p.Group, decodeMsPerTok)
		p.TimesUSD = over(p.USDPerM, base.USDPerM)
		p.Even = a.evenPoint(p.ConfigKey, base.ConfigKey, model)
	}
	return nil
}

func quotient(x, y *int64) *float64 {
	if x == nil || y == nil || *y == 0 {
		return nil
	}
	v := float64(*x) / float64(*y)
	return &v
}

// asFast is the least ratio of speeds that counts as no slower.
const asFast = 0.95

// Pays says what a type is good for beside F16: "yes" for one that takes less
// memory and whose whole interval of decode is no slower, "unclear" where that is
// too wide to tell; nil for F16 and where it is not known.
func (p *CachePoint) Pays() any {
	if p.Decode16 == nil || p.TimesF16 == nil {
		return nil
	}
	smaller, ci := *p.TimesF16 < 1, p.Decode16.CI
	switch {
	case smaller && ci.Lo >= asFast:
		return "yes"
	case smaller && ci.Hi < 1:
		return "for memory only"
	case smaller:
		return "unclear"
	case ci.Lo > 1:
		return "for speed only"
	}
	return "no"
}

// stepLine is the time of a decode step, in ms, by the positions before it.
type stepLine struct{ interceptMs, slopeMs float64 }

// stepLines fits a line to the steps of each round of a configuration, all
// scenarios together, without those that capture a graph. The positions are those
// that all of them lie between.
func (a *Analysis) stepLines(k ConfigKey) (lines []stepLine, from, to int) {
	at := map[round][2][]float64{}
	for _, g := range a.Groups {
		if g.ConfigKey != k {
			continue
		}
		for _, r := range g.Rows {
			key := round{r.Launch, r.Rep}
			xy := at[key]
			for i, capture := range captureSteps(r.PromptTokens, len(r.StepMs)) {
				if capture {
					continue
				}
				n := r.PromptTokens + i
				xy[0], xy[1] = append(xy[0], float64(n)), append(xy[1], r.StepMs[i])
				if to = max(to, n); from == 0 || n < from {
					from = n
				}
			}
			at[key] = xy
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(at), compareRounds) {
		if b, m, ok := stats.Line(at[key][0], at[key][1]); ok {
			lines = append(lines, stepLine{b, m})
		}
	}
	return lines, from, to
}

// evenPoint finds where the step times of a type meet those of F16; nil unless the
// type starts out slower and its steps grow by less for each position, beyond the
// noise of the rounds, and the model has positions for it.
func (a *Analysis) evenPoint(k, base ConfigKey, m *Model) *EvenPoint {
	lines, from, to := a.stepLines(k)
	plain, plainFrom, plainTo := a.stepLines(base)
	of := func(lines []stepLine, pick func(stepLine) float64) (stats.Moments, error) {
		var x []float64
		for _, l := range lines {
			x = append(x, pick(l))
		}
		return stats.MomentsOf(x)
	}
	intercept := func(l stepLine) float64 { return l.interceptMs }
	slope := func(l stepLine) float64 { return l.slopeMs }
	b0, err0 := of(plain, slope)
	b1, err1 := of(lines, slope)
	if err0 != nil || err1 != nil {
		return nil
	}
	test, err := stats.Welch(b0, b1)
	if err != nil || test.Diff <= 0 || test.P >= 1-Confidence {
		return nil
	}
	a0, _ := of(plain, intercept)
	a1, _ := of(lines, intercept)
	n := (a1.Mean - a0.Mean) / test.Diff
	if n <= 0 || m.Info == nil || n > float64(m.Info.CtxTrain) {
		return nil
	}
	e := &EvenPoint{Tokens: int64(n + 0.5), To: min(to, plainTo)}
	e.Measured = n >= float64(max(from, plainFrom)) && n <= float64(e.To)
	return e
}

// cacheTypeTables set caches of several types beside each other.
func cacheTypeTables() []definition {
	return []definition{{
		name: studies + "kv_types", title: "Types of the KV cache: memory, speed, energy and cost beside f16", needs: "a scenario measured with more than one type of cache",
		columns: []Column{
			col("model", "model", ""), col("backend", "backend", ""), col("batch", "batch", ""), col("scenario", "scenario", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", ""),
			col("kv_bytes_per_tok", "a token", "B"), col("kv_used_bytes", "cell", "B"), {Name: "times_f16_bytes", Title: "× f16", Digits: 3},
			col("prefill_tok_s", "prefill", "tok/s"), {Name: "prefill_vs_f16", Title: "× f16", Digits: 3}, {Name: "prefill_vs_f16_lo", Title: "from", Digits: 3}, {Name: "prefill_vs_f16_hi", Title: "to", Digits: 3},
			col("decode_tok_s", "decode", "tok/s"), {Name: "decode_vs_f16", Title: "× f16", Digits: 3}, {Name: "decode_vs_f16_lo", Title: "from", Digits: 3}, {Name: "decode_vs_f16_hi", Title: "to", Digits: 3},
			col("decode_j_per_tok", "decode", "J/tok"), blank("price", "price"), blank("total_is", "total is"), col("blend_usd_per_m", "blend", "$/1M"), {Name: "times_f16_usd", Title: "× f16", Digits: 3},
			col("longest_tokens", "longest context that fits", "tokens"), blank("limit", "ended by"),
			blank("even_tokens", "as fast as f16 from"), blank("even_is", "which is"), blank("pays", "pays"),
		},
		fill: fillCacheTypes,
		notes: []string{
			"A token: bytes of one position of one sequence by the formula for blocks; cell: what the engine held at the end, all sequences. × f16: of bytes and $, that of the type over that of f16; of prefill and decode, how many times as fast as f16, with its 95 % interval.",
			fmt.Sprintf("As fast as f16 from: where straight lines through the times of the single steps meet, when the type's is higher at first and rises less, both beyond noise (p < 0.05 over the rounds). Pays: less memory, and the whole interval of decode at %g or more of f16's speed; for memory only: less memory, but slower; unclear: the interval is too wide to tell. What a type does to the text is not in these figures.", asFast),
		},
	}}
}

func fillCacheTypes(a *Analysis, t *Table) error {
	all, err := a.CacheStudies()
	if err != nil {
		return err
	}
	for _, s := range all {
		for _, p := range s.Points {
			var price, is, limit, even, evenIs any
			if p.USDPerM != nil {
				price, is = p.Cost.Label(), "infra only"
				if s.ByTotal {
					is = totalIs(p.Cost.Blend, p.Prefill, p.Decode)
				}
			}
			if p.Longest != nil {
				limit = p.LimitedBy
			}
			if p.Even != nil {
				even, evenIs = p.Even.Tokens, "measured"
				if !p.Even.Measured {
					evenIs = fmt.Sprintf("extrapolated, measured to %d", p.Even.To)
				}
			}
			cells := []any{p.Model, p.Backend, p.Batch, p.Scenario, p.KVTypeK, p.KVTypeV, p.PerTok, p.Bytes, p.TimesF16, p.Prefill.TokPerS()}
			cells = append(append(cells, ratioCells(p.Prefill16)...), p.Decode.TokPerS())
			cells = append(append(cells, ratioCells(p.Decode16)...), p.Decode.JPerTok(), price, is, p.USDPerM, p.TimesUSD, p.Longest, limit, even, evenIs, p.Pays())
			t.Add(cells...)
		}
	}
	return nil
}
