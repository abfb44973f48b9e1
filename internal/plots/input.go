package plots

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// input is an analysis with what all its plots share.
type input struct {
	*analyze.Analysis
	power []PowerSample
	runID string // that power is of; empty for all rows

	models, backends []string // in the analysis's order
	model, backend   map[string]look
}

func newInput(a *analyze.Analysis, extra Extra) *input {
	in := &input{Analysis: a, power: extra.Power, runID: extra.RunID}
	for _, g := range a.Groups {
		if !slices.Contains(in.models, g.Model) {
			in.models = append(in.models, g.Model)
		}
		if !slices.Contains(in.backends, g.Backend) {
			in.backends = append(in.backends, g.Backend)
		}
	}
	in.model, in.backend = looks(in.models, modelColors), looks(in.backends, backendColors)
	return in
}

// synthetic says which models have random weights; nothing when none has.
func (in *input) synthetic() []string {
	switch n := len(in.Synthetic); {
	case n == 0:
		return nil
	case n >= len(in.models):
		return []string{"Synthetic weights: random numbers in the shape of the models."}
	}
	return []string{"Synthetic weights (random numbers): " + strings.Join(in.Synthetic, ", ") + "."}
}

// series names a configuration beside others of its model.
func series(k analyze.ConfigKey) string {
	if v := k.Variant(); v != "" {
		return k.Backend + " (" + v + ")"
	}
	return k.Backend
}

// look returns that of the configuration's backend, a paler one for a variant.
func (in *input) look(k analyze.ConfigKey) look {
	l := in.backend[k.Backend]
	if k.Variant() != "" {
		l.color = mixed(l.color, 0.45)
	}
	return l
}

func uncached(k analyze.ConfigKey) bool { return k.DecodeMode == "uncached" }

// configsOf returns the configurations of a model that decode with the cache.
// Those without are a baseline on another scale, which has a plot of its own.
func (in *input) configsOf(model string) []*analyze.Config {
	var out []*analyze.Config
	for _, c := range in.Configs {
		if c.Model == model && !uncached(c.ConfigKey) {
			out = append(out, c)
		}
	}
	return out
}

// plain keeps the groups that decode with the cache, and of each model and
// backend those of its first variant, which is the plain one where it was
// measured.
func (in *input) plain() []*analyze.Group {
	type pair struct{ model, backend string }
	first := map[pair]analyze.ConfigKey{}
	var out []*analyze.Group
	for _, g := range in.Groups {
		if uncached(g.ConfigKey) {
			continue
		}
		at := pair{g.Model, g.Backend}
		if _, seen := first[at]; !seen {
			first[at] = g.ConfigKey
		}
		if first[at] == g.ConfigKey {
			out = append(out, g)
		}
	}
	return out
}

// legend has an entry for each of the names that were drawn, in order.
func legend(names []string, drawn map[string]bool, entry func(name string) key) []key {
	var out []key
	for _, name := range names {
		if drawn[name] {
			out = append(out, entry(name))
		}
	}
	return out
}

// scenariosOf lists the scenarios of configurations, each once.
func scenariosOf(configs []*analyze.Config) string {
	var names []string
	for _, c := range configs {
		for _, s := range c.Scenarios {
			if !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
	}
	return strings.Join(names, ", ")
}

// bounds are those of an estimate; nil without an interval.
func bounds(e analyze.Estimate) (lo, hi *float64) {
	if e.Half == nil {
		return nil, nil
	}
	l, h := e.Value-*e.Half, e.Value+*e.Half
	return &l, &h
}

// inverse returns 1/e with its bounds; hi is infinite when e may be 0.
func inverse(e analyze.Estimate) (value float64, lo, hi *float64) {
	value = 1 / e.Value
	if e.Half == nil {
		return value, nil, nil
	}
	l, h := 1/(e.Value+*e.Half), math.Inf(1)
	if *e.Half < e.Value {
		h = 1 / (e.Value - *e.Half)
	}
	return value, &l, &h
}

func byX(points []point) {
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
}
