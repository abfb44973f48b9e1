package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/econ"
)

// The rows of costTables that take more than a line each.

func phaseColumns() []Column {
	return append(pricedColumns(), col("tok_s", "phase", "tok/s"), col("power_w", "power", "W"),
		col("infra_usd_per_m", "infra", "$/1M"), col("energy_usd_per_m", "energy", "$/1M"), col("total_usd_per_m", "total", "$/1M"),
		col("energy_pct", "energy", "%"), col("times_best", "× cheapest", ""))
}

// fillPhase ranks one phase by what it costs, at own prices and in the
// scenario apart: by infra, since energy may not be known for all.
func fillPhase(rate func(*Config) Rate, cost func(Cost) econ.Cost) func(*Analysis, *Table) error {
	return func(a *Analysis, t *Table) error {
		type entry struct {
			c *Config
			x Cost
		}
		for _, own := range []bool{true, false} {
			var entries []entry
			for _, c := range a.Configs {
				for _, x := range c.Costs {
					if x.Own == own {
						entries = append(entries, entry{c, x})
					}
				}
			}
			slices.SortStableFunc(entries, func(x, y entry) int { return cmp.Compare(cost(x.x).InfraUSD, cost(y.x).InfraUSD) })
			for _, e := range entries {
				at := cost(e.x)
				var share, times any
				if s, ok := at.EnergyShare(); ok {
					share = 100 * s
				}
				if best := cost(entries[0].x).InfraUSD; best > 0 {
					times = at.InfraUSD / best
				}
				t.Add(append(configCells(e.c.ConfigKey), e.x.Label(), rate(e.c).TokPerS(), rate(e.c).watts(),
					at.InfraUSD, at.EnergyUSD, total(at), share, times)...)
			}
		}
		return nil
	}
}

// total is infra plus energy, absent when energy is.
func total(c econ.Cost) any {
	if !c.Complete() {
		return nil
	}
	return c.TotalUSD()
}

func half(c Cost) any {
	if c.BlendCI == nil {
		return nil
	}
	return c.BlendCI.Half
}

// totalIs says what a total is made of, energy by what was assumed included.
func totalIs(c econ.Cost, prefill, decode Rate) string {
	switch {
	case !c.Complete():
		return "infra only"
	case assumed(prefill) || assumed(decode):
		return "infra + assumed energy"
	}
	return "infra + energy"
}

func assumed(r Rate) bool {
	return r.Energy != nil && strings.Contains(r.Energy.Method, MethodAssumed)
}

