package report

import (
	"slices"

	"github.com/phasebench/phasebench/internal/analyze"
)

// prices is what a page needs to price the measured speeds anew: the formulas
// over it are in assets/costs.js, and those of econ.
type prices struct {
	Blend     string         `json:"blend"`
	Input     float64        `json:"input"` // share of prompt tokens in Blend
	Blends    []blend        `json:"blends"`
	Tiers     []tier         `json:"tiers"`
	USDPerKWh *float64       `json:"usd_per_kwh"` // null: energy has no price
	Configs   []pricedConfig `json:"configs"`
	Synthetic bool           `json:"synthetic"`
}

type blend struct {
	Name  string  `json:"name"`
	Input float64 `json:"input"`
}

type tier struct {
	Name       string  `json:"name"`
	USDPerHour float64 `json:"usd_per_hour"`
}

// pricedConfig is what one configuration's cost is made of.
type pricedConfig struct {
	Name     string `json:"name"`
	Baseline bool   `json:"baseline"` // decodes without the cache
	Own      *tier  `json:"own"`      // price of its device; null without one
	Prefill  phase  `json:"prefill"`
	Decode   phase  `json:"decode"`
}

// phase is econ.PhaseInterval: energy is power for its time, joules by
// themselves, both in part, or neither.
type phase struct {
	SPerTok estimate  `json:"s_per_tok"`
	PowerW  *estimate `json:"power_w"`
	JPerTok *estimate `json:"j_per_tok"`
}

type estimate struct {
	Value float64  `json:"value"`
	Half  *float64 `json:"half"` // of the interval; null when not known
}

// newPrices returns what to price; nil when nothing was measured.
func newPrices(a *analyze.Analysis) *prices {
	if len(a.Configs) == 0 {
		return nil
	}
	p := &prices{Blend: a.Blend.Name, Input: a.Blend.Input, Synthetic: len(a.Synthetic) > 0}
	for _, b := range a.Profiles() {
		p.Blends = append(p.Blends, blend(b))
	}
	if !slices.ContainsFunc(p.Blends, func(b blend) bool { return b.Name == a.Blend.Name }) {
		p.Blends = append(p.Blends, blend(a.Blend))
	}
	for _, x := range a.Prices.All("") {
		if !x.Own {
			p.Tiers = append(p.Tiers, tier{x.Tier, x.USDPerHour})
		}
	}
	if e := a.Prices.Energy; e != nil {
		p.USDPerKWh = &e.USDPerKWh
	}
	for _, c := range a.Configs {
		out := pricedConfig{Name: c.ConfigKey.String(), Baseline: c.DecodeMode == "uncached", Prefill: phaseOf(c.Prefill), Decode: phaseOf(c.Decode)}
		if len(c.Costs) > 0 && c.Costs[0].Own {
			out.Own = &tier{c.Costs[0].Tier, c.Costs[0].USDPerHour}
		}
		p.Configs = append(p.Configs, out)
	}
	return p
}

func phaseOf(r analyze.Rate) phase {
	p := phase{SPerTok: estimate(r.SPerTok)}
	if e := r.Energy; e != nil {
		p.PowerW, p.JPerTok = (*estimate)(e.PowerW), (*estimate)(e.JPerTok)
	}
	return p
}
