package analyze

import (
	"strings"

	"github.com/phasebench/phasebench/econ"
)

// Profiles returns the named blends: the pricing file's, else those of TR123.
func (a *Analysis) Profiles() []econ.Blend { return a.Prices.file.Profiles() }

// blendTables say what tokens cost in each of the named mixes.
func blendTables() []definition {
	return []definition{{
		name: studies + "blend_cost", section: "5.3", title: "Dollars per million tokens in each blend", needs: needsPrice,
		columns: pricedColumns(),
		fill:    fillBlends,
		notes:   []string{"A blend costs its share of input tokens at the price of prefill and the rest at that of decode; all from the same two measured phases."},
	}}
}

func fillBlends(a *Analysis, t *Table) error {
	t.Columns = append(t.Columns, col("prefill_usd_per_m", "prefill", "$/1M"), col("decode_usd_per_m", "decode", "$/1M"))
	for _, b := range a.Profiles() {
		name := strings.ReplaceAll(b.Name, "-", "_")
		ci := plusMinus(name+"_ci_usd_per_m", "$/1M")
		ci.Hidden = true
		t.Columns = append(t.Columns, col(name+"_usd_per_m", b.Name, "$/1M"), ci)
	}
	t.Columns = append(t.Columns, col("total_is", "total is", ""))
	for _, c := range a.Configs {
		prefill, decode := a.billable(c.Prefill, c.Decode)
		for _, x := range c.Costs {
			row := append(configCells(c.ConfigKey), x.Label(), x.Prefill.TotalUSD(), x.Decode.TotalUSD())
			for _, b := range a.Profiles() {
				cost, err := b.CostPerM(prefill.phase(), decode.phase(), a.at(x.Price))
				if err != nil {
					return err
				}
				interval, err := blendInterval(b, prefill, decode, a.at(x.Price))
				if err != nil {
					return err
				}
				row = append(row, cost.TotalUSD(), half(Cost{BlendCI: interval}))
			}
			t.Add(append(row, c.totalIs(x.Blend))...)
		}
	}
	return nil
}
