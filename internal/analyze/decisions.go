package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/econ"
)

// candidate is what a decision is between.
type candidate struct {
	name  string
	value float64
}

// factor is one thing to decide by.
type factor struct {
	name, unit string
	higher     bool // more is better
	needs      string
	of         func(a *Analysis) ([]candidate, error)
}

// perConfig makes a candidate of each configuration with the cache that has
// the value.
func perConfig(of func(a *Analysis, c *Config) (v float64, ok bool, err error)) func(*Analysis) ([]candidate, error) {
	return func(a *Analysis) ([]candidate, error) {
		var out []candidate
		for _, c := range a.Configs {
			if c.DecodeMode == "uncached" {
				continue
			}
			v, ok, err := of(a, c)
			if err != nil {
				return nil, err
			}
			if ok {
				out = append(out, candidate{c.ConfigKey.String(), v})
			}
		}
		return out, nil
	}
}

// blendCost is the cost of a blend at the configuration's first price, its own
// if it has one.
func blendCost(blend func(a *Analysis) econ.Blend) func(*Analysis, *Config) (float64, bool, error) {
	return func(a *Analysis, c *Config) (float64, bool, error) {
		if len(c.Costs) == 0 {
			return 0, false, nil
		}
		prefill, decode := a.billable(c.Prefill, c.Decode)
		x, err := blend(a).CostPerM(prefill.phase(), decode.phase(), a.at(c.Costs[0].Price))
		return x.TotalUSD(), true, err
	}
}

func requestCost(r econ.Request) func(*Analysis, *Config) (float64, bool, error) {
	return func(a *Analysis, c *Config) (float64, bool, error) {
		if len(c.Costs) == 0 {
			return 0, false, nil
		}
		prefill, decode := a.billable(c.Prefill, c.Decode)
		x, err := r.Cost(prefill.phase(), decode.phase(), a.at(c.Costs[0].Price))
		return x.TotalUSD(), true, err
	}
}

func joules(a *Analysis, c *Config) (float64, bool, error) {
	j, ok, err := a.Blend.JPerTok(c.Prefill.phase(), c.Decode.phase())
	return j, ok, err
}

// factors are those of TR123 14.3 that data can decide.
func factors() []factor {
	return []factor{
		{name: "lowest cost of the blend", unit: "$/1M", needs: needsPrice,
			of: perConfig(blendCost(func(a *Analysis) econ.Blend { return a.Blend }))},
		{name: "highest decode throughput", unit: "tok/s", higher: true, needs: "a measured row",
			of: perConfig(func(_ *Analysis, c *Config) (float64, bool, error) { return c.Decode.TokPerS(), true, nil })},
		{name: "highest prefill throughput", unit: "tok/s", higher: true, needs: "a measured row",
			of: perConfig(func(_ *Analysis, c *Config) (float64, bool, error) { return c.Prefill.TokPerS(), true, nil })},
		{name: "least KV memory a token", unit: "B", needs: needsShape, of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			err := a.eachCache(func(m *Model, typeK, typeV string, per int64) error {
				out = append(out, candidate{m.Name + ", " + cacheName(typeK, typeV), float64(per)})
				return nil
			})
			return out, err
		}},
		{name: "longest context that the model has positions for", unit: "tokens", higher: true, needs: needsShape, of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			for _, m := range a.Models {
				if m.Info != nil {
					out = append(out, candidate{m.Name, float64(m.Info.CtxTrain)})
				}
			}
			return out, nil
		}},
		{name: "most gained by CUDA graphs in decode", unit: "×", higher: true, needs: "a pair of GPU backends that differs in CUDA graphs only", of: func(a *Analysis) ([]candidate, error) {
			var out []candidate
			for _, g := range a.Graphs {
				out = append(out, candidate{g.With.Model, g.With.Decode.TokPerS() / g.Without.Decode.TokPerS()})
			}
			return out, nil
		}},
		{name: "least energy of the blend", unit: "J/tok", needs: needsPower, of: perConfig(joules)},
		{name: "lowest carbon of the blend", unit: "g/1M", needs: needsPower + " and a carbon intensity (--carbon)",
			of: perConfig(func(a *Analysis, c *Config) (float64, bool, error) {
				g, err := a.carbon(c.Prefill, c.Decode)
				if g == nil {
					return 0, false, err
				}
				return *g, true, err
			})},
		{name: "cheapest request of 256+128 tokens", unit: "$", needs: needsPrice, of: perConfig(requestCost(requestMix))},
		{name: "lowest cost of a year of 1e9 tokens a month", unit: "$/year", needs: needsPrice,
			of: perConfig(func(a *Analysis, c *Config) (float64, bool, error) {
				v, ok, err := blendCost(func(a *Analysis) econ.Blend { return a.Blend })(a, c)
				return 12 * monthTokens / 1e6 * v, ok, err
			})},
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
			factor{unit: "$/1M", needs: needsPrice, of: perConfig(blendCost(func(*Analysis) econ.Blend { return b }))}})
	}
	for _, r := range a.Packs {
		out = append(out, useCase{fmt.Sprintf("%s requests, %d+%d tokens", r.Name, r.PromptTokens, r.GenTokens),
			factor{unit: "$", needs: needsPrice, of: perConfig(requestCost(r))}})
	}
	out = append(out,
		useCase{"soonest first token after 1,024 prompt tokens", factor{unit: "ms", needs: "cells with 512 prompt tokens or more", of: firstToken}},
		useCase{"largest model measured, cheapest way to run it", factor{unit: "$/1M", needs: needsPrice + ", and the models' parameters", of: largest}},
		useCase{"no GPU", factor{unit: "$/1M", needs: "rows on a CPU, with " + needsPrice, of: perConfig(func(a *Analysis, c *Config) (float64, bool, error) {
			if c.first().DeviceKind != "cpu" {
				return 0, false, nil
			}
			return blendCost(func(a *Analysis) econ.Blend { return a.Blend })(a, c)
		})}},
		useCase{"least energy", factor{unit: "J/tok", needs: needsPower, of: perConfig(joules)}},
	)
	return out
}

