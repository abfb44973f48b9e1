package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// ConfigKey names what is compared: a model run in one way, over scenarios.
type ConfigKey struct {
	Model, Backend   string
	Batch            int
	KVTypeK, KVTypeV string
	DecodeMode       string
}

// Key names one group.
type Key struct {
	ConfigKey
	Scenario string
}

func keyOf(r *record.Record) Key {
	return Key{
		ConfigKey: ConfigKey{
			Model: r.Model, Backend: backendOf(r.Backend, r.Origin), Batch: max(1, r.Batch),
			KVTypeK: r.KVTypeK, KVTypeV: r.KVTypeV, DecodeMode: r.DecodeMode,
		},
		Scenario: r.Scenario,
	}
}

// backendOf names a backend. That it was measured by another program must show
// wherever it is named.
func backendOf(backend, origin string) string {
	if origin == "" {
		return backend
	}
	return backend + " (" + origin + ")"
}

// Variant returns what sets the configuration apart from the plain one (batch
// 1, f16 cache, cached decode), or "".
func (k ConfigKey) Variant() string {
	var parts []string
	if k.Batch > 1 {
		parts = append(parts, fmt.Sprintf("batch %d", k.Batch))
	}
	switch {
	case k.KVTypeK == k.KVTypeV && k.KVTypeK != "f16" && k.KVTypeK != "":
		parts = append(parts, "kv "+k.KVTypeK)
	case k.KVTypeK != k.KVTypeV:
		parts = append(parts, "k "+k.KVTypeK+" v "+k.KVTypeV)
	}
	if k.DecodeMode == "uncached" {
		parts = append(parts, "uncached")
	}
	return strings.Join(parts, ", ")
}

// String returns "model on backend", with the variant in parentheses.
func (k ConfigKey) String() string {
	s := k.Model + " on " + k.Backend
	if v := k.Variant(); v != "" {
		s += " (" + v + ")"
	}
	return s
}

// String returns the configuration and the scenario.
func (k Key) String() string { return k.ConfigKey.String() + ", " + k.Scenario }

// Group is the repetitions of one cell.
type Group struct {
	Key
	Device     string
	DeviceKind string
	Rows       []*record.Record // measured, in order of appearance
	Warmups    []*record.Record // measured, without the first of each launch

	PromptTokens, GenTokens int  // per sequence, of the first row
	Launches                int  // distinct launches among the rows
	ByLaunch                bool // intervals are over launch means, not over rows

	PrefillMs, DecodeMs stats.Summary
	TTFTMs              Quantiles  // of prefill: time to first token without tokenization
	TPOTMs              *Quantiles // of single decode steps; nil when steps were not timed
	Degraded            int        // rows that ran degraded; they stay in
	ClockDrops          int        // of them, those whose clock lay below the median of the run
	Steps               int        // decode steps behind TPOTMs

	PrefillWindows, DecodeWindows *Windows // nil when there is none

	Prefill, Decode Rate
	Costs           []Cost   // own price first, if any; filled in by Analyze
	GCO2ePerM       *float64 // of the blend; nil when not measured or no carbon intensity
}

// Quantiles of a time, in milliseconds.
type Quantiles struct{ P50, P95, P99, Max float64 }

// minLaunches is how many launches it takes to use their means as replicates.
// Repetitions inside one process share its memory layout and warm state, so
// they are not independent; launches are.
const minLaunches = 3

// groups sorts rows into groups, ordered by model, backend, variant and
// scenario, each in order of first appearance. Windows go to the group of their
// cell.
func groups(rows []*record.Record, windows []record.WindowRecord, w *warnings) []*Group {
	var order appearance
	byKey := map[Key]*Group{}
	var out []*Group
	for _, r := range rows {
		k := keyOf(r)
		order.see(k)
		g := byKey[k]
		if g == nil {
			g = &Group{Key: k, Device: r.Device, DeviceKind: r.DeviceKind, PromptTokens: r.PromptTokens, GenTokens: r.GenTokens}
			byKey[k] = g
			out = append(out, g)
		}
		g.Rows = append(g.Rows, r)
	}
	slices.SortStableFunc(out, func(a, b *Group) int { return order.compare(a.Key, b.Key) })
	addWindows(byKey, windows, w)
	for _, g := range out {
		g.describe()
		g.warn(w)
	}
	return out
}

