// Package pricing reads what machines, electricity and carbon cost. Every
// figure is a record with a source and the date it was read, so that a report
// can say where its dollars come from. The files are read strictly: a key that
// is not known, a value out of range or a figure without a source is an error
// that points at its line and column.
package pricing

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phasebench/phasebench/econ"
)

// Pricing is a pricing file.
type Pricing struct {
	Energy   *Energy `yaml:"energy"`   // nil: energy has no price
	Blend    string  `yaml:"blend"`    // default blend; default "chat"
	Blends   []Blend `yaml:"blends"`   // default econ.Profiles
	Scenario string  `yaml:"scenario"` // tier to show beside a device's own; none when empty
	Tiers    []Tier  `yaml:"tiers"`

	Requests []Request `yaml:"requests"` // product shapes to price; default econ.Packs
}

// Source is where a figure comes from.
type Source struct {
	Source string `yaml:"source"` // document or address, not empty
	Read   string `yaml:"read"`   // date it was read there, YYYY-MM-DD
}

// Citation returns the source and the date in words.
func (s Source) Citation() string { return s.Source + ", read " + s.Read }

// Energy is the price of electricity.
type Energy struct {
	USDPerKWh float64 `yaml:"usd_per_kwh"` // >= 0
	Source    `yaml:",inline"`
}

// Blend is a named mix of input and output tokens.
type Blend struct {
	Name  string  `yaml:"name"`
	Input float64 `yaml:"input"` // share of prompt tokens, in [0,1]
}

// Request is a named shape of request.
type Request struct {
	Name         string `yaml:"name"`
	PromptTokens int    `yaml:"prompt_tokens"` // >= 0
	GenTokens    int    `yaml:"gen_tokens"`    // >= 0
}

// Tier is one price of machine time: either a rate or hardware to be
// amortised.
type Tier struct {
	Name       string    `yaml:"name"`
	USDPerHour *float64  `yaml:"usd_per_hour"` // >= 0; filled in from Hardware when that is given
	Hardware   *Hardware `yaml:"hardware"`
	// BoughtUSD is what the machine behind USDPerHour costs to buy, where the
	// rate is not made from Hardware; >= 0.
	BoughtUSD *float64 `yaml:"bought_usd"`
	// Provider and Term sort rented tiers: who rents them out, and "on-demand",
	// "spot", "1yr" or "3yr". Both may be empty.
	Provider string `yaml:"provider"`
	Term     string `yaml:"term"`
	// Devices are the devices this is the own rate of: patterns as of
	// path.Match against the engine's device name, without regard to case.
	Devices []string `yaml:"devices"`
	Source  `yaml:",inline"`
}

// Hardware is a machine that was bought; see econ.AmortizedUSDPerHour.
type Hardware struct {
	PriceUSD    float64 `yaml:"price_usd"`   // >= 0
	LifeYears   float64 `yaml:"life_years"`  // > 0
	Utilisation float64 `yaml:"utilisation"` // share of the hours it works, in (0,1]
}

// Load reads the pricing file at path.
func Load(path string) (*Pricing, error) {
	var p Pricing
	f, err := read(path, &p)
	if err != nil {
		return nil, err
	}
	p.check(f)
	return &p, f.err()
}

func (p *Pricing) check(f *file) {
	if p.Energy != nil {
		f.amount("$.energy.usd_per_kwh", "usd_per_kwh", p.Energy.USDPerKWh)
		f.checkSource("$.energy", p.Energy.Source)
	}
	var blends names
	for i, b := range p.Blends {
		at := fmt.Sprintf("$.blends[%d]", i)
		blends.add(f, at, b.Name)
		f.checkf(at+".input", b.Input >= 0 && b.Input <= 1, "input must be in [0,1]")
	}
	if p.Blend != "" {
		_, err := p.BlendNamed(p.Blend)
		f.checkf("$.blend", err == nil, "%v", err)
	}

	var requests names
	for i, r := range p.Requests {
		at := fmt.Sprintf("$.requests[%d]", i)
		requests.add(f, at, r.Name)
		f.tokens(at, "prompt_tokens", r.PromptTokens)
		f.tokens(at, "gen_tokens", r.GenTokens)
	}

	var tiers names
	for i := range p.Tiers {
		t, at := &p.Tiers[i], fmt.Sprintf("$.tiers[%d]", i)
		tiers.add(f, at, t.Name)
		f.checkSource(at, t.Source)
		t.checkRate(f, at)
		if t.BoughtUSD != nil {
			f.amount(at+".bought_usd", "bought_usd", *t.BoughtUSD)
			f.checkf(at+".bought_usd", t.Hardware == nil, "bought_usd: hardware has a price of its own")
		}
		f.checkf(at+".term", slices.Contains([]string{"", "on-demand", "spot", "1yr", "3yr"}, t.Term), "term %q is none of on-demand, spot, 1yr, 3yr", t.Term)
		for j, pattern := range t.Devices {
			_, err := path.Match(pattern, "")
			f.checkf(fmt.Sprintf("%s.devices[%d]", at, j), err == nil && pattern != "", "%q is no pattern of device names", pattern)
		}
	}
	if p.Scenario != "" {
		_, err := p.TierNamed(p.Scenario)
		f.checkf("$.scenario", err == nil, "%v", err)
	}
}

