package compare

import (
	"errors"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// quantity is something that is tested once for each pair of groups. Metrics
// are ways of showing one: a time and the speed it is the inverse of differ in
// no test.
type quantity struct {
	// of is the quantity of a row, > 0 and the less the better; nil where it is
	// not of rows but of energy windows.
	of      func(s *Side, g *analyze.Group) (func(*record.Record) float64, error)
	windows func(*analyze.Group) *analyze.Windows
}

// The quantities, in the order in which their tests are corrected.
const (
	qPrefill = iota
	qDecode
	qCost
	qJPrefill
	qJDecode
)

var quantities = [...]quantity{
	qPrefill:  {of: ofRows(prefillS)},
	qDecode:   {of: ofRows(decodeS)},
	qCost:     {of: blendUSD},
	qJPrefill: {windows: func(g *analyze.Group) *analyze.Windows { return g.PrefillWindows }},
	qJDecode:  {windows: func(g *analyze.Group) *analyze.Windows { return g.DecodeWindows }},
}

// Metric is one figure of a cell.
type Metric struct {
	Name     string // for machines, unit included
	Short    string // of the table it is in
	Title    string
	inTable  string // beside other metrics
	Unit     string
	better   string // what the new side is when it is the better one
	worse    string
	inverse  bool // of its quantity, so that more is better
	quantity int
	value    func(s *Side, g *analyze.Group) *float64 // nil when it is not known
}

// Metrics are all metrics, in the order they are shown.
var Metrics = []Metric{
	{"prefill_tok_s", "prefill", "prefill", "", "tok/s", "faster", "slower", true, qPrefill,
		func(_ *Side, g *analyze.Group) *float64 { return known(g.Prefill.TokPerS()) }},
	{"decode_tok_s", "decode", "decode", "", "tok/s", "faster", "slower", true, qDecode,
		func(_ *Side, g *analyze.Group) *float64 { return known(g.Decode.TokPerS()) }},
	{"ttft_ms", "prefill", "time to the first token, without tokenization", "TTFT", "ms", "faster", "slower", false, qPrefill,
		func(_ *Side, g *analyze.Group) *float64 { return known(g.PrefillMs.Mean) }},
	{"tpot_ms", "decode", "time per output token after the first", "TPOT", "ms", "faster", "slower", false, qDecode,
		func(_ *Side, g *analyze.Group) *float64 { return known(g.DecodeMs.Mean / float64(g.GenTokens)) }},
	{"machine_usd_per_m", "cost", "cost: machine time of a million tokens", "", "$/1M", "cheaper", "dearer", false, qCost,
		func(s *Side, g *analyze.Group) *float64 {
			if c, ok := s.price[g]; ok {
				return known(c.Blend.InfraUSD)
			}
			return nil
		}},
	{"prefill_j_per_tok", "energy", "energy of prefill, gross", "", "J/token", "less", "more", false, qJPrefill,
		func(_ *Side, g *analyze.Group) *float64 { return g.Prefill.JPerTok() }},
	{"decode_j_per_tok", "energy", "energy of decode, gross", "", "J/token", "less", "more", false, qJDecode,
		func(_ *Side, g *analyze.Group) *float64 { return g.Decode.JPerTok() }},
}

func known(v float64) *float64 { return &v }

func prefillS(r *record.Record) float64 {
	return *r.PrefillMs / 1000 / float64(r.PromptTokens*max(1, r.Batch))
}

func decodeS(r *record.Record) float64 {
	return *r.DecodeMs / 1000 / float64(r.GenTokens*max(1, r.Batch))
}

func ofRows(of func(*record.Record) float64) func(*Side, *analyze.Group) (func(*record.Record) float64, error) {
	return func(*Side, *analyze.Group) (func(*record.Record) float64, error) { return of, nil }
}

var errFewWindows = errors.New("fewer than two valid energy windows of each")

// errNoPrice says that a side has no price, or that its machine is free.
var errNoPrice = errors.New("no price above 0 for both")

// blendUSD returns what the machine time of a million tokens of the blend costs
// by a row.
func blendUSD(s *Side, g *analyze.Group) (func(*record.Record) float64, error) {
	c, ok := s.price[g]
	if !ok || c.USDPerHour == 0 {
		return nil, errNoPrice
	}
	return func(r *record.Record) float64 {
		return 1e6 * c.USDPerHour / 3600 * (s.input*prefillS(r) + (1-s.input)*decodeS(r))
	}, nil
}

// ratio compares a quantity of groups of two sides, group by group: new over
// old. byLaunch says that replicates are launch means.
func (q quantity) ratio(old, with *Side, a, b []*analyze.Group) (r *stats.Ratio, byLaunch bool, err error) {
	if q.windows != nil {
		r, err = q.ofWindows(a, b)
		return r, false, err
	}
	byRow := map[*record.Record]func(*record.Record) float64{}
	byLaunch = true
	for _, side := range []struct {
		*Side
		groups []*analyze.Group
	}{{old, a}, {with, b}} {
		for _, g := range side.groups {
			of, err := q.of(side.Side, g)
			if err != nil {
				return nil, false, err
			}
			for _, row := range g.Rows {
				byRow[row] = of
			}
			byLaunch = byLaunch && g.ByLaunch
		}
	}
	r, err = analyze.RatioBetween(b, a, func(row *record.Record) float64 { return byRow[row](row) })
	return r, byLaunch, err
}

// ofWindows compares the energy of groups by their valid windows, which stand
// for themselves: no launch repeats them.
func (q quantity) ofWindows(a, b []*analyze.Group) (*stats.Ratio, error) {
	joules := func(groups []*analyze.Group) (out [][]float64, err error) {
		for _, g := range groups {
			var x []float64
			if w := q.windows(g); w != nil {
				x = w.ValidJPerTok()
			}
			if len(x) < 2 {
				return nil, errFewWindows
			}
			out = append(out, x)
		}
		return out, nil
	}
	x, err := joules(b)
	if err != nil {
		return nil, err
	}
	y, err := joules(a)
	if err != nil {
		return nil, err
	}
	r, err := stats.StratifiedRatio(x, y, analyze.Confidence)
	return &r, err
}

// inverted returns the ratio of the inverse of what r is the ratio of.
func inverted(r stats.Ratio) stats.Ratio {
	r.Value = 1 / r.Value
	r.CI = stats.Range{Lo: 1 / r.CI.Hi, Hi: 1 / r.CI.Lo}
	r.Test.Diff, r.Test.T, r.Test.CohensD = -r.Test.Diff, -r.Test.T, -r.Test.CohensD
	return r
}