// firstToken estimates the prefill of 1,024 tokens from the longest prompt of
// each configuration.
var firstToken = perConfig(func(_ *Analysis, c *Config) (float64, bool, error) {
	longest := c.Groups[0]
	for _, g := range c.Groups {
		if g.PromptTokens > longest.PromptTokens {
			longest = g
		}
	}
	return 1000 * 1024 * longest.Prefill.SPerTok.Value, longest.PromptTokens >= 512, nil
})

func largest(a *Analysis) ([]candidate, error) {
	var model *Model
	for _, m := range a.Models {
		if m.Info != nil && m.Info.Params > 0 && (model == nil || m.Info.Params > model.Info.Params) {
			model = m
		}
	}
	return perConfig(func(a *Analysis, c *Config) (float64, bool, error) {
		if model == nil || c.Model != model.Name {
			return 0, false, nil
		}
		return blendCost(func(a *Analysis) econ.Blend { return a.Blend })(a, c)
	})(a)
}

func decisionTables() []definition {
	return []definition{
		{
			name: studies + "recommendations", section: "14.2", title: "What to run for what", needs: "a measured row",
			columns: []Column{col("use_case", "use case", ""), col("choice", "choice", ""), col("value", "value", ""), col("unit", "unit", ""), col("of", "of", ""), blank("missing", "not decided, needs")},
			fill: func(a *Analysis, t *Table) error {
				for _, u := range useCases(a) {
					list, err := u.ordered(a)
					if err != nil {
						return err
					}
					if len(list) == 0 {
						t.Add(u.name, nil, nil, u.unit, 0, u.needs)
						continue
					}
					t.Add(u.name, list[0].name, list[0].value, u.unit, len(list), nil)
				}
				return nil
			},
			notes: []string{"At the device's own rate where it has one, else in the scenario. Quality of the text is not measured."},
		},
		{
			name: studies + "decision_matrix", section: "14.3", title: "Winner, runner-up and what to avoid", needs: "two candidates for a factor",
			columns: []Column{col("factor", "factor", ""), col("unit", "unit", ""), col("winner", "winner", ""), col("winner_value", "value", ""),
				col("runner_up", "runner-up", ""), col("runner_up_value", "value", ""), blank("avoid", "avoid"), Column{Name: "avoid_value", Title: "value", Blank: true},
				col("candidates", "of", ""), blank("missing", "not decided, needs")},
			fill: func(a *Analysis, t *Table) error {
				for _, f := range factors() {
					list, err := f.ordered(a)
					if err != nil {
						return err
					}
					row := []any{f.name, f.unit, nil, nil, nil, nil, nil, nil, len(list), nil}
					switch n := len(list); {
					case n == 0:
						row[9] = f.needs
					case n == 1:
						row[9] = "a second candidate"
					case n > 2: // the second of two is no advice
						row[6], row[7] = list[n-1].name, list[n-1].value
					}
					for i, x := range list[:min(2, len(list))] {
						row[2+2*i], row[3+2*i] = x.name, x.value
					}
					t.Add(row...)
				}
				return nil
			},
			notes: []string{"By the point estimates; which differences are told apart from noise is in the tests of backends and the ranking."},
		},
	}
}
