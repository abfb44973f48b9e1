package analyze

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/econ"
)

// kneeTolerance is how far the price at the knee may be from the best.
const kneeTolerance = 0.10

// tpotLimitsMs are the times per output token that operating points are chosen
// under: from a quick reader's to a patient one's.
var tpotLimitsMs = []float64{10, 20, 50, 100}

// Batches is one scenario of a configuration at several batch sizes.
type Batches struct {
	Key     // of the smallest batch
	Points  []OperatingPoint
	ByTotal bool // prices have energy in them, as all points have it
	// What to choose of the points; nil when they have no price.
	Knee  *econ.OperatingPoint
	Front []econ.OperatingPoint
}

// OperatingPoint is a group as one of several batch sizes.
type OperatingPoint struct {
	Roofline
	Cost    *Cost    // nil without a price
	USDPerM *float64 // of the blend, by what Batches.ByTotal says
	// TPOTMs is the 95th percentile of the time of a step, the mean where steps
	// were not timed.
	TPOTMs    float64
	DecodeMFU *float64 // share of the device's matmul rate in decode; nil when not known
	OnFront   bool     // no other batch is both cheaper and quicker
}

// BatchStudies returns the scenarios that were measured at more than one batch
// size, in order of the groups.
func (a *Analysis) BatchStudies() ([]Batches, error) {
	var out []Batches
	at := map[Key]int{}
	for _, g := range a.Groups {
		if g.DecodeMode == "uncached" {
			continue
		}
		k := g.Key
		k.Batch = 1
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Batches{Key: g.Key})
		}
		p, err := a.operatingPoint(g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.Key, err)
		}
		out[i].Points = append(out[i].Points, p)
	}
	out = slices.DeleteFunc(out, func(b Batches) bool { return len(b.Points) < 2 })
	for i := range out {
		if err := out[i].choose(); err != nil {
			return nil, fmt.Errorf("%s: %w", out[i].Key, err)
		}
	}
	return out, nil
}

func (a *Analysis) operatingPoint(g *Group) (OperatingPoint, error) {
	p := OperatingPoint{Roofline: Roofline{Group: g}, TPOTMs: 1000 * g.Decode.SPerTok.Value * float64(g.Batch)}
	if g.TPOTMs != nil {
		p.TPOTMs = g.TPOTMs.P95
	}
	p.Cost = a.shownCost(g)
	i := slices.IndexFunc(a.Rooflines, func(r Roofline) bool { return r.Group == g })
	if i < 0 {
		return p, nil
	}
	p.Roofline = a.Rooflines[i]
	info := a.info(g.Model)
	if info == nil || !dense(info) {
		return p, nil
	}
	flops, err := econ.DecodeFLOPsPerTok(denseShape(info), g.PromptTokens, g.GenTokens)
	if err != nil {
		return p, err
	}
	p.DecodeMFU, err = share(&flops, g.Decode.SPerTok.Value, p.Ceiling.MatmulFlopsPerS, econ.MFU)
	return p, err
}

// shownCost returns what a group costs at the price of the first ranking; nil
// without one.
func (a *Analysis) shownCost(g *Group) *Cost {
	own := len(a.Rankings) > 0 && a.Rankings[0].Own
	if i := slices.IndexFunc(g.Costs, func(x Cost) bool { return x.Own == own }); i >= 0 {
		return &g.Costs[i]
	}
	return nil
}

// blendUSD is the price of the blend, with its energy or without.
func (c *Cost) blendUSD(byTotal bool) float64 {
	if byTotal {
		return c.Blend.TotalUSD()
	}
	return c.Blend.InfraUSD
}

// choose finds the knee and the front of points that all have a price.
func (b *Batches) choose() error {
	if slices.ContainsFunc(b.Points, func(p OperatingPoint) bool { return p.Cost == nil }) {
		return nil
	}
	b.ByTotal = !slices.ContainsFunc(b.Points, func(p OperatingPoint) bool { return !p.Cost.Blend.Complete() })
	for i := range b.Points {
		p := &b.Points[i]
		usd := p.Cost.blendUSD(b.ByTotal)
		p.USDPerM = &usd
	}
	points := b.econ()
	knee, err := econ.Knee(points, kneeTolerance)
	if err != nil {
		return err
	}
	b.Knee = &knee
	if b.Front, err = econ.Pareto(points); err != nil {
		return err
	}
	for i := range b.Points {
		b.Points[i].OnFront = slices.ContainsFunc(b.Front, func(x econ.OperatingPoint) bool { return x.Batch == b.Points[i].Batch })
	}
	return nil
}

// econ returns the points, which must have prices, as the formulas take them.
func (b *Batches) econ() []econ.OperatingPoint {
	var out []econ.OperatingPoint
	for _, p := range b.Points {
		out = append(out, econ.OperatingPoint{Batch: p.Batch, USDPerM: *p.USDPerM, TPOTMs: p.TPOTMs})
	}
	return out
}

// Crossing returns the smallest batch whose decode uses a larger share of the
// device's arithmetic than of its bandwidth; nil when there is none, or a share is
// not known.
func (b *Batches) Crossing() *int {
	for _, p := range b.Points {
		if p.MBU != nil && p.DecodeMFU != nil && *p.DecodeMFU > *p.MBU {
			return &p.Batch
		}
	}
	return nil
}