func (t *Tier) checkRate(f *file, at string) {
	switch {
	case (t.USDPerHour == nil) == (t.Hardware == nil):
		f.checkf(at, false, "tier %q needs usd_per_hour or hardware, one of them", t.Name)
	case t.USDPerHour != nil:
		f.amount(at+".usd_per_hour", "usd_per_hour", *t.USDPerHour)
	default:
		h := t.Hardware
		rate, err := econ.AmortizedUSDPerHour(h.PriceUSD, h.LifeYears, h.Utilisation)
		f.checkf(at+".hardware", err == nil, "%v", err)
		if err == nil {
			f.amount(at+".hardware.price_usd", "price_usd", h.PriceUSD)
			f.amount(at+".hardware", "its price an hour in USD", rate)
		}
		t.USDPerHour = &rate
	}
}

// PurchaseUSD returns what the machine costs to buy; nil for one that is rented.
func (t *Tier) PurchaseUSD() *float64 {
	if t.Hardware != nil {
		return &t.Hardware.PriceUSD
	}
	return t.BoughtUSD
}

// Packs returns the request shapes to price.
func (p *Pricing) Packs() []econ.Request {
	if len(p.Requests) == 0 {
		return econ.Packs()
	}
	var out []econ.Request
	for _, r := range p.Requests {
		out = append(out, econ.Request(r))
	}
	return out
}

// names finds entries without a name and names used twice.
type names []string

func (n *names) add(f *file, at, name string) {
	f.checkf(at, name != "", "name is missing")
	f.checkf(at+".name", name == "" || !slices.Contains(*n, name), "%q is defined twice", name)
	*n = append(*n, name)
}

func (f *file) checkSource(at string, s Source) {
	f.checkf(at, strings.TrimSpace(s.Source) != "", "source is missing: say where the figure comes from")
	_, err := time.Parse(time.DateOnly, s.Read)
	f.checkf(at, err == nil, "read must be the date the figure was read, as YYYY-MM-DD, not %q", s.Read)
}

// Profiles returns the blends that have names.
func (p *Pricing) Profiles() []econ.Blend {
	if len(p.Blends) == 0 {
		return econ.Profiles()
	}
	var out []econ.Blend
	for _, b := range p.Blends {
		out = append(out, econ.Blend(b))
	}
	return out
}

// BlendNamed returns the blend of that name; the empty name is the file's
// default, and a number in [0,1] is the share of input tokens. An unknown name
// is an error that lists the known ones.
func (p *Pricing) BlendNamed(name string) (econ.Blend, error) {
	known := p.Profiles()
	name = cmp.Or(name, p.Blend, "chat")
	var have []string
	for _, b := range known {
		if b.Name == name {
			return b, nil
		}
		have = append(have, b.Name)
	}
	if input, err := strconv.ParseFloat(name, 64); err == nil && input >= 0 && input <= 1 {
		return econ.Blend{Name: fmt.Sprintf("%g %% input", 100*input), Input: input}, nil
	}
	return econ.Blend{}, fmt.Errorf("no blend named %q; known: %s, and input shares from 0 to 1", name, strings.Join(have, ", "))
}

// TierNamed returns the tier of that name. An unknown name is an error that
// lists the known ones.
func (p *Pricing) TierNamed(name string) (*Tier, error) {
	var have []string
	for i := range p.Tiers {
		if p.Tiers[i].Name == name {
			return &p.Tiers[i], nil
		}
		have = append(have, p.Tiers[i].Name)
	}
	return nil, fmt.Errorf("no tier named %q; known: %s", name, strings.Join(have, ", "))
}

// Own returns the first tier that is the own rate of a device, or nil: a
// device is never priced by the rate of another.
func (p *Pricing) Own(device string) *Tier {
	for i := range p.Tiers {
		if p.Tiers[i].Owns(device) {
			return &p.Tiers[i]
		}
	}
	return nil
}

// Owns reports whether the tier is a rate of that device.
func (t *Tier) Owns(device string) bool {
	return slices.ContainsFunc(t.Devices, func(pattern string) bool {
		ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(device))
		return ok
	})
}
