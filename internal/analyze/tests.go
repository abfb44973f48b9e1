package analyze

import (
	"errors"
	"fmt"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Significance is the level that corrected p-values are held against.
const Significance = 0.05

// BackendTest compares two backends of one model in one phase, over the
// scenarios both ran; see ratio.
type BackendTest struct {
	Phase     string // "prefill" or "decode"
	A, B      *Config
	Scenarios int
	ByLaunch  bool         // replicates are launch means; else rows, of fewer than minLaunches
	Launches  int          // most of any cell
	Ratio     *stats.Ratio // time of A over time of B; nil when it cannot be tested
	PHolm     float64      // corrected over all tests of the run; 1 when not tested
	Why       string       // why Ratio is nil
}

// Significant reports whether the two differ at the level Significance.
func (t BackendTest) Significant() bool { return t.Ratio != nil && t.PHolm < Significance }

// Verdict says in a word what the test shows: "~" where the two are not told
// apart.
func (t BackendTest) Verdict() string {
	switch {
	case t.Ratio == nil:
		return "not tested"
	case !t.Significant():
		return "~"
	case t.Ratio.Value > 1:
		return t.B.Backend + " is faster"
	}
	return t.A.Backend + " is faster"
}

// replicates says what stands for a repetition of the measurement.
func replicates(byLaunch bool, launches int) string {
	switch {
	case byLaunch:
		return "launch means"
	case launches > 1:
		return fmt.Sprintf("rows of %d launches", launches)
	}
	return "rows of one process"
}

// backendTests compares each pair of backends of a model that ran it in the
// same variant.
func (a *Analysis) backendTests() []BackendTest {
	var out []BackendTest
	for i, x := range a.Configs {
		for _, y := range a.Configs[i+1:] {
			if y.Model != x.Model {
				break // they are ordered by model
			}
			kx, ky := x.ConfigKey, y.ConfigKey
			kx.Backend, ky.Backend = "", ""
			if kx != ky {
				continue
			}
			out = append(out,
				test("prefill", x, y, func(r *record.Record) float64 { return *r.PrefillMs / float64(r.PromptTokens) }),
				test("decode", x, y, decodeMsPerTok))
		}
	}
	var p []float64
	for _, t := range out {
		if t.Ratio != nil {
			p = append(p, t.Ratio.Test.P)
		}
	}
	corrected := stats.Holm(p)
	for i := range out {
		if out[i].PHolm = 1; out[i].Ratio != nil {
			out[i].PHolm, corrected = corrected[0], corrected[1:]
		}
	}
	return out
}

func test(phase string, x, y *Config, ms func(*record.Record) float64) BackendTest {
	t := BackendTest{Phase: phase, A: x, B: y, ByLaunch: true}
	ofX, ofY := shared(x, y)
	t.Scenarios = len(ofX)
	for i := range ofX {
		t.ByLaunch = t.ByLaunch && ofX[i].ByLaunch && ofY[i].ByLaunch
		t.Launches = max(t.Launches, ofX[i].Launches, ofY[i].Launches)
	}
	var err error
	t.Ratio, err = ratio(ofX, ofY, ms)
	switch {
	case t.Scenarios == 0:
		t.Why = "no scenario in common"
	case errors.Is(err, stats.ErrNoSpread):
		t.Why = "no spread in either"
	case err != nil:
		t.Why = "fewer than two repetitions of a cell"
	}
	return t
}

// testTables compare backends by tests.
func testTables() []definition {
	return []definition{
		{
			name: studies + "backend_tests", section: "7", title: "Backends compared, scenario by scenario", needs: "two backends of one model",
			columns: []Column{col("model", "model", ""), blank("variant", "variant"), col("phase", "phase", ""), col("a", "A", ""), col("b", "B", ""),
				col("ratio", "time A/B", "×"), col("ci95_lo", "lo", ""), col("ci95_hi", "hi", ""), col("t", "t", ""), col("df", "df", ""),
				{Name: "p", Title: "p", Digits: 2}, {Name: "p_holm", Title: "p, Holm", Digits: 2}, {Name: "cohens_d", Title: "d", Digits: 3},
				col("verdict", "verdict", ""), col("replicates", "replicates", "")},
			fill: func(a *Analysis, t *Table) error {
				for _, x := range a.Tests {
					cells := append([]any{x.A.Model, x.A.Variant(), x.Phase, x.A.Backend, x.B.Backend}, ratioCells(x.Ratio)...)
					if x.Ratio == nil {
						t.Add(append(cells, nil, nil, nil, nil, nil, x.Verdict(), x.Why)...)
						continue
					}
					test := x.Ratio.Test
					t.Add(append(cells, test.T, test.DF, test.P, x.PHolm, test.CohensD, x.Verdict(), replicates(x.ByLaunch, x.Launches))...)
				}
				return nil
			},
			notes: []string{
				"Welch on log times per token, averaged over the scenarios of each repetition, which share its disturbances; where scenarios differ in repetitions each is a stratum of its own; p corrected by Holm over the table; ~ means not told apart at 0.05. Where replicates are rows they share a process with others, so p and the interval say nothing about a new launch; use launches: 3 or more.",
			},
		},
		{
			name: studies + "stats_groups", section: "7.1", title: "Decode cost by backend, all rows pooled (TR123 form)", needs: "a measured row",
			columns: append(configColumns(), col("price", "price", ""), col("mean_decode_usd_per_m", "mean decode", "$/1M"), col("sd", "sd", "$/1M"), col("n", "n", "")),
			fill: func(a *Analysis, t *Table) error {
				for _, c := range a.Configs {
					x := a.pooled(c)
					s, _ := stats.Describe(x, Confidence)
					t.Add(append(configCells(c.ConfigKey), a.pooledPrice().Label(), s.Mean, s.SD, s.N)...)
				}
				return nil
			},
			notes: []string{"Infrastructure only and at one rate for all, as TR123 7 has it; $1/h when there is no scenario."},
		},
		{
			name: studies + "stats_pairs", section: "7.1", title: "Decode cost of pairs of backends, all rows pooled (TR123 form)", needs: "two backends of one model, with two rows each",
			columns: []Column{col("model", "model", ""), blank("variant", "variant"), col("a", "A", ""), col("b", "B", ""),
				col("diff_usd_per_m", "A - B", "$/1M"), col("pct_of_b", "of B", "%"), col("saving_pct", "saving of B", "%"),
				col("t", "t", ""), col("df", "df", ""), {Name: "p", Title: "p", Digits: 2}, {Name: "cohens_d", Title: "d", Digits: 3}},
			fill:  fillPooledPairs,
			notes: []string{"Pooling mixes scenarios, so the spread is mostly theirs and rows count as independent, which they are not. The comparison to go by is the one by scenario."},
		},
	}
}

// pooledPrice is the one price that section 7 compares backends at: the
// scenario's, or a dollar an hour, so that ratios can still be shown.
func (a *Analysis) pooledPrice() Price {
	if a.Prices.Scenario != nil {
		return *a.Prices.Scenario
	}
	return Price{Tier: "none", USDPerHour: 1}
}

// pooled returns the machine time of decode of every row, in dollars per
// million tokens.
func (a *Analysis) pooled(c *Config) []float64 {
	var out []float64
	rate := a.pooledPrice().USDPerHour
	for _, g := range c.Groups {
		for _, r := range g.Rows {
			out = append(out, 1e6*rate/(3600**tokPerS(r, r.GenTokens, r.DecodeMs)))
		}
	}
	return out
}

func fillPooledPairs(a *Analysis, t *Table) error {
	for _, x := range a.Tests {
		if x.Phase != "decode" {
			continue
		}
		pa, err := stats.MomentsOf(a.pooled(x.A))
		if err != nil {
			continue
		}
		pb, err := stats.MomentsOf(a.pooled(x.B))
		if err != nil {
			continue
		}
		w, err := stats.Welch(pa, pb)
		if errors.Is(err, stats.ErrNoSpread) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s against %s: %w", x.A.ConfigKey, x.B.Backend, err)
		}
		t.Add(x.A.Model, x.A.Variant(), x.A.Backend, x.B.Backend, w.Diff, 100*w.Diff/pb.Mean, 100*w.Diff/pa.Mean, w.T, w.DF, w.P, w.CohensD)
	}
	return nil
}
