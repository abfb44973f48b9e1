package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// keyColumns and keyCells name a group in the tables for machines.
func keyColumns() []Column {
	return []Column{
		{Name: "model", Title: "model"}, {Name: "backend", Title: "backend"}, {Name: "scenario", Title: "scenario"},
		{Name: "batch", Title: "batch"}, {Name: "kv_type_k", Title: "K"}, {Name: "kv_type_v", Title: "V"},
		{Name: "decode_mode", Title: "decode"},
	}
}

func keyCells(k Key) []any {
	return []any{k.Model, k.Backend, k.Scenario, k.Batch, k.KVTypeK, k.KVTypeV, k.DecodeMode}
}

// groupColumns and groupCells name a group in the tables for people.
func groupColumns() []Column {
	return []Column{
		{Name: "model", Title: "model"}, {Name: "backend", Title: "backend"},
		{Name: "variant", Title: "variant"}, {Name: "scenario", Title: "scenario"},
	}
}

func groupCells(k Key) []any { return []any{k.Model, k.Backend, k.Variant(), k.Scenario} }

// CostPerMeasurement is a row for each measured row, group by group, with the
// cost of that row alone. It is the table of that name of TR123 3.4.
func (a *Analysis) CostPerMeasurement() (*Table, error) {
	t := &Table{Name: "cost_per_measurement", Title: "Cost per measurement"}
	t.Columns = append([]Column{{Name: "cell_id"}, {Name: "launch"}, {Name: "rep"}}, keyColumns()...)
	for _, name := range []string{
		"device", "synthetic", "prompt_tokens", "gen_tokens", "prefill_ms", "decode_ms", "prefill_tok_s", "decode_tok_s",
		"prefill_j_per_tok", "decode_j_per_tok", "blend", "blend_gco2e_per_m", "blend_energy_usd_per_m",
	} {
		t.Columns = append(t.Columns, Column{Name: name})
	}
	for _, kind := range []string{"own_", "scenario_"} {
		for _, name := range priceColumns {
			t.Columns = append(t.Columns, Column{Name: kind + name})
		}
	}
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			one := Group{Key: g.Key, Rows: []*record.Record{r}}
			one.rates()
			costs, err := a.costs(r.Device, one.Prefill, one.Decode)
			if err != nil {
				return nil, fmt.Errorf("%s launch %d repetition %d: %w", r.CellID, r.Launch, r.Rep, err)
			}
			carbon, err := a.carbon(one.Prefill, one.Decode)
			if err != nil {
				return nil, fmt.Errorf("%s launch %d repetition %d: %w", r.CellID, r.Launch, r.Rep, err)
			}
			var energyUSD *float64
			if len(costs) > 0 {
				energyUSD = costs[0].Blend.EnergyUSD // the same at every price of machine time
			}
			cells := append([]any{r.CellID, r.Launch, r.Rep}, keyCells(g.Key)...)
			cells = append(cells, r.Device, r.Synthetic, r.PromptTokens, r.GenTokens, *r.PrefillMs, *r.DecodeMs,
				one.Prefill.TokPerS(), one.Decode.TokPerS(), one.Prefill.JPerTok(), one.Decode.JPerTok(),
				a.Blend.Name, carbon, energyUSD)
			cells = append(cells, priceCells(costs, true)...)
			t.Add(append(cells, priceCells(costs, false)...)...)
		}
	}
	return t, nil
}

var priceColumns = []string{
	"tier", "usd_per_hour", "prefill_infra_usd_per_m", "decode_infra_usd_per_m", "blend_infra_usd_per_m", "blend_total_usd_per_m",
}

// priceCells are the priceColumns of a device's own price or of the scenario.
func priceCells(costs []Cost, own bool) []any {
	for _, c := range costs {
		if c.Own == own {
			return []any{c.Tier, c.USDPerHour, c.Prefill.InfraUSD, c.Decode.InfraUSD, c.Blend.InfraUSD, total(c.Blend)}
		}
	}
	return make([]any, len(priceColumns))
}

// total is infra plus energy, absent when energy is.
func total(c econ.Cost) any {
	if !c.Complete() {
		return nil
	}
	return c.TotalUSD()
}

