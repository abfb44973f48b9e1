package analyze

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/record"
)

// qualityLimitsPct are the losses of perplexity that the cheapest configuration
// is chosen under, in percent: hardly to be measured, hardly to be noticed, and
// as much as a smaller model may cost.
var qualityLimitsPct = []float64{0.1, 1, 5}

// Priced is a group beside how well its model and cache predict the text.
type Priced struct {
	*Group
	Quality    record.QualityRecord
	Perplexity quality.Estimate
	// LossPct is how far the perplexity lies above that of the reference, in
	// percent; 0 for what others are held against; nil when it was held against
	// nothing.
	LossPct *float64
	USDPerM float64 // of the blend, by what Scored.ByTotal says
	Cost    *Cost

	OnFront  bool   // no other is both cheaper and better
	Cheapest []bool // of those within each of qualityLimitsPct
}

// Scored is the priced groups of one scenario whose perplexities can be compared:
// the same tokens, cut alike.
type Scored struct {
	Scenario string
	Text     string
	ByTotal  bool // prices have energy in them, as all groups have it
	// Ranked is false where weights are random: no choice follows from them.
	Ranked bool
	Groups []Priced
}

// sameText is what perplexities share that can be compared.
type sameText struct {
	vocabulary, tokens string
	nCtx, chunks       int
}

func sameTextOf(q *record.QualityRecord) sameText {
	return sameText{q.Vocabulary, q.TokenHash, q.NCtx, q.Chunks}
}

// QualityStudies returns the groups that have a price and were scored, by
// scenario and text, in order of the groups.
func (a *Analysis) QualityStudies() []Scored {
	type key struct {
		scenario string
		sameText
	}
	var out []Scored
	at := map[key]int{}
	for _, g := range a.Groups {
		q, cost := a.qualityOf(g), a.shownCost(g)
		if q == nil || cost == nil || g.DecodeMode == "uncached" {
			continue
		}
		k := key{g.Scenario, sameTextOf(q)}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Scored{Scenario: g.Scenario, Text: q.Text, Ranked: true})
		}
		out[i].Ranked = out[i].Ranked && !q.Synthetic
		out[i].Groups = append(out[i].Groups, Priced{Group: g, Quality: *q, Cost: cost, Perplexity: q.Tally.Perplexity(), LossPct: a.loss(q)})
	}
	for i := range out {
		out[i].choose()
	}
	return out
}

// qualityOf returns what was found for the model and cache of a group on its kind
// of device; nil for nothing.
func (a *Analysis) qualityOf(g *Group) *record.QualityRecord {
	i := slices.IndexFunc(a.Quality, func(q record.QualityRecord) bool {
		return q.Status == record.StatusOK && q.Model == g.Model && q.DeviceKind == g.DeviceKind && q.KVTypeK == g.KVTypeK && q.KVTypeV == g.KVTypeV &&
			q.Pool == g.Rows[0].Pool
	})
	if i < 0 {
		return nil
	}
	return &a.Quality[i]
}

// loss returns Priced.LossPct.
func (a *Analysis) loss(q *record.QualityRecord) *float64 {
	if v := q.Tally.Versus(); v != nil {
		pct := 100 * (v.Ratio.Value - 1)
		return &pct
	}
	if slices.ContainsFunc(a.Quality, func(other record.QualityRecord) bool {
		r := other.Reference
		return other.Status == record.StatusOK && r != nil && r.Model == q.Model && r.KVTypeK == q.KVTypeK && r.KVTypeV == q.KVTypeV && other.DeviceKind == q.DeviceKind
	}) {
		return new(float64)
	}
	return nil
}

// choose prices the groups and marks the front and the cheapest.
func (s *Scored) choose() {
	s.ByTotal = !slices.ContainsFunc(s.Groups, func(p Priced) bool { return !p.Cost.Blend.Complete() })
	for i := range s.Groups {
		p := &s.Groups[i]
		p.USDPerM = p.Cost.blendUSD(s.ByTotal)
	}
	for i := range s.Groups {
		p := &s.Groups[i]
		p.Cheapest = make([]bool, len(qualityLimitsPct))
		if !s.Ranked {
			continue
		}
		p.OnFront = !slices.ContainsFunc(s.Groups, func(other Priced) bool { return other.beats(p) })
		for j, limit := range qualityLimitsPct {
			p.Cheapest[j] = p.within(limit) && !slices.ContainsFunc(s.Groups, func(other Priced) bool {
				return other.within(limit) && other.USDPerM < p.USDPerM
			})
		}
	}
}

// beats reports whether p is no worse in either and better in one.
func (p *Priced) beats(other *Priced) bool {
	usd, ppl := other.USDPerM, other.Perplexity.Value
	return p.USDPerM <= usd && p.Perplexity.Value <= ppl && (p.USDPerM < usd || p.Perplexity.Value < ppl)
}

func (p *Priced) within(limitPct float64) bool { return p.LossPct != nil && *p.LossPct <= limitPct }