// addWarmups gives the groups their warm-up rows, but for the first of each
// launch, which loads kernels.
func addWarmups(groups []*Group, rows []record.Record) {
	byKey := map[Key]*Group{}
	for _, g := range groups {
		byKey[g.Key] = g
	}
	type first struct {
		Key
		launch int
	}
	seen := map[first]bool{}
	for i := range rows {
		r := &rows[i]
		g := byKey[keyOf(r)]
		if g == nil || !r.Warmup || r.Status != record.StatusOK || lacks(r) != nil {
			continue
		}
		at := first{g.Key, r.Launch}
		if seen[at] {
			g.Warmups = append(g.Warmups, r)
		}
		seen[at] = true
	}
}

// appearance orders keys by when each of their parts was first seen.
type appearance struct{ models, backends, scenarios map[string]int }

func (o *appearance) see(k Key) {
	if o.models == nil {
		o.models, o.backends, o.scenarios = map[string]int{}, map[string]int{}, map[string]int{}
	}
	for _, part := range []struct {
		seen map[string]int
		name string
	}{{o.models, k.Model}, {o.backends, k.Backend}, {o.scenarios, k.Scenario}} {
		if _, ok := part.seen[part.name]; !ok {
			part.seen[part.name] = len(part.seen)
		}
	}
}

func (o *appearance) compare(a, b Key) int {
	return cmp.Or(
		cmp.Compare(o.models[a.Model], o.models[b.Model]),
		cmp.Compare(o.backends[a.Backend], o.backends[b.Backend]),
		cmp.Compare(a.Batch, b.Batch),
		cmp.Compare(a.KVTypeK, b.KVTypeK),
		cmp.Compare(a.KVTypeV, b.KVTypeV),
		cmp.Compare(a.DecodeMode, b.DecodeMode),
		cmp.Compare(o.scenarios[a.Scenario], o.scenarios[b.Scenario]),
	)
}

// describe computes the statistics of a group that has its rows.
func (g *Group) describe() {
	launches := map[int]bool{}
	var prefill, decode, steps []float64
	for _, r := range g.Rows {
		launches[r.Launch] = true
		prefill = append(prefill, *r.PrefillMs)
		decode = append(decode, *r.DecodeMs)
		steps = append(steps, r.StepMs...)
	}
	g.Launches = len(launches)
	g.ByLaunch = g.Launches >= minLaunches

	g.PrefillMs, _ = stats.Describe(prefill, Confidence)
	g.DecodeMs, _ = stats.Describe(decode, Confidence)
	if g.ByLaunch {
		g.replaceInterval(&g.PrefillMs, prefill)
		g.replaceInterval(&g.DecodeMs, decode)
	}
	g.TTFTMs = *quantiles(prefill)
	g.TPOTMs, g.Steps = quantiles(steps), len(steps)
	g.rates()
}

// rates computes the rates of a group that has its rows; where windows measured
// the energy of a phase, they count.
func (g *Group) rates() {
	g.Prefill, g.Decode = g.rate(prefillRow), g.rate(decodeRow)
	g.Prefill.use(g.PrefillWindows)
	g.Decode.use(g.DecodeWindows)
}

// replaceInterval puts the interval over launch means in place of the one over
// rows.
func (g *Group) replaceInterval(s *stats.Summary, values []float64) {
	_, means := g.launchMeans(values)
	over, _ := stats.Describe(means, Confidence)
	s.CI, s.Half = over.CI, over.Half
	s.Warnings = nil
	for _, text := range over.Warnings {
		s.Warnings = append(s.Warnings, "over launches, "+text)
	}
}

// launchMeans returns the mean of the values of each launch; values belong to
// g.Rows in order.
func (g *Group) launchMeans(values []float64) (launches []int, means []float64) {
	sum, n := map[int]float64{}, map[int]int{}
	for i, r := range g.Rows {
		if n[r.Launch] == 0 {
			launches = append(launches, r.Launch)
		}
		sum[r.Launch] += values[i]
		n[r.Launch]++
	}
	slices.Sort(launches)
	for _, launch := range launches {
		means = append(means, sum[launch]/float64(n[launch]))
	}
	return launches, means
}

// replicates returns the values that intervals are made of.
func (g *Group) replicates(values []float64) []float64 {
	if g.ByLaunch {
		_, means := g.launchMeans(values)
		return means
	}
	return values
}

func quantiles(x []float64) *Quantiles {
	q := stats.Percentiles(x, 50, 95, 99, 100)
	if q == nil {
		return nil
	}
	return &Quantiles{q[0], q[1], q[2], q[3]}
}
