package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// requestMix is the request of TR123 2.6.
var requestMix = econ.Request{Name: "256+128", PromptTokens: 256, GenTokens: 128}

// monthTokens is the volume of TR123 6.7, tokens a month.
const monthTokens = 1e9

const (
	needsPrice       = "a price: --rate, or a tier of the pricing file that owns the device or is its scenario"
	needsDecodePower = "energy of decode: energy windows, or decode that lasts for two periods of the power sensor"

	needsPower = "energy of both phases: energy windows, or phases that each last for two periods of the power sensor"
)

func pricedColumns() []Column { return append(configColumns(), col("price", "price", "")) }

// costTables say what tokens cost, in dollars, joules and carbon.
func costTables() []definition {
	return []definition{
		{name: "cost_per_measurement", section: "3.4", title: "Cost per measurement", needs: "a measured row",
			columns: measurementColumns(), fill: fillMeasurements},
		{
			name: studies + "phase_cost", section: "5.3", title: "Dollars per million tokens", needs: needsPrice,
			columns: append(groupColumns(), col("price", "price", ""),
				col("prefill_usd_per_m", "prefill", "$/1M"), col("decode_usd_per_m", "decode", "$/1M"),
				col("blend_infra_usd_per_m", "blend infra", "$/1M"), col("blend_energy_usd_per_m", "blend energy", "$/1M"),
				col("blend_usd_per_m", "blend", "$/1M"), plusMinus("blend_ci_usd_per_m", "$/1M"),
				col("total_is", "total is", ""), col("gco2e_per_m", "CO2e", "g/1M"),
			),
			fill: func(a *Analysis, t *Table) error {
				for _, g := range a.Groups {
					for _, c := range g.Costs {
						t.Add(append(groupCells(g.Key), c.Label(), c.Prefill.TotalUSD(), c.Decode.TotalUSD(),
							c.Blend.InfraUSD, c.Blend.EnergyUSD, c.Blend.TotalUSD(), half(c), totalIs(c.Blend, g.Prefill, g.Decode), g.GCO2ePerM)...)
					}
				}
				return nil
			},
		},
		{name: studies + "prefill_cost", section: "5.4", title: "Prefill, cheapest first", needs: needsPrice, columns: phaseColumns(),
			fill: fillPhase(func(c *Config) Rate { return c.Prefill }, func(c Cost) econ.Cost { return c.PrefillAlone })},
		{name: studies + "decode_cost", section: "5.5", title: "Decode, cheapest first", needs: needsPrice, columns: phaseColumns(),
			fill: fillPhase(func(c *Config) Rate { return c.Decode }, func(c Cost) econ.Cost { return c.DecodeAlone })},
		{
			name: studies + "cost_rank", section: "5.6", title: "Ranking by cost of the blend", needs: needsPrice,
			columns: rankColumns(),
			fill: func(a *Analysis, t *Table) error {
				for _, r := range a.Rankings {
					r.fill(t)
				}
				return nil
			},
		},
		{
			name: studies + "cost_breakdown", section: "6.1", title: "Infra and energy of the blend", needs: needsPrice,
			columns: append(pricedColumns(),
				col("infra_usd_per_m", "infra", "$/1M"), col("energy_usd_per_m", "energy", "$/1M"), col("total_usd_per_m", "total", "$/1M"),
				col("infra_pct", "infra", "%"), col("energy_pct", "energy", "%"), blank("energy_of", "energy of"), syntheticWeights()),
			fill: func(a *Analysis, t *Table) error {
				for _, c := range a.Configs {
					for _, x := range c.Costs {
						var infraPct, energyPct any
						if share, ok := x.Blend.EnergyShare(); ok {
							infraPct, energyPct = 100*(1-share), 100*share
						}
						t.Add(append(configCells(c.ConfigKey), x.Label(), x.Blend.InfraUSD, x.Blend.EnergyUSD, total(x.Blend), infraPct, energyPct, c.Basis(), a.isSynthetic(c.Model))...)
					}
				}
				return nil
			},
			notes: []string{"Energy of: where it was not measured in all scenarios, those in which it was; the others count at the mean power of those."},
		},
		{
			name: studies + "roi", section: "6.5", title: "Saving against the on-demand tiers", needs: "tiers of the pricing file with term on-demand",
			columns: append(configColumns(), col("reference", "reference", ""), col("tier", "tier", ""),
				col("saving_pct", "saving", "%"), col("tr123_saving_pct", "TR123 form, rates only", "%")),
			fill:  fillROI,
			notes: []string{"Saving on the blend's total, energy included where measured. Every tier is a scenario unless it owns the device: it prices this device's speed at another's rate."},
		},
		{
			name: studies + "request_cost", section: "6.6", title: "Cost of one request, 256+128 tokens", needs: needsPrice,
			columns: append(pricedColumns(), col("prefill_s", "prefill", "s"), col("decode_s", "decode", "s"), col("energy_kwh", "energy", "kWh"),
				col("infra_usd", "infra", "$"), col("energy_usd", "energy", "$"), col("total_usd", "total", "$"), col("total_is", "total is", "")),
			fill: fillRequests,
		},
		{
			name: studies + "tco", section: "6.7", title: "Total cost of 1e9 tokens a month of the blend", needs: needsPrice,
			columns: append(pricedColumns(), col("hours_per_month", "work", "h/month"), col("gpus", "machines", ""),
				col("used_usd_per_month", "paid by the hour of work", "$/month"), col("used_usd_per_year", "that", "$/year"),
				col("held_usd_per_month", "whole machines", "$/month"), col("held_usd_per_year", "that", "$/year"), col("total_is", "total is", "")),
			fill:  fillTCO,
			notes: []string{"TR123 6.7 has the cost by the hour of work only and does not say that more than one machine may be needed."},
		},
		{
			name: "cost_table_all_tiers", section: "3.4", title: "Every cell at every tier", needs: "tiers in the pricing file",
			columns: append(keyColumns(), Column{Name: "tier"}, Column{Name: "kind"}, Column{Name: "usd_per_hour"},
				Column{Name: "prefill_infra_usd_per_m"}, Column{Name: "decode_infra_usd_per_m"}, Column{Name: "blend_infra_usd_per_m"},
				Column{Name: "blend_energy_usd_per_m"}, Column{Name: "blend_total_usd_per_m"}, Column{Name: "blend_ci_usd_per_m"}),
			fill: func(a *Analysis, t *Table) error {
				for _, g := range a.Groups {
					for _, p := range a.Prices.All(g.Device) {
						c, err := a.cost(p, g.Prefill, g.Decode)
						if err != nil {
							return err
						}
						t.Add(append(keyCells(g.Key), p.Tier, p.kind(), p.USDPerHour, c.Prefill.InfraUSD, c.Decode.InfraUSD,
							c.Blend.InfraUSD, c.Blend.EnergyUSD, total(c.Blend), half(c))...)
					}
				}
				return nil
			},
		},
		{
			name: studies + "tier_cost", section: "10.1", title: "The blend at every tier", needs: "tiers in the pricing file",
			columns: append(configColumns(), col("tier", "tier", ""), col("kind", "kind", ""), col("usd_per_hour", "rate", "$/h"),
				col("blend_usd_per_m", "blend", "$/1M"), plusMinus("blend_ci_usd_per_m", "$/1M"), col("total_is", "total is", "")),
			fill: func(a *Analysis, t *Table) error {
				for _, c := range a.Configs {
					costs, err := a.TierCosts(c)
					if err != nil {
						return err
					}
					for _, x := range costs {
						t.Add(append(configCells(c.ConfigKey), x.Tier, x.kind(), x.USDPerHour, x.Blend.TotalUSD(), half(x), c.totalIs(x.Blend))...)
					}
				}
				return nil
			},
			notes: []string{"Tiers of this device, of no device, and the scenario; those of other devices are in cost_table_all_tiers."},
		},
		{
			name: studies + "provider_cost", section: "10.2", title: "The blend by provider, cheapest configuration", needs: "tiers of the pricing file with a provider and a term",
			columns: []Column{col("provider", "provider", ""), col("model", "model", ""), col("backend", "backend", ""),
				col("on_demand_usd_per_m", "on-demand", "$/1M"), col("spot_usd_per_m", "spot", "$/1M"),
				col("reserved_1yr_usd_per_m", "1 year", "$/1M"), col("reserved_3yr_usd_per_m", "3 years", "$/1M"), col("total_is", "total is", "")},
			fill:  fillProviders,
			notes: []string{"The configuration that is cheapest by machine time; all columns are scenarios."},
		},
		{
			name: studies + "uncertainty", section: "12.2", title: "Where the uncertainty of a cost comes from", needs: "two repetitions of a cell",
			columns: append(configColumns(), col("prefill_time_pct", "prefill time", "± %"), col("decode_time_pct", "decode time", "± %"),
				col("prefill_energy_pct", "prefill J/tok", "± %"), col("decode_energy_pct", "decode J/tok", "± %"),
				col("blend_usd_pct", "blend $/1M", "± %"), col("blend_joules_pct", "blend J/tok", "± %"), col("gco2e_pct", "CO2e", "± %")),
			fill:  fillUncertainty,
			notes: []string{"Half-widths of 95 % intervals relative to the value, first order. Repetitions are compared over all scenarios, so that the difference between scenarios adds nothing. Rates and token counts are exact."},
		},
	}
}