// qualityTables say what a cheaper cache or smaller weights cost in quality.
func qualityTables() []definition {
	const needs = "the quality block of a matrix, whose text models are scored on after the rows"
	within := func(limit float64) Column {
		return Column{Name: fmt.Sprintf("cheapest_within_%g_pct", limit), Title: fmt.Sprintf("cheapest within %g %%", limit), Blank: true}
	}
	name := []Column{col("model", "model", ""), col("backend", "backend", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", "")}
	priced := append(slices.Clone(name), col("scenario", "scenario", ""), col("batch", "batch", ""), col("price", "price", ""), col("total_is", "total is", ""),
		col("blend_usd_per_m", "blend", "$/1M"), Column{Name: "ppl", Title: "perplexity", Digits: 6}, Column{Name: "delta_ppl_pct", Title: "above the reference", Unit: "%", Digits: 3, Blank: true},
		blank("pareto", "on the front"))
	for _, limit := range qualityLimitsPct {
		priced = append(priced, within(limit))
	}
	estimate := func(of Column) []Column {
		from, to := of, of
		from.Name, from.Title = of.Name+"_from", "from"
		to.Name, to.Title = of.Name+"_to", "to"
		return []Column{of, from, to}
	}
	return []definition{
		{
			name: studies + "quality", title: "How well the models predict a text, and what caches and weights lose", needs: needs,
			columns: slices.Concat(name, []Column{blank("file_type", "weights"), col("text", "text", ""), col("n_ctx", "chunk", "tokens"), col("chunks", "chunks", ""), col("tokens_scored", "tokens scored", "")},
				estimate(Column{Name: "ppl", Title: "perplexity", Digits: 6}),
				[]Column{blank("reference", "reference")},
				estimate(Column{Name: "delta_ppl_pct", Title: "above it", Unit: "%", Digits: 3, Blank: true}),
				estimate(Column{Name: "delta_ppl", Blank: true, Hidden: true}),
				estimate(Column{Name: "kl_nats", Title: "KL divergence", Unit: "nats", Digits: 3, Blank: true}),
				estimate(Column{Name: "top1_pct", Title: "same top token", Unit: "%", Digits: 4, Blank: true}),
				[]Column{blank("why_not", "why not"), {Name: syntheticColumn, Title: "synthetic", Blank: true}}),
			fill:  fillQuality,
			notes: []string{"By the method of llama.cpp's perplexity tool: chunks that do not overlap, of which the second half is scored. From, to: the 95 % interval, with tokens taken as independent; those of the difference are over pairs, as model and reference see the same tokens. KL divergence: of the model from the reference, a token. Same top token: share of tokens for which both have the same most likely one."},
		},
		{
			name: studies + "quality_cost", title: "What a million tokens cost at which quality", needs: needs + ", and a price",
			columns: priced,
			fill:    fillQualityCost,
			notes:   []string{"Only perplexities over the same tokens are held against each other. On the front: no other of the scenario is both cheaper and better. Cheapest within a limit: of those whose perplexity lies at most so far above their reference's. Random weights are never ranked."},
		},
	}
}

func fillQuality(a *Analysis, t *Table) error {
	cells := func(e quality.Estimate, scale, less float64) []any {
		return []any{scale * (e.Value - less), scale * (e.Low - less), scale * (e.High - less)}
	}
	for i := range a.Quality {
		q := &a.Quality[i]
		row := []any{q.Model, q.Backend, q.KVTypeK, q.KVTypeV, q.FileType, q.Text, q.NCtx}
		if q.Status != record.StatusOK {
			row = append(row, make([]any, len(t.Columns)-len(row)-2)...)
			why := q.Reason
			if q.Error != nil {
				why = q.Error.Message
			}
			t.Add(append(row, why, q.Synthetic)...)
			continue
		}
		row = append(append(row, q.Chunks, q.Tally.NLL.N), cells(q.Tally.Perplexity(), 1, 0)...)
		if v := q.Tally.Versus(); v != nil && q.Reference != nil {
			r := q.Reference
			row = append(row, fmt.Sprintf("%s, K %s, V %s", r.Model, r.KVTypeK, r.KVTypeV))
			row = slices.Concat(row, cells(v.Ratio, 100, 1), cells(v.Delta, 1, 0), cells(v.KL, 1, 0), cells(v.SameTop, 100, 0))
		} else {
			row = append(row, make([]any, 13)...)
		}
		t.Add(append(row, nil, q.Synthetic)...)
	}
	return nil
}

func fillQualityCost(a *Analysis, t *Table) error {
	yes := func(is bool) any {
		if is {
			return "yes"
		}
		return nil
	}
	for _, s := range a.QualityStudies() {
		for _, p := range s.Groups {
			is := "infra only"
			if s.ByTotal {
				is = totalIs(p.Cost.Blend, p.Prefill, p.Decode)
			}
			row := []any{p.Model, p.Backend, p.KVTypeK, p.KVTypeV, p.Scenario, p.Batch, p.Cost.Label(), is, p.USDPerM, p.Perplexity.Value, p.LossPct, yes(p.OnFront)}
			for _, cheapest := range p.Cheapest {
				row = append(row, yes(cheapest))
			}
			t.Add(row...)
		}
	}
	return nil
}