// SummaryStats is a row for each group and metric. It is the table of that
// name of TR123 3.4.
func (a *Analysis) SummaryStats() *Table {
	t := &Table{Name: "summary_stats", Title: "Summary statistics"}
	t.Columns = keyColumns()
	for _, name := range []string{
		"metric", "n", "launches", "replicates", "mean", "sd", "ci95_lo", "ci95_hi", "median", "p05", "p95", "min", "max", "cv_pct", "outliers",
	} {
		t.Columns = append(t.Columns, Column{Name: name})
	}
	for _, g := range a.Groups {
		for _, m := range g.metrics() {
			s, ok := stats.Describe(m.values, Confidence)
			if !ok {
				continue
			}
			replicates := "rows within one process"
			if g.ByLaunch && len(m.values) == len(g.Rows) {
				g.replaceInterval(&s, m.values)
				replicates = "launch means"
			} else if g.Launches > 1 {
				replicates = "rows"
			}
			var lo, hi any
			if s.CI != nil {
				lo, hi = s.CI.Lo, s.CI.Hi
			}
			t.Add(append(keyCells(g.Key), m.name, s.N, g.Launches, replicates, s.Mean, s.SD, lo, hi,
				s.Median, s.P05, s.P95, s.Min, s.Max, s.CVPct, len(s.Outliers))...)
		}
	}
	return t
}

// metric is one number of each row of a group; rows that lack it are left out.
type metric struct {
	name   string
	values []float64
}

func (g *Group) metrics() []metric {
	out := []metric{
		{name: "prefill_ms"}, {name: "decode_ms"}, {name: "total_ms"},
		{name: "prefill_tok_s"}, {name: "decode_tok_s"},
		{name: "prefill_cuda_ms"}, {name: "decode_cuda_ms"},
		{name: "prefill_power_w"}, {name: "decode_power_w"},
		{name: "gpu_clock_mhz"}, {name: "gpu_temp_c"},
	}
	for _, r := range g.Rows {
		tokens := float64(g.Batch) * 1000
		prefillRate := tokens * float64(r.PromptTokens) / *r.PrefillMs
		decodeRate := tokens * float64(r.GenTokens) / *r.DecodeMs
		prefillW, decodeW := powers(r)
		for i, v := range []*float64{
			r.PrefillMs, r.DecodeMs, r.TotalMs, &prefillRate, &decodeRate,
			r.PrefillCudaMs, r.DecodeCudaMs, prefillW, decodeW, r.GPUClockMHz, r.GPUTempC,
		} {
			if v != nil {
				out[i].values = append(out[i].values, *v)
			}
		}
	}
	return out
}

// LatencyTable is a row for each group: times, spread and throughput.
func (a *Analysis) LatencyTable() *Table {
	t := &Table{Name: "latency", Title: "Latency and throughput"}
	t.Columns = append(groupColumns(),
		Column{Name: "tokens", Title: "tokens"},
		Column{Name: "n", Title: "n"},
		Column{Name: "prefill_ms", Title: "prefill", Unit: "ms"},
		Column{Name: "prefill_ci_ms", Title: "±", Unit: "ms", Digits: 2},
		Column{Name: "ttft_p95_ms", Title: "TTFT p95", Unit: "ms"},
		Column{Name: "decode_ms", Title: "decode", Unit: "ms"},
		Column{Name: "decode_ci_ms", Title: "±", Unit: "ms", Digits: 2},
		Column{Name: "tpot_p50_ms", Title: "TPOT p50", Unit: "ms"},
		Column{Name: "tpot_p95_ms", Title: "p95", Unit: "ms"},
		Column{Name: "tpot_p99_ms", Title: "p99", Unit: "ms"},
		Column{Name: "prefill_tok_s", Title: "prefill", Unit: "tok/s"},
		Column{Name: "decode_tok_s", Title: "decode", Unit: "tok/s"},
	)
	for _, g := range a.Groups {
		var p50, p95, p99 any
		if q := g.TPOTMs; q != nil {
			p50, p95, p99 = q.P50, q.P95, q.P99
		}
		t.Add(append(groupCells(g.Key), fmt.Sprintf("%d+%d", g.PromptTokens, g.GenTokens), g.PrefillMs.N,
			g.PrefillMs.Mean, g.PrefillMs.Half, g.TTFTMs.P95, g.DecodeMs.Mean, g.DecodeMs.Half,
			p50, p95, p99, g.Prefill.TokPerS(), g.Decode.TokPerS())...)
	}
	return t
}

// CostTable is a row for each group and price.
func (a *Analysis) CostTable() *Table {
	t := &Table{Name: "cost", Title: "Dollars per million tokens"}
	t.Columns = append(groupColumns(),
		Column{Name: "price", Title: "price"},
		Column{Name: "prefill_usd_per_m", Title: "prefill", Unit: "$/1M"},
		Column{Name: "decode_usd_per_m", Title: "decode", Unit: "$/1M"},
		Column{Name: "blend_infra_usd_per_m", Title: a.Blend.Name + " infra", Unit: "$/1M"},
		Column{Name: "blend_energy_usd_per_m", Title: a.Blend.Name + " energy", Unit: "$/1M"},
		Column{Name: "blend_usd_per_m", Title: a.Blend.Name, Unit: "$/1M"},
		Column{Name: "blend_ci_usd_per_m", Title: "±", Unit: "$/1M", Digits: 2},
		Column{Name: "total_is", Title: "total is"},
		Column{Name: "gco2e_per_m", Title: "CO2e", Unit: "g/1M"},
	)
	for _, g := range a.Groups {
		for _, c := range g.Costs {
			t.Add(append(groupCells(g.Key), c.Label(), c.Prefill.TotalUSD(), c.Decode.TotalUSD(),
				c.Blend.InfraUSD, c.Blend.EnergyUSD, c.Blend.TotalUSD(), half(c), totalIs(c.Blend), g.GCO2ePerM)...)
		}
	}
	return t
}