// totalIs says what a total of a configuration is made of, and of how many of
// its scenarios the energy is when that is not all.
func (c *Config) totalIs(x econ.Cost) string {
	is := totalIs(x, c.Prefill, c.Decode)
	if !x.Complete() || c.Basis() == "" {
		return is
	}
	p, d, all := len(c.Prefill.EnergyOf), len(c.Decode.EnergyOf), len(c.Scenarios)
	if p == d {
		return fmt.Sprintf("%s of %d/%d scenarios", is, p, all)
	}
	return fmt.Sprintf("%s of %d/%d (prefill) and %d/%d (decode) scenarios", is, p, all, d, all)
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

func rankColumns() []Column {
	return []Column{
		col("rank", "#", ""), col("model", "model", ""), col("backend", "backend", ""), blank("variant", "variant"),
		col("price", "price", ""), col("blend_usd_per_m", "blend", "$/1M"), plusMinus("blend_ci_usd_per_m", "$/1M"),
		col("total_is", "total is", ""), {Name: "times_best", Title: "×", Unit: "cheapest", Digits: 3}, plusMinus("times_best_ci", "×"),
		col("prefill_tok_s", "prefill", "tok/s"), col("decode_tok_s", "decode", "tok/s"),
		col("scenarios", "#", "scenarios"), blank("note", "note"),
	}
}

// Table is the ranking, cheapest first.
func (r *Ranking) Table(blend string) *Table {
	t := &Table{Name: "ranking", Columns: rankColumns()}
	t.Columns[5].Title = blend
	r.fill(t)
	// What holds for every row is said once, in the title.
	price := "each device's own rate"
	const label, kind = 4, 7 // columns of the price and of what the total is
	if t.constant(label) {
		price = r.Entries[0].Cost.Label()
	}
	total := "infra + energy"
	if t.constant(kind) {
		total = r.Entries[0].totalIs(r.Entries[0].Cost.Blend)
	}
	t.Title = fmt.Sprintf("$/1M tokens, %s blend, at %s, %s", blend, price, total)
	return t.without(func(i int, _ Column) bool { return (i == kind || i == label) && t.constant(i) })
}

func (r *Ranking) fill(t *Table) {
	for i, e := range r.Entries {
		var times any
		if e.TimesBest > 0 {
			times = e.TimesBest
		}
		var notes []string
		switch {
		case e.Overlaps:
			notes = append(notes, "~")
		case e.NoInterval:
			notes = append(notes, "no interval")
		}
		if odd, of := e.OddTokens(); odd > 0 {
			notes = append(notes, fmt.Sprintf("other tokens in %d of %d rows", odd, of))
		}
		t.Add(i+1, e.Model, e.Backend, e.Variant(), e.Cost.Label(), e.Cost.Blend.TotalUSD(), half(e.Cost), e.totalIs(e.Cost.Blend),
			times, e.TimesHalf, e.Prefill.TokPerS(), e.Decode.TokPerS(), len(e.Scenarios), strings.Join(notes, ", "))
	}
}

const onDemand = "on-demand"

func fillROI(a *Analysis, t *Table) error {
	for _, c := range a.Configs {
		for _, ref := range a.Prices.Here(c.Device) {
			if ref.Term != onDemand || ref.Own || ref.USDPerHour == 0 {
				continue
			}
			from, err := a.cost(ref, c.Prefill, c.Decode)
			if err != nil {
				return err
			}
			for _, p := range a.Prices.All(c.Device) {
				related := p.Own || p.BoughtUSD != nil || p.Provider == ref.Provider && !p.elsewhere
				if p.Tier == ref.Tier || !related {
					continue
				}
				to, err := a.cost(p, c.Prefill, c.Decode)
				if err != nil {
					return err
				}
				rates, err := econ.TR123SavingsPct(p.USDPerHour, ref.USDPerHour)
				if err != nil {
					return err
				}
				t.Add(append(configCells(c.ConfigKey), ref.Tier, p.Label(), 100*(1-to.Blend.TotalUSD()/from.Blend.TotalUSD()), rates)...)
			}
		}
	}
	return nil
}

func fillRequests(a *Analysis, t *Table) error {
	return a.everyPrice(func(c *Config, p Price, prefill, decode econ.Phase, at econ.Prices) error {
		prefillS, err := econ.Request{PromptTokens: requestMix.PromptTokens}.Seconds(prefill, decode)
		if err != nil {
			return err
		}
		decodeS, err := econ.Request{GenTokens: requestMix.GenTokens}.Seconds(prefill, decode)
		if err != nil {
			return err
		}
		cost, err := requestMix.Cost(prefill, decode, at)
		if err != nil {
			return err
		}
		// At a dollar per kilowatt-hour the energy's cost is the energy.
		energy, err := requestMix.Cost(c.Prefill.phase(), c.Decode.phase(), econ.Prices{USDPerKWh: 1})
		if err != nil {
			return err
		}
		t.Add(append(configCells(c.ConfigKey), p.Label(), prefillS, decodeS, energy.EnergyUSD, cost.InfraUSD, cost.EnergyUSD, cost.TotalUSD(), c.totalIs(cost))...)
		return nil
	})
}

func fillTCO(a *Analysis, t *Table) error {
	return a.everyPrice(func(c *Config, p Price, prefill, decode econ.Phase, at econ.Prices) error {
		m, err := econ.MonthlyTokens(monthTokens, a.Blend, prefill, decode, at)
		if err != nil {
			return err
		}
		used, held := m.Used.TotalUSD(), m.Held.TotalUSD()
		t.Add(append(configCells(c.ConfigKey), p.Label(), m.Hours, m.GPUs, used, 12*used, held, 12*held, c.totalIs(m.Used))...)
		return nil
	})
}

func fillProviders(a *Analysis, t *Table) error {
	if len(a.Configs) == 0 {
		return nil
	}
	// Which is cheapest by machine time does not depend on the rate.
	var best *Config
	var least float64
	for _, c := range a.Configs {
		x, err := a.cost(Price{USDPerHour: 1}, c.Prefill, c.Decode)
		if err != nil {
			return err
		}
		if best == nil || x.Blend.InfraUSD < least {
			best, least = c, x.Blend.InfraUSD
		}
	}
	terms := []string{onDemand, "spot", "1yr", "3yr"}
	var providers set
	is := ""
	cells := map[string]any{} // by provider and term
	for _, p := range a.Prices.Here(best.Device) {
		if p.Own || p.Provider == "" || !slices.Contains(terms, p.Term) {
			continue
		}
		x, err := a.cost(p, best.Prefill, best.Decode)
		if err != nil {
			return err
		}
		is = best.totalIs(x.Blend)
		providers.add(p.Provider)
		cells[p.Provider+" "+p.Term] = x.Blend.TotalUSD()
	}
	for _, name := range providers.list {
		row := []any{name, best.Model, best.Backend}
		for _, term := range terms {
			row = append(row, cells[name+" "+term])
		}
		t.Add(append(row, is)...)
	}
	return nil
}

func fillUncertainty(a *Analysis, t *Table) error {
	relative := func(e *Estimate) any {
		if e == nil || e.Half == nil || e.Value == 0 {
			return nil
		}
		return 100 * *e.Half / e.Value
	}
	for _, c := range a.Configs {
		if c.Prefill.SPerTok.Half == nil && c.Decode.SPerTok.Half == nil {
			continue
		}
		var usd, carbon any
		if len(c.Costs) > 0 && c.Costs[0].BlendCI != nil && c.Costs[0].BlendCI.Value > 0 {
			usd = 100 * c.Costs[0].BlendCI.Half / c.Costs[0].BlendCI.Value
		}
		prefill, err := c.Prefill.joules()
		if err != nil {
			return err
		}
		decode, err := c.Decode.joules()
		if err != nil {
			return err
		}
		blend, err := a.blendJoules(c.Prefill, c.Decode)
		if err != nil {
			return err
		}
		if a.Carbon != nil {
			carbon = relative(blend) // the intensity is a constant
		}
		t.Add(append(configCells(c.ConfigKey), relative(&c.Prefill.SPerTok), relative(&c.Decode.SPerTok),
			relative(prefill), relative(decode), usd, relative(blend), carbon)...)
	}
	return nil
}
