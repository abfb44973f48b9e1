package analyze

import (
	"errors"
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/pricing"
)

// Price is what an hour of a device costs, and by what right.
type Price struct {
	Tier       string
	USDPerHour float64
	Source     string
	Own        bool // the rate of the device that was measured; else a scenario
	Owned      bool // not the rate that the device is priced at, but one of its kind all the same

	Provider, Term string   // see pricing.Tier; empty for a machine of one's own
	BoughtUSD      *float64 // what the machine costs to buy; nil for one that is rented
	elsewhere      bool     // the tier belongs to devices, and not to the one at hand
}

// Label names the price as it must appear beside any figure made with it.
func (p Price) Label() string {
	kind := "scenario"
	switch {
	case p.Own:
		kind = "own rate"
	case p.Owned:
		kind = "other rate of the device"
	}
	return fmt.Sprintf("%s %s, $%g/h", kind, p.Tier, p.USDPerHour)
}

// Prices are the prices an analysis uses.
type Prices struct {
	Energy   *pricing.Energy // nil: energy has no price
	Scenario *Price          // nil: none
	rate     *float64
	file     *pricing.Pricing
}

func newPrices(opts Options) (Prices, error) {
	p := Prices{Energy: opts.Pricing.Energy, rate: opts.RateUSDPerHour, file: opts.Pricing}
	if p.rate != nil && !(*p.rate >= 0) {
		return p, fmt.Errorf("rate %v $/h: want a number >= 0", *p.rate)
	}
	if name := opts.Pricing.Scenario; name != "" {
		tier, err := opts.Pricing.TierNamed(name)
		if err != nil {
			return p, err
		}
		price := priceOf(tier, false)
		p.Scenario = &price
	}
	return p, nil
}

// priceOf is a tier as a price of a device that owns it or does not.
func priceOf(t *pricing.Tier, own bool) Price {
	return Price{
		Tier: t.Name, USDPerHour: *t.USDPerHour, Source: t.Citation(), Own: own,
		Provider: t.Provider, Term: t.Term, BoughtUSD: t.PurchaseUSD(), elsewhere: !own && len(t.Devices) > 0,
	}
}

// All returns a device's own price, then every other tier of the pricing file: as
// another rate of the device where it names that, else as a scenario.
func (p Prices) All(device string) []Price {
	var out []Price
	own := ""
	if p := p.Of(device); len(p) > 0 && p[0].Own {
		out, own = p[:1], p[0].Tier
	}
	for i := range p.file.Tiers {
		if t := &p.file.Tiers[i]; t.Name != own {
			p := priceOf(t, false)
			if p.Owned = t.Owns(device); p.Owned {
				p.elsewhere = false
			}
			out = append(out, p)
		}
	}
	return out
}

// Here returns what All does without the tiers that belong to other devices:
// what another GPU rents for says nothing about this one's speed.
func (p Prices) Here(device string) []Price {
	return slices.DeleteFunc(p.All(device), func(p Price) bool { return p.elsewhere })
}

// Of returns the prices of a device: its own first if there is one, then the
// scenario unless that is the same tier.
func (p Prices) Of(device string) []Price {
	var out []Price
	if p.rate != nil {
		out = append(out, Price{Tier: "--rate", USDPerHour: *p.rate, Source: "given on the command line", Own: true})
	} else if tier := p.file.Own(device); tier != nil {
		out = append(out, priceOf(tier, true))
	}
	if s := p.Scenario; s != nil && (len(out) == 0 || out[0].Tier != s.Tier) {
		out = append(out, *s)
	}
	return out
}

// Cost is what a million tokens cost at one price.
type Cost struct {
	Price
	Prefill, Decode, Blend econ.Cost // energy absent unless priced and measured for both phases
	BlendCI                *econ.Interval

	// The phases by themselves, each with its energy where that was measured.
	PrefillAlone, DecodeAlone econ.Cost
}

// price fills in the costs and carbon of groups and configurations.
func (a *Analysis) price() error {
	for _, g := range a.Groups {
		var err error
		if g.Costs, err = a.costs(g.Device, g.Prefill, g.Decode); err != nil {
			return fmt.Errorf("%s: %w", g.Key, err)
		}
		if g.GCO2ePerM, err = a.carbon(g.Prefill, g.Decode); err != nil {
			return fmt.Errorf("%s: %w", g.Key, err)
		}
	}
	for _, c := range a.Configs {
		var err error
		if c.Costs, err = a.costs(c.Device, c.Prefill, c.Decode); err != nil {
			return fmt.Errorf("%s: %w", c.ConfigKey, err)
		}
	}
	return nil
}