func (p Price) kind() string {
	switch {
	case p.Own:
		return "own"
	case p.Owned:
		return "own, other rate"
	}
	return "scenario"
}

// everyPrice calls f for each configuration at its own price and in the
// scenario, with what econ takes of both.
func (a *Analysis) everyPrice(f func(c *Config, p Price, prefill, decode econ.Phase, at econ.Prices) error) error {
	for _, c := range a.serving() {
		prefill, decode := a.billable(c.Prefill, c.Decode)
		for _, x := range c.Costs {
			if err := f(c, x.Price, prefill.phase(), decode.phase(), a.at(x.Price)); err != nil {
				return fmt.Errorf("%s: %w", c.ConfigKey, err)
			}
		}
	}
	return nil
}

func measurementColumns() []Column {
	columns := append([]Column{{Name: "cell_id"}, {Name: "launch"}, {Name: "rep"}}, keyColumns()...)
	for _, name := range []string{
		"device", "synthetic", "prompt_tokens", "gen_tokens", "prefill_ms", "decode_ms", "prefill_tok_s", "decode_tok_s",
		"prefill_j_per_tok", "decode_j_per_tok", "prefill_energy_method", "decode_energy_method", "blend", "blend_gco2e_per_m", "blend_energy_usd_per_m",
	} {
		columns = append(columns, Column{Name: name})
	}
	for _, kind := range []string{"own_", "scenario_"} {
		for _, name := range priceColumns {
			columns = append(columns, Column{Name: kind + name})
		}
	}
	return columns
}

