package analyze

import (
	"fmt"
	"maps"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// graphBlock is the number of positions after which the engine's CUDA kernels
// change shape, so that a captured graph no longer fits: the cache is padded
// to it.
const graphBlock = 256

// captureSteps marks the decode steps that cannot replay a graph: the first
// two after a prefill and the first two each time the positions cross a
// multiple of graphBlock; of the two, one runs eagerly and one captures. Step
// i of n feeds position prompt+i.
func captureSteps(prompt, n int) []bool {
	marked := make([]bool, n)
	for i := range marked {
		marked[i] = i < 2 || (prompt+i)%graphBlock < 2
	}
	return marked
}

// Graphs compares a GPU backend with CUDA graphs and the same one without.
type Graphs struct {
	With, Without *Config

	// Speedups of graphs: time without over time with, scenario by scenario
	// (strata); nil when rows are too few for an interval.
	Prefill, Decode *stats.Ratio
	// Replay is Decode with the capture steps left out on both sides.
	Replay *stats.Ratio

	// What each side pays before its first measured row: loading, contexts
	// and warm-ups as the matrix asks for them, averaged over launches.
	OneTimeWithMs, OneTimeWithoutMs *float64
	// What the first decode with graphs takes beyond later ones, less the same
	// without graphs, averaged over launches: the first captures. Noise can
	// make it negative.
	CaptureMs *float64
	// Tokens after which graphs have won back the first captures, what they
	// cost more than no graphs, and all of their one-time cost; nil when they
	// never do, or when a cost is not known.
	TokensCapture, TokensExtra, TokensAll *int64
}

// graphPairs finds the pairs of backends that differ in graphs only.
func (a *Analysis) graphPairs() ([]Graphs, error) {
	var out []Graphs
	for _, with := range a.Configs {
		if on := with.first().Graphs; on == nil || !*on {
			continue
		}
		for _, without := range a.Configs {
			if !differInGraphsOnly(with, without) {
				continue
			}
			g, err := a.compareGraphs(with, without)
			if err != nil {
				return nil, fmt.Errorf("%s against %s: %w", with.ConfigKey, without.Backend, err)
			}
			out = append(out, g)
		}
	}
	return out, nil
}

// first returns the configuration's first row, which stands for how all of
// them ran.
func (c *Config) first() *record.Record { return c.Groups[0].Rows[0] }

func differInGraphsOnly(with, without *Config) bool {
	x, y := with.first(), without.first()
	if y.Graphs == nil || *y.Graphs || x.Device != y.Device || x.Pool != y.Pool {
		return false
	}
	kx, ky := with.ConfigKey, without.ConfigKey
	kx.Backend, ky.Backend = "", ""
	env := func(r *record.Record) map[string]string {
		m := maps.Clone(r.EngineEnv)
		delete(m, "GGML_CUDA_DISABLE_GRAPHS")
		return m
	}
	return kx == ky && maps.Equal(env(x), env(y)) &&
		x.NUbatch == y.NUbatch && x.FlashAttn == y.FlashAttn && x.GPULayers == y.GPULayers && x.Argmax == y.Argmax
}

func (a *Analysis) compareGraphs(with, without *Config) (Graphs, error) {
	g := Graphs{With: with, Without: without}
	g.Prefill = speedup(with, without, func(r *record.Record) float64 { return *r.PrefillMs / float64(r.PromptTokens) })
	g.Decode = speedup(with, without, decodeMsPerTok)
	if with.stepped() && without.stepped() {
		g.Replay = speedup(with, without, func(r *record.Record) float64 {
			ms, n := replay(r)
			return ms / float64(n)
		})
	}
	whole := func(o *OneTime) *float64 {
		if o.LoadMs == nil || o.WarmupMs == nil {
			return nil
		}
		return sum(sum(o.LoadMs, o.ContextMs), o.WarmupMs)
	}
	first := func(o *OneTime) *float64 { return o.FirstDecodeExtraMs }
	g.OneTimeWithMs, g.OneTimeWithoutMs = a.oneTimeMs(with, whole), a.oneTimeMs(without, whole)
	g.CaptureMs = minus(a.oneTimeMs(with, first), a.oneTimeMs(without, first))
	for _, x := range []struct {
		ms     *float64
		tokens **int64
	}{{g.CaptureMs, &g.TokensCapture}, {minus(g.OneTimeWithMs, g.OneTimeWithoutMs), &g.TokensExtra}, {g.OneTimeWithMs, &g.TokensAll}} {
		if x.ms == nil {
			continue
		}
		n, ok, err := econ.TokensToAmortize(max(0, *x.ms)/1000, without.Decode.TokPerS(), with.Decode.TokPerS())
		if err != nil {
			return g, err
		}
		if ok {
			*x.tokens = &n
		}
	}
	return g, nil
}

// minus returns x-y; nil when either is.
func minus(x, y *float64) *float64 {
	if x == nil || y == nil {
		return nil
	}
	v := *x - *y
	return &v
}

func decodeMsPerTok(r *record.Record) float64 { return *r.DecodeMs / float64(r.GenTokens) }

// speedup returns time of without over time of with, over the scenarios both
// have; nil when that cannot be said.
func speedup(with, without *Config, ms func(*record.Record) float64) *stats.Ratio {
	slow, fast := shared(without, with)
	r, _ := ratio(slow, fast, ms)
	return r
}

// shared returns the groups of the scenarios that both have, in a's order.
func shared(a, b *Config) (ofA, ofB []*Group) {
	for _, x := range a.Groups {
		if y := b.group(x.Scenario); y != nil {
			ofA, ofB = append(ofA, x), append(ofB, y)
		}
	}
	return ofA, ofB
}

// ratio compares a number of the rows of a with that of b, group by group; the
// error says why it cannot. Both must be measured in rounds, else scenarios
// count as independent.
func ratio(a, b []*Group, of func(*record.Record) float64) (*stats.Ratio, error) {
	x, y := [][]float64{roundMeans(a, of)}, [][]float64{roundMeans(b, of)}
	if x[0] == nil || y[0] == nil {
		x, y = nil, nil
		for i := range a {
			x, y = append(x, a[i].replicates(a[i].values(of))), append(y, b[i].replicates(b[i].values(of)))
		}
	}
	r, err := stats.StratifiedRatio(x, y, Confidence)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// groupRatio is ratio of two groups; nil when it cannot be said.
func groupRatio(a, b *Group, of func(*record.Record) float64) *stats.Ratio {
	r, _ := ratio([]*Group{a}, []*Group{b}, of)
	return r
}

// group returns the configuration's group of a scenario, or nil.
func (c *Config) group(scenario string) *Group {
	for _, g := range c.Groups {
		if g.Scenario == scenario {
			return g
		}
	}
	return nil
}

// values returns a number of each row.
func (g *Group) values(of func(*record.Record) float64) []float64 {
	values := make([]float64, len(g.Rows))
	for i, r := range g.Rows {
		values[i] = of(r)
	}
	return values
}

// stepped reports whether all rows have their steps timed, and some of them
// besides capture steps.
func (c *Config) stepped() bool {
	for _, g := range c.Groups {
		for _, r := range g.Rows {
			if _, n := replay(r); n == 0 {
				return false
			}
		}
	}
	return true
}

// replay returns the time and number of a row's steps besides capture steps.
func replay(r *record.Record) (ms float64, n int) {
	for i, capture := range captureSteps(r.PromptTokens, len(r.StepMs)) {
		if !capture {
			ms += r.StepMs[i]
			n++
		}
	}
	return ms, n
}

// oneTimeMs returns the mean of a one-time cost over the launches of the
// configuration's backend that have it; nil when none has.
func (a *Analysis) oneTimeMs(c *Config, of func(*OneTime) *float64) *float64 {
	total, launches := 0.0, 0
	for i := range a.OneTime {
		o := &a.OneTime[i]
		if o.Model != c.Model || o.Backend != c.Backend {
			continue
		}
		if ms := of(o); ms != nil {
			total += *ms
			launches++
		}
	}
	if launches == 0 {
		return nil
	}
	mean := total / float64(launches)
	return &mean
}

// Captures is what capture steps cost one configuration.
type Captures struct {
	Config        *Config
	Steps         int     // of all rows
	CaptureSteps  int     // of them
	ReplayP50Ms   float64 // median of the other steps
	CaptureP50Ms  float64
	CaptureMaxMs  float64
	ExtraMsRow    float64 // time of capture steps beyond the median step, a row
	ReplayTokPerS float64 // decode without the capture steps
}

// captures describes the steps of one side of a pair.
func captures(c *Config) (Captures, bool) {
	out := Captures{Config: c}
	var others, capture []float64
	rows := 0
	for _, g := range c.Groups {
		for _, r := range g.Rows {
			rows++
			for i, is := range captureSteps(r.PromptTokens, len(r.StepMs)) {
				if is {
					capture = append(capture, r.StepMs[i])
				} else {
					others = append(others, r.StepMs[i])
				}
			}
		}
	}
	if len(others) == 0 || len(capture) == 0 {
		return out, false
	}
	out.Steps, out.CaptureSteps = len(others)+len(capture), len(capture)
	out.ReplayP50Ms, _ = stats.Percentile(others, 50)
	q := stats.Percentiles(capture, 50, 100)
	out.CaptureP50Ms, out.CaptureMaxMs = q[0], q[1]
	for _, ms := range capture {
		out.ExtraMsRow += (ms - out.ReplayP50Ms) / float64(rows)
	}
	seconds := 0.0
	for _, ms := range others {
		seconds += ms / 1000
	}
	out.ReplayTokPerS = float64(len(others)*max(1, c.Batch)) / seconds
	return out, true
}
