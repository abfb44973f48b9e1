package plots

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/phasebench/phasebench/internal/analyze"
)

const noPrice = noData("needs a price: --rate, or a tier of the pricing file that owns the device or is its scenario")

const noCost = noData("needs prices above 0: what costs nothing cannot be drawn")

// phaseCost draws dollars of both phases, one figure a model.
func phaseCost(in *input) ([]*figure, error) {
	var out []*figure
	why := noPrice
	for _, model := range in.models {
		f, err := in.phaseCostOf(model)
		if errors.As(err, &why) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, why
	}
	return out, nil
}

func (in *input) phaseCostOf(model string) (*figure, error) {
	configs, prices, unpriced := pricedAlike(in.configsOf(model))
	if len(configs) == 0 {
		return nil, noPrice
	}
	energy := in.Prices.Energy != nil && !slices.ContainsFunc(configs, func(c *analyze.Config) bool {
		return c.Prefill.Energy == nil || c.Decode.Energy == nil
	})
	var tiles []*plot.Plot
	var ends reach
	for _, phase := range []struct {
		name string
		rate func(*analyze.Config) analyze.Rate
	}{
		{"prefill", func(c *analyze.Config) analyze.Rate { return c.Prefill }},
		{"decode", func(c *analyze.Config) analyze.Rate { return c.Decode }},
	} {
		b := bars{format: dollars, text: func(v float64) string { return "$" + exact(v) }}
		for i, c := range configs {
			usd, err := in.PhaseCost(prices[i], phase.rate(c), energy)
			if err != nil {
				return nil, err
			}
			if !(usd.Value > 0) {
				return nil, noCost
			}
			lo, hi := bounds(usd)
			row := bar{value: usd.Value, lo: lo, hi: hi, color: in.look(c.ConfigKey).color}
			if len(tiles) == 0 { // both tiles have the same rows
				row.label = series(c.ConfigKey)
			}
			b.rows = append(b.rows, row)
		}
		tile, its := barTile(phase.name, "$ per 1M tokens", b)
		tiles, ends = append(tiles, tile), ends.and(its)
	}
	of := "machine time"
	if energy {
		of = "machine time and energy"
	}
	f := &figure{
		part: model, tiles: [][]*plot.Plot{tiles}, rowHeight: barsHeight(len(configs)),
		notes: []string{fmt.Sprintf("Of %s, at %s. The scales differ. %s", of, pricesText(configs, prices), ends)},
		caption: fmt.Sprintf("Dollars per million tokens of prefill and of decode for %s, of %s, over the scenarios %s.",
			model, of, scenariosOf(configs)),
	}
	if len(unpriced) > 0 {
		f.notes = append(f.notes, "Left out, without a price of this kind: "+strings.Join(unpriced, ", ")+".")
	}
	return f, nil
}

// pricedAlike returns the configurations that have a price of one kind with it:
// their own if any has one, else the scenario's. The others are named.
func pricedAlike(all []*analyze.Config) (configs []*analyze.Config, prices []analyze.Price, others []string) {
	own := slices.ContainsFunc(all, func(c *analyze.Config) bool { return len(c.Costs) > 0 && c.Costs[0].Own })
	for _, c := range all {
		i := slices.IndexFunc(c.Costs, func(x analyze.Cost) bool { return x.Own == own })
		if i < 0 {
			others = append(others, series(c.ConfigKey))
			continue
		}
		configs, prices = append(configs, c), append(prices, c.Costs[i].Price)
	}
	return configs, prices, others
}

