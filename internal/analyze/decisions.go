package analyze

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/phasebench/phasebench/econ"
)

// candidate is what a decision is between.
type candidate struct {
	name  string
	value float64
	half  *float64 // of the interval; nil when there is none
}

// apart says whether two candidates differ by more than their intervals:
// "~" when those overlap, nil when they are not known.
func apart(x, y candidate) any {
	switch {
	case x.half == nil || y.half == nil:
		return nil
	case math.Abs(x.value-y.value) <= *x.half+*y.half:
		return "~"
	}
	return "yes"
}

// factor is one thing to decide by.
type factor struct {
	name, unit string
	higher     bool // more is better
	needs      string
	of         func(a *Analysis) ([]candidate, error)
}

// valueOf returns what a configuration is judged by; ok is false when it does
// not have it.
type valueOf func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error)

// perConfig makes a candidate of each configuration with the cache that has
// the value and always sampled the same tokens.
func perConfig(of valueOf) func(*Analysis) ([]candidate, error) {
	return func(a *Analysis) ([]candidate, error) {
		var out []candidate
		for _, c := range a.serving() {
			if odd, _ := c.OddTokens(); odd > 0 {
				continue
			}
			v, known, ok, err := of(a, c)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			x := candidate{name: c.ConfigKey.String(), value: v.Value}
			if known {
				x.half = &v.Half
			}
			out = append(out, x)
		}
		return out, nil
	}
}

// decidingCost is the configuration's cost that decisions go by: at own rates
// when any configuration has one, else in the scenario, since the two cannot be
// compared; ok is false when it has none of that kind.
func (a *Analysis) decidingCost(c *Config) (x Cost, ok bool) {
	own := len(a.Rankings) > 0 && a.Rankings[0].Own
	i := slices.IndexFunc(c.Costs, func(x Cost) bool { return x.Own == own })
	if i < 0 {
		return x, false
	}
	return c.Costs[i], true
}

// weightedCost is what perPrefill tokens of prompt and perDecode generated ones
// cost at the deciding price.
func weightedCost(weights func(a *Analysis) (perPrefill, perDecode float64)) valueOf {
	return func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
		x, ok := a.decidingCost(c)
		if !ok {
			return v, false, false, nil
		}
		prefill, decode := a.billable(c.Prefill, c.Decode)
		if !a.Rankings[0].ByTotal { // energy counts when all candidates have it
			prefill, decode = prefill.withoutEnergy(), decode.withoutEnergy()
		}
		if x, err = a.cost(x.Price, prefill, decode); err != nil {
			return v, false, false, err
		}
		wp, wd := weights(a)
		v.Value = wp*x.Prefill.TotalUSD() + wd*x.Decode.TotalUSD()
		p, pok := prefill.interval()
		d, dok := decode.interval()
		if !pok || !dok {
			return v, false, true, nil
		}
		ip, err := p.USDPerM(a.at(x.Price))
		if err != nil {
			return v, false, false, err
		}
		id, err := d.USDPerM(a.at(x.Price))
		v.Half = math.Hypot(wp*ip.Half, wd*id.Half)
		return v, true, true, err
	}
}

func blendCost(b econ.Blend) valueOf {
	return weightedCost(func(*Analysis) (float64, float64) { return b.Input, b.Output() })
}

// ownBlendCost is blendCost of the analysis's own blend, times factor.
func ownBlendCost(factor float64) valueOf {
	return weightedCost(func(a *Analysis) (float64, float64) { return factor * a.Blend.Input, factor * a.Blend.Output() })
}

func requestCost(r econ.Request) valueOf {
	cost := weightedCost(func(*Analysis) (float64, float64) {
		return float64(r.PromptTokens) / 1e6, float64(r.GenTokens) / 1e6
	})
	return func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
		if !a.fits(c, r.PromptTokens+r.GenTokens) {
			return v, false, false, nil
		}
		return cost(a, c)
	}
}

// throughput is tokens a second of a phase, its relative interval that of the
// time a token takes.
func throughput(rate func(*Config) Rate) valueOf {
	return func(_ *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
		r := rate(c)
		v.Value = r.TokPerS()
		if h := r.SPerTok.Half; h != nil {
			v.Half, known = v.Value**h/r.SPerTok.Value, true
		}
		return v, known, true, nil
	}
}

// joules is the energy of a token of the blend, times factor, where it was
// measured: what the user assumed wins nothing.
func joules(factor func(a *Analysis) float64) valueOf {
	return func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
		j, err := a.blendJoules(c.Prefill, c.Decode)
		f := factor(a)
		if err != nil || j == nil || f == 0 || assumed(c.Prefill) || assumed(c.Decode) {
			return v, false, false, err
		}
		v, known = j.scaled(f)
		return v, known, true, nil
	}
}

