package analyze

import (
	"cmp"
	"slices"
	"strings"
)

// Config is one configuration over its scenarios.
type Config struct {
	ConfigKey
	Device          string
	Groups          []*Group // one for each scenario measured
	Scenarios       []string // of them
	Prefill, Decode Rate     // pooled over the scenarios
	Costs           []Cost   // own price first, if any
}

// OddTokens returns how many rows sampled other tokens than most rows of the same
// prompt, and of how many. Where any did, what was timed may be a wrong
// computation.
func (c *Config) OddTokens() (odd, of int) {
	for _, g := range c.Groups {
		o, n := g.oddTokens()
		odd, of = odd+o, of+n
	}
	return odd, of
}

// configs pools groups, which are ordered by configuration.
func configs(groups []*Group) []*Config {
	var out []*Config
	for len(groups) > 0 {
		first := groups[0]
		n := 0
		c := &Config{ConfigKey: first.ConfigKey, Device: first.Device}
		var prefill, decode []Rate
		for n < len(groups) && groups[n].ConfigKey == first.ConfigKey {
			g := groups[n]
			c.Groups, c.Scenarios = append(c.Groups, g), append(c.Scenarios, g.Scenario)
			prefill, decode = append(prefill, g.Prefill), append(decode, g.Decode)
			n++
		}
		c.Prefill, c.Decode = pool(c.Scenarios, prefill), pool(c.Scenarios, decode)
		out = append(out, c)
		groups = groups[n:]
	}
	return out
}

// Ranking orders configurations by the blend's cost at prices of one kind.
type Ranking struct {
	Own      bool      // by each device's own rate; else by the scenario's
	Price    *Price    // the scenario; nil when Own
	ByTotal  bool      // ordered by infra + energy; else, since not all have energy, by infra alone
	Entries  []Ranked  // cheapest first
	Unpriced []*Config // without a price of this kind
	NoEnergy []*Config // left out of a ranking by total; only ways of decoding without the cache, which are a baseline
}

// Ranked is one place of a ranking.
type Ranked struct {
	*Config
	Cost       Cost     // without energy unless the ranking is ByTotal
	USDPerM    float64  // what the order is by
	TimesBest  float64  // USDPerM over the first entry's; 1 for the first
	TimesHalf  *float64 // half-width of its interval; nil for the first and where one is not known
	Overlaps   bool     // its interval overlaps that of the first: the order may be noise
	NoInterval bool     // too few rows for an interval, here or for the first
}

// rankings returns the ranking by own rates and the one by the scenario, each
// only when some configuration has such a price.
func (a *Analysis) rankings(w *warnings) ([]*Ranking, error) {
	var out []*Ranking
	for _, own := range []bool{true, false} {
		r, err := a.rank(own, w)
		if err != nil {
			return nil, err
		}
		if len(r.Entries) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

func (a *Analysis) rank(own bool, w *warnings) (*Ranking, error) {
	r := &Ranking{Own: own}
	for _, c := range a.Configs {
		i := slices.IndexFunc(c.Costs, func(x Cost) bool { return x.Own == own })
		if i < 0 {
			r.Unpriced = append(r.Unpriced, c)
			continue
		}
		r.Entries = append(r.Entries, Ranked{Config: c, Cost: c.Costs[i]})
	}
	if len(r.Entries) == 0 {
		return r, nil
	}
	r.decideTotal()
	if !own {
		r.Price = &r.Entries[0].Cost.Price
	}
	r.warn(w)
	for i := range r.Entries {
		e := &r.Entries[i]
		if !r.ByTotal {
			var err error
			if e.Cost, err = a.cost(e.Cost.Price, e.Prefill.withoutEnergy(), e.Decode.withoutEnergy()); err != nil {
				return nil, err
			}
		}
		e.USDPerM = e.Cost.Blend.TotalUSD()
	}
	slices.SortStableFunc(r.Entries, func(a, b Ranked) int { return cmp.Compare(a.USDPerM, b.USDPerM) })
	best := r.Entries[0]
	for i := range r.Entries {
		e := &r.Entries[i]
		if best.USDPerM > 0 {
			e.TimesBest = e.USDPerM / best.USDPerM
		}
		if i > 0 {
			if err := e.against(best); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// against says how surely an entry is apart from the best.
func (e *Ranked) against(best Ranked) error {
	e.NoInterval = e.Cost.BlendCI == nil || best.Cost.BlendCI == nil
	if e.NoInterval {
		return nil
	}
	e.Overlaps = e.Cost.BlendCI.Lo() <= best.Cost.BlendCI.Hi()
	if best.USDPerM == 0 {
		return nil
	}
	times, err := e.Cost.BlendCI.Over(*best.Cost.BlendCI)
	e.TimesHalf = &times.Half
	return err
}

// decideTotal decides what the order is by: infra and energy where all have both.
// The baseline without the cache, of which energy is seldom measured, does not
// keep it from the others.
func (r *Ranking) decideTotal() {
	complete := func(e Ranked) bool { return e.Cost.Blend.Complete() }
	needed := slices.DeleteFunc(slices.Clone(r.Entries), func(e Ranked) bool { return e.DecodeMode == "uncached" })
	if len(needed) == 0 {
		needed = r.Entries
	}
	r.ByTotal = !slices.ContainsFunc(needed, func(e Ranked) bool { return !complete(e) })
	if !r.ByTotal {
		return
	}
	all := r.Entries
	r.Entries = nil
	for _, e := range all {
		if complete(e) {
			r.Entries = append(r.Entries, e)
		} else {
			r.NoEnergy = append(r.NoEnergy, e.Config)
		}
	}
}

func (r *Ranking) warn(w *warnings) {
	energy, full := 0, r.Entries[0].Scenarios
	for _, e := range r.Entries {
		if e.Cost.Blend.Complete() {
			energy++
		}
		if len(e.Scenarios) > len(full) {
			full = e.Scenarios
		}
	}
	if !r.ByTotal && energy > 0 {
		w.add("ranking", "energy was measured for %d of %d configurations, so the order is by machine time alone", energy, len(r.Entries))
	}
	for _, e := range r.Entries {
		if !slices.Equal(e.Scenarios, full) {
			w.add(e.String(), "measured on %s only, others on %s; the place in the ranking rests on other work",
				strings.Join(e.Scenarios, ", "), strings.Join(full, ", "))
		}
	}
}