// batchTables say what serving several sequences at once costs.
func batchTables() []definition {
	const needs = "a scenario measured at more than one batch size"
	var limits []Column
	for _, ms := range tpotLimitsMs {
		limits = append(limits,
			Column{Name: fmt.Sprintf("batch_within_%g_ms", ms), Title: fmt.Sprintf("cheapest within %g ms", ms), Unit: "batch", Blank: true},
			Column{Name: fmt.Sprintf("usd_per_m_within_%g_ms", ms), Title: "blend", Unit: "$/1M", Blank: true})
	}
	return []definition{
		{
			name: studies + "batch", title: "Batches: cost, latency, energy and use of the device", needs: needs,
			columns: append(groupColumns(), col("batch", "batch", ""),
				col("decode_tok_s", "decode, all", "tok/s"), col("decode_tok_s_per_seq", "decode, each", "tok/s"), col("prefill_tok_s", "prefill, all", "tok/s"),
				col("ttft_ms", "TTFT", "ms"), col("tpot_p50_ms", "TPOT p50", "ms"), col("tpot_p95_ms", "p95", "ms"),
				blank("price", "price"), col("blend_usd_per_m", "blend", "$/1M"), col("times_best", "× cheapest", ""), blank("pareto", "on the front"),
				col("decode_j_per_tok", "decode", "J/tok"), Column{Name: "mbu_pct", Title: "MBU of decode", Unit: "%", Digits: 3},
				Column{Name: "decode_mfu_pct", Title: "MFU of decode", Unit: "%", Digits: 3}, Column{Name: "prefill_mfu_pct", Title: "MFU of prefill", Unit: "%", Digits: 3},
				col("kv_used_bytes", "KV cache", "B")),
			fill: fillBatch,
			notes: []string{
				"The sequences of a batch have prompts of their own, are submitted together and go in lockstep: TTFT is the time of the whole prefill and TPOT that of a step, for each of them. TTFT is the median; TPOT p95 is the mean where single steps were not timed. A server that takes requests as they come mixes the phases and has other latencies.",
				"On the front: no other batch is both cheaper and quicker a token. MFU of decode: 2 × all weights that a token is multiplied with and its attention, over the measured F16 matmul rate.",
			},
		},
		{
			name: studies + "batch_choice", title: "Which batch to run", needs: needs + ", and a price",
			columns: append(append(groupColumns(), col("price", "price", ""), col("total_is", "total is", ""),
				col("batches", "measured", "batches"), col("best_batch", "cheapest", "batch"), col("best_usd_per_m", "blend", "$/1M"),
				col("knee_batch", "knee", "batch"), col("knee_usd_per_m", "blend", "$/1M"), col("knee_tpot_ms", "TPOT p95", "ms"),
				col("times_first", "saved by the knee", "×"), blank("crossing_batch", "MFU over MBU from batch")), limits...),
			fill:  fillBatchChoice,
			notes: []string{fmt.Sprintf("Knee: the smallest batch within %.0f %% of the cheapest; saved: the price of the smallest batch over that of the knee. Within a limit: the cheapest batch whose TPOT p95 is no longer, – when none is.", 100*kneeTolerance)},
		},
	}
}

// cells name a study: as a group, but for its batch.
func (b *Batches) cells() []any {
	k := b.Key
	k.Batch = 1
	return groupCells(k)
}

func fillBatch(a *Analysis, t *Table) error {
	all, err := a.BatchStudies()
	if err != nil {
		return err
	}
	for _, b := range all {
		for _, p := range b.Points {
			var p50, price, times, front, kv any
			if p.Group.TPOTMs != nil {
				p50 = p.Group.TPOTMs.P50
			}
			if p.USDPerM != nil {
				price = p.Cost.Label()
				if best := b.cheapest(); best > 0 {
					times = *p.USDPerM / best
				}
				if p.OnFront {
					front = "yes"
				}
			}
			if used := p.Rows[0].KVUsedBytes; used != nil {
				kv = *used
			}
			t.Add(append(b.cells(), p.Batch, p.Decode.TokPerS(), p.Decode.TokPerS()/float64(p.Batch), p.Prefill.TokPerS(),
				p.TTFTMs.P50, p50, p.TPOTMs, price, p.USDPerM, times, front,
				p.Decode.JPerTok(), scale(p.MBU, 100), scale(p.DecodeMFU, 100), scale(p.MFU, 100), kv)...)
		}
	}
	return nil
}

// cheapest returns the lowest price of the points, which must have some.
func (b *Batches) cheapest() float64 {
	best := b.Front[len(b.Front)-1]
	return best.USDPerM
}

func fillBatchChoice(a *Analysis, t *Table) error {
	all, err := a.BatchStudies()
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Knee == nil {
			continue
		}
		first, best := b.Points[0], b.Front[len(b.Front)-1]
		is := "infra only"
		if b.ByTotal {
			is = totalIs(first.Cost.Blend, first.Prefill, first.Decode)
		}
		var saved, crossing any
		if b.Knee.USDPerM > 0 {
			saved = *first.USDPerM / b.Knee.USDPerM
		}
		if x := b.Crossing(); x != nil {
			crossing = *x
		}
		cells := append(b.cells(), first.Cost.Label(), is, len(b.Points), best.Batch, best.USDPerM,
			b.Knee.Batch, b.Knee.USDPerM, b.Knee.TPOTMs, saved, crossing)
		for _, ms := range tpotLimitsMs {
			x, ok, err := econ.CheapestWithin(b.econ(), ms)
			switch {
			case err != nil:
				return err
			case ok:
				cells = append(cells, x.Batch, x.USDPerM)
			default:
				cells = append(cells, nil, nil)
			}
		}
		t.Add(cells...)
	}
	return nil
}