// gramsPerJoule turns joules a token into grams of CO2 equivalent per million
// tokens; 0 without a carbon intensity.
func gramsPerJoule(a *Analysis) float64 {
	if a.Carbon == nil {
		return 0
	}
	return a.Carbon.GPerKWh * 1e6 / 3.6e6
}

func one(*Analysis) float64 { return 1 }

// decodeEnergy is the energy of a decoded token, which is known more often than
// that of the blend: prefill tends to be too short for the power sensor. It is
// of the scenario in which most configurations have it, since what is too fast
// for the sensor in the others must not be left out for that.
func decodeEnergy() factor {
	measured := func(g *Group) bool { return g.Decode.Energy != nil && !assumed(g.Decode) }
	return factor{name: "least energy in decode", unit: "J/tok", needs: needsDecodePower, of: func(a *Analysis) ([]candidate, error) {
		count, most := map[string]int{}, ""
		for _, g := range a.Groups {
			if !measured(g) || g.DecodeMode == "uncached" {
				continue
			}
			if count[g.Scenario]++; count[g.Scenario] > count[most] {
				most = g.Scenario
			}
		}
		return perConfig(func(_ *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
			g := c.group(most)
			if g == nil || !measured(g) {
				return v, false, false, nil
			}
			j, err := g.Decode.joules()
			if err != nil {
				return v, false, false, err
			}
			v, known = j.scaled(1)
			return v, known, true, nil
		})(a)
	}}
}

// factors are those of TR123 14.3 that data can decide.
func factors() []factor {
	return []factor{
		{name: "lowest cost of the blend", unit: "$/1M", needs: needsPrice,
			of: perConfig(ownBlendCost(1))},
		{name: "highest decode throughput", unit: "tok/s", higher: true, needs: "a measured row",
			of: perConfig(throughput(func(c *Config) Rate { return c.Decode }))},
		{name: "highest prefill throughput", unit: "tok/s", higher: true, needs: "a measured row",
			of: perConfig(throughput(func(c *Config) Rate { return c.Prefill }))},
		{name: "least KV memory a token", unit: "B", needs: needsShape, of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			err := a.eachCache(func(m *Model, typeK, typeV string, per int64) error {
				out = append(out, candidate{name: m.Name + ", " + cacheName(typeK, typeV), value: float64(per), half: new(float64)})
				return nil
			})
			return out, err
		}},
		{name: "longest context that the model has positions for", unit: "tokens", higher: true, needs: needsShape, of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			for _, m := range a.Models {
				if m.Info != nil {
					out = append(out, candidate{name: m.Name, value: float64(m.Info.CtxTrain), half: new(float64)})
				}
			}
			return out, nil
		}},
		{name: "most gained by CUDA graphs in decode", unit: "×", higher: true, needs: "a pair of GPU backends that differs in CUDA graphs only", of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			for _, g := range a.Graphs {
				if g.Decode == nil || g.With.DecodeMode == "uncached" {
					continue
				}
				half := (g.Decode.CI.Hi - g.Decode.CI.Lo) / 2
				out = append(out, candidate{name: g.With.Model, value: g.Decode.Value, half: &half})
			}
			return out, nil
		}},
		{name: "least energy of the blend", unit: "J/tok", needs: needsPower, of: perConfig(joules(one))},
		decodeEnergy(),
		{name: "lowest carbon of the blend", unit: "g/1M", needs: needsPower + " and a carbon intensity (--carbon)",
			of: perConfig(joules(gramsPerJoule))},
		{name: "cheapest request of 256+128 tokens", unit: "$", needs: needsPrice, of: perConfig(requestCost(requestMix))},
		{name: "lowest cost of a year of 1e9 tokens a month", unit: "$/year", needs: needsPrice,
			of: perConfig(ownBlendCost(12 * monthTokens / 1e6))},
	}
}

func cacheName(k, v string) string {
	if k == v {
		return k
	}
	return "k " + k + " v " + v
}

// ordered returns the candidates, best first.
func (f factor) ordered(a *Analysis) ([]candidate, error) {
	list, err := f.of(a)
	slices.SortStableFunc(list, func(x, y candidate) int {
		if f.higher {
			x, y = y, x
		}
		return cmp.Compare(x.value, y.value)
	})
	return list, err
}

// useCase is a need and the factor that answers it.
type useCase struct {
	name string
	factor
}

