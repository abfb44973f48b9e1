package analyze

import (
	"fmt"
	"math"
	"strings"
)

// Status says what a run's data make of a claim.
type Status string

// The statuses of claims. Validated and Refuted are about this run's models,
// device and workload, nothing else.
const (
	Validated   Status = "Validated"
	Refuted     Status = "Refuted"
	NotTestable Status = "Not testable here"
)

// Claim is a claim of TR123 as a predicate over this run.
type Claim struct {
	Number    int    `json:"number"` // in TR123's list
	Claim     string `json:"claim"`
	Predicate string `json:"predicate"` // what was tested
	Status    Status `json:"status"`
	Evidence  string `json:"evidence"` // counts and effect size, or why it cannot be tested
}

// evidence collects the values a predicate was asked about.
type evidence struct {
	n, bad   int
	lo, hi   float64
	against  set
	unit     string
	open     int // values whose interval leaves the answer open
	whatEach string
}

// see notes one value and whether the predicate holds for it.
func (e *evidence) see(v float64, holds bool, where string) {
	if e.n == 0 {
		e.lo, e.hi = v, v
	}
	e.n++
	e.lo, e.hi = math.Min(e.lo, v), math.Max(e.hi, v)
	if !holds {
		e.bad++
		if len(e.against.list) < namedPlaces {
			e.against.add(fmt.Sprintf("%s: %s%s", where, figure(v), e.unit))
		}
	}
}