// pricesText names the prices, each device's where they differ.
func pricesText(configs []*analyze.Config, prices []analyze.Price) string {
	var out []string
	for i, c := range configs {
		text := c.Device + ": " + prices[i].Label()
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	if len(out) == 1 {
		return prices[0].Label()
	}
	return strings.Join(out, "; ")
}

// tierComparison draws what the best configuration of each model costs at each
// tier.
func tierComparison(in *input) ([]*figure, error) {
	best := in.bestOfModels()
	if len(best) == 0 {
		return nil, noPrice
	}
	type tier struct {
		label string
		dots  map[string]analyze.Cost // by model
	}
	var tiers []*tier
	var complete int
	for _, c := range best {
		costs, err := in.TierCosts(c)
		if err != nil {
			return nil, err
		}
		for _, x := range costs {
			label := fmt.Sprintf("%s  $%g/h", x.Tier, x.USDPerHour)
			i := slices.IndexFunc(tiers, func(t *tier) bool { return t.label == label })
			if i < 0 {
				i, tiers = len(tiers), append(tiers, &tier{label, map[string]analyze.Cost{}})
			}
			tiers[i].dots[c.Model] = x
		}
		if costs[0].Blend.Complete() {
			complete++
		}
	}
	p := newTile("", fmt.Sprintf("$ per 1M tokens, %s blend", in.Blend.Name), "")
	var values extent
	var labels []plot.Tick
	var hollow, filled bool
	p.Add(rowBands(len(tiers)))
	for i, c := range best {
		own, scenario := dots{horizontal: true, style: in.model[c.Model].marker(false)}, dots{horizontal: true, style: in.model[c.Model].marker(true)}
		for row, t := range tiers {
			x, ok := t.dots[c.Model]
			if !ok {
				continue
			}
			spread := 0.62 * (float64(i)/float64(max(1, len(best)-1)) - 0.5)
			at := point{x: x.Blend.TotalUSD(), y: float64(len(tiers)-1-row) - spread}
			if ci := x.BlendCI; ci != nil {
				lo, hi := ci.Lo(), ci.Hi()
				at.lo, at.hi = &lo, &hi
			}
			values.add(at.x, at.lo, at.hi)
			if x.Own {
				own.points, filled = append(own.points, at), true
			} else {
				scenario.points, hollow = append(scenario.points, at), true
			}
		}
		p.Add(scenario, own)
	}
	for row, t := range tiers {
		labels = append(labels, plot.Tick{Value: float64(len(tiers) - 1 - row), Label: t.label})
	}
	if !(values.values.lo > 0) {
		return nil, noCost
	}
	shown, ends := values.within(maxReach)
	setLog(&p.X, shown.times(1.25), dollars)
	p.Y.Min, p.Y.Max = -0.5, float64(len(tiers))-0.5
	p.Y.Tick.Marker, p.Y.Tick.Length = newRowLabels(labels), 0

	f := &figure{tiles: [][]*plot.Plot{{p}}, rowHeight: 44 + 25*vg.Length(len(tiers))}
	for _, c := range best {
		f.legend = append(f.legend, markerKey(c.Model+" on "+series(c.ConfigKey), in.model[c.Model].marker(!filled)))
	}
	what := "machine time"
	switch complete {
	case 0:
	case len(best):
		what = "machine time and energy"
	default:
		what = "machine time, and energy where both phases have it"
	}
	if filled && hollow {
		f.notes = append(f.notes, "Filled: the device's own rate. Hollow: scenario, another machine's price on this machine's speed.")
	} else if hollow {
		f.notes = append(f.notes, "All are scenarios: another machine's price on this machine's speed.")
	}
	f.notes = append(f.notes, fmt.Sprintf("Of %s. %s", what, ends))
	f.caption = fmt.Sprintf("Dollars per million tokens of the %s blend for the cheapest configuration of each model, at every tier of the pricing file that fits its device.", in.Blend.Name)
	return []*figure{f}, nil
}

// bestOfModels returns the cheapest configuration of each model, by the first
// ranking there is, in order of the models.
func (in *input) bestOfModels() []*analyze.Config {
	if len(in.Rankings) == 0 {
		return nil
	}
	var out []*analyze.Config
	for _, model := range in.models {
		i := slices.IndexFunc(in.Rankings[0].Entries, func(e analyze.Ranked) bool { return e.Model == model })
		if i >= 0 {
			out = append(out, in.Rankings[0].Entries[i].Config)
		}
	}
	return out
}