// useCases are those of TR123 14.2 that data can decide: what generates better
// text is not measured.
func useCases(a *Analysis) []useCase {
	var out []useCase
	for _, b := range econ.Profiles() {
		out = append(out, useCase{fmt.Sprintf("%s, %.0f %% of tokens are input", b.Name, 100*b.Input),
			factor{unit: "$/1M", needs: needsPrice, of: perConfig(blendCost(b))}})
	}
	for _, r := range a.Packs {
		out = append(out, useCase{fmt.Sprintf("%s requests, %d+%d tokens", r.Name, r.PromptTokens, r.GenTokens),
			factor{unit: "$", needs: needsPrice, of: perConfig(requestCost(r))}})
	}
	out = append(out,
		useCase{"soonest first token after 1,024 prompt tokens", factor{unit: "ms", needs: "cells with 512 prompt tokens or more", of: firstToken}},
		useCase{"largest model measured, cheapest way to run it", factor{unit: "$/1M", needs: needsPrice + ", and the models' parameters", of: largest}},
		useCase{"no GPU", factor{unit: "$/1M", needs: "rows on a CPU, with " + needsPrice, of: perConfig(func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
			if c.first().DeviceKind != "cpu" {
				return v, false, false, nil
			}
			return ownBlendCost(1)(a, c)
		})}},
		useCase{"least energy", factor{unit: "J/tok", needs: needsPower, of: perConfig(joules(one))}},
		useCase{"least energy in decode", decodeEnergy()},
	)
	return out
}

// firstToken estimates the prefill of 1,024 tokens from the longest prompt of
// each configuration whose model has positions for them and a token more.
var firstToken = perConfig(func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
	if !a.fits(c, 1024+1) {
		return v, false, false, nil
	}
	longest := c.Groups[0]
	for _, g := range c.Groups {
		if g.PromptTokens > longest.PromptTokens {
			longest = g
		}
	}
	t := longest.Prefill.SPerTok
	v.Value = 1000 * 1024 * t.Value
	if t.Half != nil {
		v.Half, known = 1000*1024**t.Half, true
	}
	return v, known, longest.PromptTokens >= 512, nil
})

func largest(a *Analysis) ([]candidate, error) {
	var model *Model
	for _, m := range a.Models {
		if m.Info != nil && m.Info.Params > 0 && (model == nil || m.Info.Params > model.Info.Params) {
			model = m
		}
	}
	return perConfig(func(a *Analysis, c *Config) (v econ.Interval, known, ok bool, err error) {
		if model == nil || c.Model != model.Name {
			return v, false, false, nil
		}
		return ownBlendCost(1)(a, c)
	})(a)
}

func decisionTables() []definition {
	return []definition{
		{
			name: studies + "recommendations", section: "14.2", title: "What to run for what", needs: "a measured row",
			columns: []Column{col("use_case", "use case", ""), col("choice", "choice", ""), col("value", "value", ""), col("unit", "unit", ""), col("of", "of", ""), blank("apart", "ahead of the next"), blank("missing", "not decided, needs")},
			fill: func(a *Analysis, t *Table) error {
				for _, u := range useCases(a) {
					list, err := u.ordered(a)
					if err != nil {
						return err
					}
					if len(list) == 0 {
						t.Add(u.name, nil, nil, u.unit, 0, nil, u.needs)
						continue
					}
					var ahead any = "no other"
					if len(list) > 1 {
						ahead = apart(list[0], list[1])
					}
					t.Add(u.name, list[0].name, list[0].value, u.unit, len(list), ahead, nil)
				}
				return nil
			},
			notes: []string{"At the devices' own rates, which leaves out devices without; in the scenario when none has one. A configuration whose value is not known, or that did not always sample the same tokens, is no candidate; of: how many are. Costs are of machine time unless the energy of all is known. Decode energy is compared in the scenario where most have it; assumed energy is no candidate for the least. ~: its interval overlaps that of the next. Quality of the text does not enter."},
		},
		{
			name: studies + "decision_matrix", section: "14.3", title: "Winner, runner-up and what to avoid", needs: "two candidates for a factor",
			columns: []Column{col("factor", "factor", ""), col("unit", "unit", ""), col("winner", "winner", ""), col("winner_value", "value", ""),
				col("runner_up", "runner-up", ""), col("runner_up_value", "value", ""), blank("apart", "apart"), blank("avoid", "avoid"), Column{Name: "avoid_value", Title: "value", Blank: true},
				col("candidates", "of", ""), blank("missing", "not decided, needs")},
			fill: func(a *Analysis, t *Table) error {
				for _, f := range factors() {
					list, err := f.ordered(a)
					if err != nil {
						return err
					}
					row := []any{f.name, f.unit, nil, nil, nil, nil, nil, nil, nil, len(list), nil}
					switch n := len(list); {
					case n == 0:
						row[10] = f.needs
					case n == 1:
						row[10] = "a second candidate"
					case n > 2: // the second of two is no advice
						row[7], row[8] = list[n-1].name, list[n-1].value
					}
					if len(list) > 1 { // one alone wins nothing
						for i, x := range list[:2] {
							row[2+2*i], row[3+2*i] = x.name, x.value
						}
						row[6] = apart(list[0], list[1])
					}
					t.Add(row...)
				}
				return nil
			},
			notes: []string{"~: the intervals of winner and runner-up overlap, so the order may be noise; –: too few repetitions to say."},
		},
	}
}