// fillMeasurements adds a row for each measured row, group by group, with the
// cost of that row alone.
func fillMeasurements(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			// Windows are of the cell, so each of its rows has the energy they gave.
			one := Group{Key: g.Key, Rows: []*record.Record{r}, PrefillWindows: g.PrefillWindows, DecodeWindows: g.DecodeWindows}
			one.rates()
			costs, err := a.costs(r.Device, one.Prefill, one.Decode)
			if err != nil {
				return fmt.Errorf("%s launch %d repetition %d: %w", r.CellID, r.Launch, r.Rep, err)
			}
			carbon, err := a.carbon(one.Prefill, one.Decode)
			if err != nil {
				return fmt.Errorf("%s launch %d repetition %d: %w", r.CellID, r.Launch, r.Rep, err)
			}
			var energyUSD *float64
			if len(costs) > 0 {
				energyUSD = costs[0].Blend.EnergyUSD // the same at every price of machine time
			}
			cells := append([]any{r.CellID, r.Launch, r.Rep}, keyCells(g.Key)...)
			cells = append(cells, r.Device, r.Synthetic, r.PromptTokens, r.GenTokens, *r.PrefillMs, *r.DecodeMs,
				one.Prefill.TokPerS(), one.Decode.TokPerS(), one.Prefill.JPerTok(), one.Decode.JPerTok(), method(one.Prefill), method(one.Decode),
				a.Blend.Name, carbon, energyUSD)
			cells = append(cells, priceCells(costs, true)...)
			t.Add(append(cells, priceCells(costs, false)...)...)
		}
	}
	return nil
}