// figure prints a number for a sentence.
func figure(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// span prints the values seen, from the least to the most.
func (e *evidence) span() string {
	lo, hi := figure(e.lo)+e.unit, figure(e.hi)+e.unit
	if lo == hi {
		return lo
	}
	return "between " + lo + " and " + hi
}

func (e *evidence) claim(number int, claim, predicate, need string) Claim {
	c := Claim{Number: number, Claim: claim, Predicate: predicate, Status: Validated}
	if e.n == 0 {
		c.Status, c.Evidence = NotTestable, need
		return c
	}
	c.Evidence = fmt.Sprintf("holds for %d of %d %s, which are %s", e.n-e.bad, e.n, e.whatEach, e.span())
	if e.bad > 0 {
		c.Status = Refuted
		c.Evidence += "; not for " + strings.Join(e.against.list, "; ")
		return c
	}
	if e.open > 0 {
		c.Status = NotTestable
		c.Evidence += fmt.Sprintf("; but the interval of %d of them leaves it open, or there is none: more repetitions are needed", e.open)
	}
	return c
}

// claims judges the seven claims of TR123 (Claim Validation).
func (a *Analysis) claims() ([]Claim, error) {
	cached := evidence{unit: "×", whatEach: "cost ratios"}
	for _, u := range a.Uncached {
		cached.see(u.Ratio, u.Ratio > 1, u.Plain.Key.String())
		if u.CI == nil || u.CI.Lo <= 1 && u.CI.Hi >= 1 {
			cached.open++
		}
	}

	compile := evidence{unit: "×", whatEach: "speed-ups by model and scenario"}
	for _, g := range a.Graphs {
		if g.With.DecodeMode == "uncached" { // a step of it is a prefill
			continue
		}
		for _, x := range g.Without.Groups {
			if y := g.With.group(x.Scenario); y != nil {
				v := y.Decode.TokPerS() / x.Decode.TokPerS()
				compile.see(v, v >= 1.2 && v <= 2.5, y.Key.String())
			}
		}
	}

	gqa := evidence{unit: "×", whatEach: "pairs of an MHA and a GQA model"}
	type perToken struct {
		model string
		bytes int64
	}
	var shared, full []perToken
	err := a.eachCache(func(m *Model, typeK, typeV string, per int64) error {
		if typeK != "f16" || typeV != "f16" {
			return nil
		}
		if kind, _ := m.attention(); kind == "MHA" {
			full = append(full, perToken{m.Name, per})
		} else {
			shared = append(shared, perToken{m.Name, per})
		}
		return nil
	})
	for _, f := range full {
		for _, s := range shared {
			v := float64(f.bytes) / float64(s.bytes)
			gqa.see(v, v >= 3 && v <= 11, f.model+" over "+s.model)
		}
	}

	infra := evidence{unit: " %", whatEach: "infra shares of the blend's cost at the device's own rate"}
	cheaper := evidence{unit: " %", whatEach: "savings against on-demand tiers"}
	for _, c := range a.Configs {
		if len(c.Costs) == 0 || !c.Costs[0].Own {
			continue
		}
		own := c.Costs[0]
		if share, ok := own.Blend.EnergyShare(); ok && !assumed(c.Prefill) && !assumed(c.Decode) {
			infra.see(100*(1-share), share < 0.5, c.ConfigKey.String())
		}
		if own.BoughtUSD == nil {
			continue
		}
		for _, p := range a.Prices.Here(c.Device) {
			if p.Own || p.Term != onDemand {
				continue
			}
			x, err := a.cost(p, c.Prefill, c.Decode)
			if err != nil {
				return nil, err
			}
			v := 100 * (1 - own.Blend.TotalUSD()/x.Blend.TotalUSD())
			cheaper.see(v, v >= 95, c.ConfigKey.String()+" against "+p.Tier)
		}
	}

	exact := evidence{unit: " B", whatEach: "differences between cache and formula"}
	for _, k := range a.KV {
		if k.Exact != nil {
			exact.see(float64(k.UsedBytes-*k.FormulaBytes), *k.Exact, k.Key.String())
		}
	}
	for _, p := range a.KVPoints {
		if p.Exact != nil {
			exact.see(float64(p.UsedBytes-*p.FormulaBytes), *p.Exact, fmt.Sprintf("%s, %d tokens", p.Model, p.Tokens))
		}
	}

	phases := evidence{unit: "×", whatEach: "cells"}
	for _, g := range a.Groups {
		if g.DecodeMode != "uncached" {
			v := g.Decode.SPerTok.Value / g.Prefill.SPerTok.Value
			phases.see(v, v >= 10 && v <= 100, g.Key.String())
		}
	}

	first := cached.claim(1, "KV-cached decode is cheaper than uncached", "machine time of a token without the cache over that with it exceeds 1, its interval too",
		"no scenario with decode: uncached has a cached one of the same prompt beside it")
	if len(a.Uncached) > 0 {
		first.Evidence += "; " + a.growth()
	}
	return []Claim{
		first,
		compile.claim(2, "Compilation speeds decode up 1.2 to 2.5 times", "decode tok/s with CUDA graphs, the compiled path here, over that without lies in [1.2, 2.5]",
			"no pair of GPU backends differs in CUDA graphs only"),
		gqa.claim(3, "GQA reduces KV memory 3 to 11 times against MHA", "bytes a token of each MHA model over each GQA model, f16, lie in [3, 11]",
			"needs a model with MHA and one with GQA"),
		infra.claim(4, "Infrastructure dominates energy in cost", "the infra part exceeds half of the blend's cost",
			"needs measured energy of both phases, an electricity price and the device's own rate"),
		cheaper.claim(5, "Own consumer hardware is 95 % cheaper than the cloud", "the blend at the device's own amortised rate costs at least 95 % less than the same speed at each on-demand tier (scenario)",
			"the measured device has no own tier with a purchase price"),
		exact.claim(6, "The KV memory formula is exact", "payload and formula differ by 0 bytes", "no cache was inspected, or no model's shape is known"),
		phases.claim(7, "Prefill is 10 to 100 times cheaper than decode per token", "time, so machine cost, of a decoded token over that of a prompt token lies in [10, 100]", "no row was measured"),
	}, err
}

// growth says how the cost of decoding without the cache grows with the context,
// which takes two lengths to see.
func (a *Analysis) growth() string {
	e := evidence{unit: " times"}
	for _, u := range a.Uncached {
		if u.Growth != nil {
			e.see(*u.Growth, *u.Growth > 1, fmt.Sprintf("%s, %d to %d tokens", u.Cached.ConfigKey, u.Shortest, u.Tokens))
		}
	}
	if e.n == 0 {
		return "whether the ratio grows with the context takes cells of two lengths"
	}
	text := fmt.Sprintf("the ratio grows with the context in %d of %d comparisons of a longer with the shortest one, to %s", e.n-e.bad, e.n, e.span())
	if e.bad > 0 {
		text += "; not for " + strings.Join(e.against.list, "; ")
	}
	return text
}

func claimTables() []definition {
	return []definition{{
		name: studies + "claims", title: "The claims of TR123 on this run", needs: "a measured row",
		columns: []Column{col("number", "#", ""), col("claim", "claim", ""), col("status", "status", ""), col("predicate", "tested", ""), col("evidence", "evidence", "")},
		fill: func(a *Analysis, t *Table) error {
			for _, c := range a.Claims {
				t.Add(c.Number, c.Claim, string(c.Status), c.Predicate, c.Evidence)
			}
			return nil
		},
	}}
}