func half(c Cost) any {
	if c.BlendCI == nil {
		return nil
	}
	return c.BlendCI.Half
}

// totalIs says what a total is made of.
func totalIs(c econ.Cost) string {
	if c.Complete() {
		return "infra + energy"
	}
	return "infra only"
}

// Table is the ranking, cheapest first.
func (r *Ranking) Table(blend string) *Table {
	price := "each device's own rate"
	if !r.Own {
		price = r.Price.Label()
	}
	t := &Table{Name: "ranking", Title: "$/1M tokens, " + blend + " blend, at " + price}
	t.Columns = []Column{
		{Name: "rank", Title: "#"},
		{Name: "model", Title: "model"}, {Name: "backend", Title: "backend"}, {Name: "variant", Title: "variant"},
		{Name: "price", Title: "price"},
		{Name: "blend_usd_per_m", Title: blend, Unit: "$/1M"},
		{Name: "blend_ci_usd_per_m", Title: "±", Unit: "$/1M", Digits: 2},
		{Name: "total_is", Title: "total is"},
		{Name: "times_best", Title: "× cheapest", Digits: 3},
		{Name: "prefill_tok_s", Title: "prefill", Unit: "tok/s"},
		{Name: "decode_tok_s", Title: "decode", Unit: "tok/s"},
		{Name: "scenarios", Title: "scenarios"},
		{Name: "note", Title: "note"},
	}
	for i, e := range r.Entries {
		var times any
		if e.TimesBest > 0 {
			times = e.TimesBest
		}
		note := ""
		switch {
		case e.Overlaps:
			note = "~ overlaps the cheapest"
		case e.NoInterval:
			note = "no interval"
		}
		t.Add(i+1, e.Model, e.Backend, e.Variant(), e.Cost.Label(), e.Cost.Blend.TotalUSD(), half(e.Cost), totalIs(e.Cost.Blend),
			times, e.Prefill.TokPerS(), e.Decode.TokPerS(), len(e.Scenarios), note)
	}
	return t
}

// KVTable is a row for each group whose cache was inspected.
func (a *Analysis) KVTable() *Table {
	t := &Table{Name: "kv", Title: "KV cache, used against formula"}
	t.Columns = append(groupColumns(),
		Column{Name: "positions", Title: "positions"},
		Column{Name: "used_bytes", Title: "used", Unit: "B"},
		Column{Name: "formula_bytes", Title: "formula", Unit: "B"},
		Column{Name: "exact", Title: "exact"},
		Column{Name: "alloc_bytes", Title: "allocated", Unit: "B"},
		Column{Name: "padding_bytes", Title: "padding", Unit: "B"},
	)
	for _, k := range a.KV {
		t.Add(append(groupCells(k.Key), k.Positions, k.UsedBytes, k.FormulaBytes, k.Exact, k.AllocBytes, k.PaddingBytes())...)
	}
	return t
}

// OneTimeTable is a row for each launch.
func (a *Analysis) OneTimeTable() *Table {
	t := &Table{Name: "one_time", Title: "One-time costs of a launch"}
	t.Columns = []Column{
		{Name: "model", Title: "model"}, {Name: "backend", Title: "backend"}, {Name: "launch", Title: "launch"},
		{Name: "load_ms", Title: "load", Unit: "ms"}, {Name: "context_ms", Title: "contexts", Unit: "ms"},
		{Name: "warmups", Title: "warm-ups"}, {Name: "warmup_ms", Title: "warm-ups", Unit: "ms"},
	}
	for _, o := range a.OneTime {
		t.Add(o.Model, o.Backend, o.Launch, o.LoadMs, o.ContextMs, o.Warmups, o.WarmupMs)
	}
	return t
}

// ReasonTable is a row for each cause of rows that were not measured.
func (a *Analysis) ReasonTable() *Table {
	t := &Table{Name: "not_measured", Title: "Rows that were not measured"}
	t.Columns = []Column{
		{Name: "rows", Title: "rows"}, {Name: "cells", Title: "cells"}, {Name: "status", Title: "status"},
		{Name: "kind", Title: "kind"}, {Name: "reason", Title: "reason"},
	}
	for _, r := range a.Accounting.Reasons {
		t.Add(r.Rows, len(r.Cells), string(r.Status), r.Kind, r.Text)
	}
	return t
}