func (a *Analysis) costs(device string, prefill, decode Rate) ([]Cost, error) {
	var out []Cost
	for _, price := range a.Prices.Of(device) {
		c, err := a.cost(price, prefill, decode)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// TierCosts returns what a configuration costs at its own price, at each tier
// of its device or of none, and in the scenario.
func (a *Analysis) TierCosts(c *Config) ([]Cost, error) {
	prices := a.Prices.Here(c.Device)
	if s := a.Prices.Scenario; s != nil && !slices.ContainsFunc(prices, func(p Price) bool { return p.Tier == s.Tier }) {
		prices = append(prices, *s)
	}
	var out []Cost
	for _, p := range prices {
		x, err := a.cost(p, c.Prefill, c.Decode)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.ConfigKey, err)
		}
		out = append(out, x)
	}
	return out, nil
}

// PhaseCost returns dollars per million tokens of one phase at a price, with
// its energy or without; with it, energy must be known for the rate. The
// half-width is nil when that of a part is not known.
func (a *Analysis) PhaseCost(p Price, r Rate, energy bool) (Estimate, error) {
	if r = a.priced(r); !energy {
		r = r.withoutEnergy()
	} else if r.Energy == nil {
		return Estimate{}, errors.New("dollars of a phase with energy: its energy, or the price of electricity, is not known")
	}
	if in, ok := r.interval(); ok {
		usd, err := in.USDPerM(a.at(p))
		return Estimate{usd.Value, &usd.Half}, err
	}
	cost, err := r.phase().CostPerM(a.at(p))
	return Estimate{Value: cost.TotalUSD()}, err
}

func (a *Analysis) cost(price Price, prefill, decode Rate) (Cost, error) {
	at := a.at(price)
	c := Cost{Price: price}
	var err error
	if c.PrefillAlone, err = a.priced(prefill).phase().CostPerM(at); err != nil {
		return c, err
	}
	if c.DecodeAlone, err = a.priced(decode).phase().CostPerM(at); err != nil {
		return c, err
	}
	prefill, decode = a.billable(prefill, decode)
	if c.Prefill, err = prefill.phase().CostPerM(at); err != nil {
		return c, err
	}
	if c.Decode, err = decode.phase().CostPerM(at); err != nil {
		return c, err
	}
	if c.Blend, err = a.Blend.CostPerM(prefill.phase(), decode.phase(), at); err != nil {
		return c, err
	}
	c.BlendCI, err = blendInterval(a.Blend, prefill, decode, at)
	return c, err
}

// at returns a price of machine time with that of electricity.
func (a *Analysis) at(p Price) econ.Prices {
	at := econ.Prices{USDPerHour: p.USDPerHour}
	if a.Prices.Energy != nil {
		at.USDPerKWh = a.Prices.Energy.USDPerKWh
	}
	return at
}

// billable returns the rates without energy unless it can be part of a cost:
// electricity needs a price, and both phases' energy, since one alone would be
// half a total.
func (a *Analysis) billable(prefill, decode Rate) (Rate, Rate) {
	if prefill.Energy == nil || decode.Energy == nil {
		return prefill.withoutEnergy(), decode.withoutEnergy()
	}
	return a.priced(prefill), a.priced(decode)
}

// priced returns the rate without energy when electricity has no price.
func (a *Analysis) priced(r Rate) Rate {
	if a.Prices.Energy == nil {
		return r.withoutEnergy()
	}
	return r
}

// blendInterval carries the intervals of times and energy into the blend; nil
// when one of them is not known.
func blendInterval(b econ.Blend, prefill, decode Rate, at econ.Prices) (*econ.Interval, error) {
	p, pok := prefill.interval()
	d, dok := decode.interval()
	if !pok || !dok {
		return nil, nil
	}
	pc, err := p.USDPerM(at)
	if err != nil {
		return nil, err
	}
	dc, err := d.USDPerM(at)
	if err != nil {
		return nil, err
	}
	mixed, err := b.MixInterval(pc, dc)
	return &mixed, err
}

func (a *Analysis) carbon(prefill, decode Rate) (*float64, error) {
	j, ok, err := a.Blend.JPerTok(prefill.phase(), decode.phase())
	if err != nil || !ok || a.Carbon == nil {
		return nil, err
	}
	g, err := econ.GCO2ePerM(j, a.Carbon.GPerKWh)
	return &g, err
}
