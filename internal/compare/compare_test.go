package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
	"github.com/phasebench/phasebench/internal/stats"
)

// shape is a run to make rows of.
type shape struct {
	scenarios, launches, reps int
	kind                      string
	decodeSpeed               float64 // of all rows, 1 for the usual
	// Noise as standard deviations of logarithms, of processes and of rows.
	process, row float64
	seed         uint64
	change       func(*record.Record)
}

func (s shape) rows() []record.Record {
	r := rand.New(rand.NewPCG(s.seed, 7))
	var rows []record.Record
	for launch := range s.launches {
		slowPrefill, slowDecode := math.Exp(s.process*r.NormFloat64()), math.Exp(s.process*r.NormFloat64())
		for rep := range s.reps {
			for i := range s.scenarios {
				prefill := 10 * float64(i+1) * slowPrefill * math.Exp(s.row*r.NormFloat64())
				decode := 100 * slowDecode * math.Exp(s.row*r.NormFloat64()) / s.decodeSpeed
				row := record.Record{
					Schema: record.Schema, Status: record.StatusOK, RunID: "r", Model: "m", Backend: "b", Scenario: fmt.Sprintf("s%d", i),
					Launch: launch, Rep: rep, Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached",
					PromptTokens: 64 * (i + 1), GenTokens: 32, PromptHash: "p", TokenHash: "t",
					PrefillMs: &prefill, DecodeMs: &decode, Device: "X", DeviceKind: s.kind, EngineVersion: "1", Threads: 2,
				}
				if s.change != nil {
					s.change(&row)
				}
				row.CellID = row.Model + row.Backend + row.Scenario
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func (s shape) run(name string) *Run { return &Run{Name: name, Path: name, rows: s.rows()} }

var usual = shape{scenarios: 3, launches: 1, reps: 5, kind: "cpu", decodeSpeed: 1, row: 0.01, seed: 1}

func with(change func(*shape)) shape {
	s := usual
	s.seed = 2
	change(&s)
	return s
}

func sidesOf(runs ...*Run) []*Side {
	var out []*Side
	for _, r := range runs {
		out = append(out, &Side{Run: r})
	}
	return out
}

func mustCompare(t *testing.T, sides []*Side, opts Options) *Result {
	t.Helper()
	r, err := Compare(sides, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ofScenario(rows []record.Record, scenario string, of func(*record.Record) float64) []float64 {
	var out []float64
	for i := range rows {
		if rows[i].Scenario == scenario {
			out = append(out, of(&rows[i]))
		}
	}
	return out
}

// The ratios, intervals and p-values are those of internal/stats on the rows.
func TestStatistics(t *testing.T) {
	a, b := usual.run("a"), with(func(s *shape) { s.decodeSpeed = 2 }).run("b")
	got := mustCompare(t, sidesOf(a, b), Options{})
	if len(got.Rows) != 4*3 || len(got.Means) != 4 {
		t.Fatalf("%d rows and %d means, want prefill, decode, TTFT and TPOT of 3 cells", len(got.Rows), len(got.Means))
	}
	var family []float64
	for _, of := range []func(*record.Record) float64{prefillS, decodeS} {
		for i := range 3 {
			scenario := fmt.Sprintf("s%d", i)
			want, err := stats.StratifiedRatio([][]float64{ofScenario(b.rows, scenario, of)}, [][]float64{ofScenario(a.rows, scenario, of)}, analyze.Confidence)
			if err != nil {
				t.Fatal(err)
			}
			family = append(family, want.Test.P)
		}
	}
	holm := stats.Holm(family)
	for _, row := range got.Rows {
		of, at := prefillS, 0
		if strings.Contains(row.Metric, "decode") || row.Metric == "tpot_ms" {
			of, at = decodeS, 3
		}
		want, _ := stats.StratifiedRatio([][]float64{ofScenario(b.rows, row.Scenario, of)}, [][]float64{ofScenario(a.rows, row.Scenario, of)}, analyze.Confidence)
		at += int(row.Scenario[1] - '0')
		if strings.HasSuffix(row.Metric, "tok_s") {
			want.Value, want.CI.Lo, want.CI.Hi = 1/want.Value, 1/want.CI.Hi, 1/want.CI.Lo
		}
		for _, x := range []struct {
			name      string
			got, want float64
		}{{"ratio", *row.Ratio, want.Value}, {"lo", *row.CILo, want.CI.Lo}, {"hi", *row.CIHi, want.CI.Hi}, {"p", *row.P, want.Test.P}, {"p_holm", *row.PHolm, holm[at]}} {
			if math.Abs(x.got-x.want) > 1e-9*math.Abs(x.want) {
				t.Errorf("%s of %s, %s: %g, want %g", x.name, row.Metric, row.Scenario, x.got, x.want)
			}
		}
		wantVerdict := "~"
		if at >= 3 {
			wantVerdict = "faster"
		}
		if row.Verdict != wantVerdict || !row.Within || row.OldN != 5 || row.NewN != 5 {
			t.Errorf("%s, %s: %q within %v, n %d+%d", row.Metric, row.Scenario, row.Verdict, row.Within, row.OldN, row.NewN)
		}
	}
	// The geometric mean of the cells' ratios.
	logs := 0.0
	for _, row := range got.Rows {
		if row.Metric == "decode_tok_s" {
			logs += math.Log(*row.Ratio)
		}
	}
	if mean := got.Means[1]; mean.Metric != "decode_tok_s" || mean.Cells != 3 || math.Abs(*mean.Ratio-math.Exp(logs/3)) > 1e-9 || mean.Verdict != "faster" || mean.PHolm != nil {
		t.Errorf("mean %+v, want ratio %v", mean, math.Exp(logs/3))
	}
}

// Launches of three and more are replicates by themselves.
func TestLaunches(t *testing.T) {
	grow := func(seed uint64, speed float64) *Run {
		return with(func(s *shape) { s.seed, s.launches, s.process, s.decodeSpeed = seed, 4, 0.005, speed }).run("x")
	}
	a, b := grow(1, 1), grow(2, 1.1)
	got := mustCompare(t, sidesOf(a, b), Options{})
	for _, row := range got.Rows {
		if row.Within || row.Noise != nil || row.OldLaunches < 3 || row.NewLaunches < 3 {
			t.Errorf("%s: within a process", row.Metric)
		}
		if (row.metric.quantity == qDecode) != (row.Verdict != "~") {
			t.Errorf("%s, %s: %s", row.Metric, row.Scenario, row.Verdict)
		}
	}
	// The same difference is less than two launches on a CPU may lie apart by.
	for i := range a.rows {
		a.rows[i].Launch, a.rows[i].Rep = 0, a.rows[i].Rep+5*a.rows[i].Launch
	}
	for _, row := range mustCompare(t, sidesOf(a, b), Options{}).Rows {
		if !row.Within || row.Verdict != "~" || (row.metric.quantity == qDecode) != (row.Why != "") {
			t.Errorf("%s, %s: %s %q", row.Metric, row.Scenario, row.Verdict, row.Why)
		}
	}
}

// Steps without the cache are other work, and no part of the mean of the others.
func TestMeanLeavesOutUncached(t *testing.T) {
	uncachedLast := func(r *record.Record) {
		if r.Scenario == "s2" {
			r.DecodeMode = uncached
		}
	}
	a, b := with(func(s *shape) { s.change = uncachedLast }), with(func(s *shape) { s.change, s.decodeSpeed, s.seed = uncachedLast, 2, 3 })
	got := mustCompare(t, sidesOf(a.run("a"), b.run("b")), Options{})
	if mean := got.Means[1]; mean.Cells != 2 || !strings.Contains(strings.Join(got.Footnotes(), " "), "the mean leaves them out") {
		t.Errorf("%+v, %v", mean, got.Footnotes())
	}
	all := func(r *record.Record) { r.DecodeMode = uncached }
	a.change, b.change = all, all
	if mean := mustCompare(t, sidesOf(a.run("a"), b.run("b")), Options{}).Means[1]; mean.Cells != 3 {
		t.Errorf("%+v", mean)
	}
}

// Two runs of one configuration differ by what processes differ by. With
// standard deviations of 8 % between processes and 2 % within, at most one in
// twenty cells is called different; without the allowance most would be.
func TestSameConfiguration(t *testing.T) {
	called := func(noise *float64) float64 {
		different, cells := 0, 0
		for seed := range uint64(200) {
			one := with(func(s *shape) { s.seed, s.process, s.row, s.reps = 2*seed, 0.08, 0.02, 7 })
			two := one
			two.seed++
			for _, row := range mustCompare(t, sidesOf(one.run("a"), two.run("b")), Options{Noise: noise}).Rows {
				if cells++; row.Verdict != "~" {
					different++
				}
			}
		}
		return float64(different) / float64(cells)
	}
	none := 0.0
	if with, without := called(nil), called(&none); with > 0.05 || without < 0.5 {
		t.Errorf("called different: %.1f %%, and without allowance %.1f %%", 100*with, 100*without)
	}
}

func TestNotComparable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*record.Record)
		want   string
	}{
		{"longer", func(r *record.Record) { r.GenTokens *= 2 }, "64+32 tokens and 64+64"},
		{"other prompt", func(r *record.Record) { r.PromptHash = "q" }, "other prompts"},
		{"other weights", func(r *record.Record) { r.TokenHash = "u" }, "other weights?"},
		{"another model", func(r *record.Record) { r.Model = "n" }, "m on b, s0: only in a"},
		{"failed", func(r *record.Record) {
			r.Status, r.Error = record.StatusError, &record.Error{Message: "out of memory"}
			if r.Scenario == "s1" {
				r.Status = record.StatusOK
				r.GenTokens = 1
			}
		}, "only in a (b: error: out of memory)"},
	} {
		_, err := Compare(sidesOf(usual.run("a"), with(func(s *shape) { s.change = tc.change }).run("b")), Options{})
		if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	// One cell less leaves the others.
	got := mustCompare(t, sidesOf(usual.run("a"), with(func(s *shape) { s.scenarios = 2 }).run("b")), Options{})
	if len(got.OnlyIn) != 1 || got.OnlyIn[0].Side != "a" || len(got.Rows) != 8 {
		t.Errorf("only in %+v, %d rows", got.OnlyIn, len(got.Rows))
	}
}

func TestMixedWeights(t *testing.T) {
	sides := func() []*Side {
		return sidesOf(usual.run("a"), with(func(s *shape) { s.change = func(r *record.Record) { r.Synthetic = true } }).run("b"))
	}
	var mixed *MixedError
	if _, err := Compare(sides(), Options{}); !errors.As(err, &mixed) || len(mixed.Where) != 3 {
		t.Errorf("error %v, want the 3 cells", err)
	}
	got := mustCompare(t, sides(), Options{AllowMixed: true})
	if notes := strings.Join(got.Footnotes(), "\n"); !strings.Contains(notes, "random weights against trained ones in all cells") || !strings.Contains(notes, "SYNTHETIC WEIGHTS: m") {
		t.Errorf("notes: %s", notes)
	}
}

func TestNotes(t *testing.T) {
	a, b := usual.run("a"), with(func(s *shape) {
		s.change = func(r *record.Record) {
			r.EngineVersion, r.TokenHash, r.EngineEnv = "2", "u", map[string]string{"K": "1"}
			if r.Scenario == "s0" {
				r.Device = "Y"
			}
		}
	}).run("b")
	a.Env, b.Env = &environ.Environment{ConfigHash: "1"}, &environ.Environment{ConfigHash: "2"}
	load := 3.1
	b.Env.PhysicalCores, b.Env.LoadAverage = 2, &load
	a.Problems = []error{errors.New("a torn row")}
	notes := strings.Join(mustCompare(t, sidesOf(a, b), Options{}).Footnotes(), "\n")
	for _, want := range []string{
		"differs in engine: 1 > 2 (all cells)", "differs in device: X > Y (1 of 3 cells)", "differs in engine environment: none > K=1 (all cells)",
		`configuration was "1", is "2"`, "sampled other tokens from the same prompt in all cells", "a torn row", "b: load 3.1 on 2 cores when it began",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("nothing says %q in\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "threads") {
		t.Errorf("what is the same is told:\n%s", notes)
	}
	// Of several sides the same is said once.
	c := usual.run("c")
	c.rows[0].EngineVersion = "3"
	notes = "\n" + strings.Join(mustCompare(t, sidesOf(a, usual.run("b"), c), Options{}).Footnotes(), "\n") + "\n"
	for _, want := range []string{"\nb, c: environment.json is not on both sides", "\nc: differs in engine: 1 > 1, 3 (1 of 3 cells)\n", "\na torn row\n"} {
		if strings.Count(notes, want) != 1 {
			t.Errorf("%q is not said once in\n%s", want, notes)
		}
	}
}

// Several runs, and backends of one run.
func TestSides(t *testing.T) {
	got := mustCompare(t, sidesOf(usual.run("a"), with(func(s *shape) { s.decodeSpeed = 2 }).run("b"), with(func(s *shape) { s.decodeSpeed = 0.5 }).run("c")), Options{})
	if !slices.Equal(got.With, []string{"b", "c"}) || len(got.Rows) != 2*4*3 {
		t.Fatalf("%v, %d rows", got.With, len(got.Rows))
	}
	share := 0.03
	for i := range got.Rows {
		row := &got.Rows[i]
		want := row.With == "c" && row.Metric == "decode_tok_s"
		if row.Slower(share) != want {
			t.Errorf("%s %s: slower is %v, want %v", row.With, row.Metric, !want, want)
		}
		if row.Slower(0.6) {
			t.Errorf("%s %s: slower by more than 60 %%: %v", row.With, row.Metric, *row.Ratio)
		}
	}

	for _, name := range got.With { // what is said of one side does not depend on the other
		i := slices.IndexFunc(got.Rows, func(r Row) bool { return r.With == name })
		alone := mustCompare(t, sidesOf(usual.run("a"), with(func(s *shape) { s.decodeSpeed = map[string]float64{"b": 2, "c": 0.5}[name] }).run(name)), Options{})
		for j, row := range alone.Rows {
			if beside := got.Rows[i+j]; *row.PHolm != *beside.PHolm || row.Verdict != beside.Verdict {
				t.Errorf("%s alone: %s, p %g, beside another: %s, p %g", row.Metric, row.Verdict, *row.PHolm, beside.Verdict, *beside.PHolm)
			}
		}
	}

	both := usual.run("a")
	for _, row := range with(func(s *shape) { s.decodeSpeed = 2; s.change = func(r *record.Record) { r.Backend = "fast" } }).rows() {
		row.Origin = "csv"
		both.rows = append(both.rows, row)
	}
	for _, name := range []string{"fast", "fast (csv)"} {
		got = mustCompare(t, []*Side{{Run: both, Backend: "b"}, {Run: both, Backend: name}}, Options{})
		if row := got.Rows[3]; len(got.Rows) != 12 || row.Backend != "b > fast (csv)" || row.Verdict != "faster" {
			t.Errorf("%d rows, %+v", len(got.Rows), row)
		}
	}
	if _, err := Compare([]*Side{{Run: both, Backend: "b"}, {Run: both, Backend: "none"}}, Options{}); err == nil || !strings.Contains(err.Error(), `no measured row of backend "none"`) {
		t.Error(err)
	}
}

// Tables name the new side where there are several, and backends where they are
// not the sides.
func TestTables(t *testing.T) {
	titles := func(r *Result) (out []string) {
		for _, c := range r.Tables([]string{"decode"})[0].ForPeople().Columns {
			out = append(out, c.Title+c.Unit)
		}
		return out
	}
	one := mustCompare(t, sidesOf(usual.run("a"), usual.run("b")), Options{})
	if got := titles(one); !slices.Equal(got[3:7], []string{"oldtok/s", "newtok/s", "old TPOTms", "new TPOTms"}) || slices.Contains(got, "new") {
		t.Errorf("columns %q", got)
	}
	if tables := one.Tables(nil); len(tables) != 2 || len(tables[0].Rows) != 4 || len(one.Flat().Rows) != 12+4 {
		t.Errorf("%d tables", len(tables))
	}
	if got := titles(mustCompare(t, sidesOf(usual.run("a"), usual.run("b"), usual.run("c")), Options{})); got[0] != "new" {
		t.Errorf("columns %q", got)
	}
	both := mustCompare(t, []*Side{{Run: usual.run("a"), Backend: "b"}, {Run: usual.run("b"), Backend: "b"}}, Options{})
	for _, c := range both.Tables(nil)[0].ForPeople().Columns {
		if c.Name == "backend" {
			t.Error("the backend is in the table, and it is the side")
		}
	}
}

// Cost is that of the blend at one price; its test is not that of one phase.
func TestCost(t *testing.T) {
	rate := 3.6
	a, b := usual.run("a"), with(func(s *shape) { s.decodeSpeed = 2 }).run("b")
	got := mustCompare(t, sidesOf(a, b), Options{Analyze: analyze.Options{RateUSDPerHour: &rate, Blend: "0.25"}})
	cost := func(r *record.Record) float64 { return 1000 * (0.25*prefillS(r) + 0.75*decodeS(r)) } // $0.001 a second
	n := 0
	for _, row := range got.Rows {
		if row.Metric != "machine_usd_per_m" {
			continue
		}
		n++
		want, _ := stats.StratifiedRatio([][]float64{ofScenario(b.rows, row.Scenario, cost)}, [][]float64{ofScenario(a.rows, row.Scenario, cost)}, analyze.Confidence)
		if math.Abs(*row.Ratio-want.Value) > 1e-9 || math.Abs(*row.P-want.Test.P) > 1e-9*want.Test.P || row.Verdict != "cheaper" || !strings.Contains(row.Price, "$3.6/h") {
			t.Errorf("%+v, want %+v", row, want)
		}
		if math.Abs(*row.Noise-0.30) > 1e-9 {
			t.Errorf("allowance %v", *row.Noise)
		}
		mean, _ := stats.Describe(ofScenario(a.rows, row.Scenario, cost), 0.95)
		if math.Abs(*row.Old-mean.Mean) > 1e-9 {
			t.Errorf("old %v, want %v", *row.Old, mean.Mean)
		}
	}
	if n != 3 {
		t.Errorf("%d costs, want 3", n)
	}
	free := 0.0
	for _, row := range mustCompare(t, sidesOf(usual.run("a"), usual.run("b")), Options{Analyze: analyze.Options{RateUSDPerHour: &free}}).Rows {
		if row.Metric == "machine_usd_per_m" && (row.Verdict != "not tested" || row.Ratio != nil) {
			t.Errorf("a free machine: %+v", row)
		}
	}
}

func TestEnergy(t *testing.T) {
	windows := func(run *Run, joules ...float64) {
		for i, j := range joules {
			r := run.rows[0]
			run.windows = append(run.windows, record.WindowRecord{
				CellID: r.CellID, Model: r.Model, Backend: r.Backend, Scenario: r.Scenario, Phase: "decode", Window: i, Batch: 1,
				KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", TokPerS: 300, JPerToken: &j, Method: "counter", Valid: i != 0,
			})
		}
	}
	a, b := usual.run("a"), usual.run("b")
	windows(a, 9, 1.00, 1.01, 1.02) // the first is not valid
	windows(b, 9, 0.50, 0.505, 0.51)
	var got []Row
	for _, row := range mustCompare(t, sidesOf(a, b), Options{}).Rows {
		if row.Unit == "J/token" {
			got = append(got, row)
		}
	}
	want, _ := stats.StratifiedRatio([][]float64{{0.50, 0.505, 0.51}}, [][]float64{{1.00, 1.01, 1.02}}, analyze.Confidence)
	if len(got) != 1 || got[0].OldN != 3 || *got[0].P != want.Test.P || *got[0].Ratio != want.Value || got[0].Verdict != "less" {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What cannot be tested is told so, and has its ratio where it has values.
func TestTooFew(t *testing.T) {
	one := with(func(s *shape) { s.reps = 1; s.decodeSpeed = 2 })
	for _, row := range mustCompare(t, sidesOf(usual.run("a"), one.run("b")), Options{}).Rows {
		if row.Verdict != "not tested" || row.Why != "fewer than two repetitions of each" || row.P != nil || row.Ratio == nil {
			t.Errorf("%+v", row)
		}
	}
	constant := with(func(s *shape) { s.row = 0 })
	for _, row := range mustCompare(t, sidesOf(constant.run("a"), constant.run("b")), Options{}).Rows {
		if row.Verdict != "not tested" || row.Why != "no spread in either" || *row.Ratio != 1 {
			t.Errorf("%+v", row)
		}
	}
}

// The allowance of a cost is that of its phases by their parts.
func TestCostAllowance(t *testing.T) {
	if got := gpuAllowance.of(qCost, 0.9); math.Abs(got-(0.1*0.25+0.9*0.03)) > 1e-12 {
		t.Errorf("%v", got)
	}
}

func TestAllowance(t *testing.T) {
	group := func(kind string) *analyze.Group { return &analyze.Group{DeviceKind: kind} }
	fixed := 0.01
	for _, tc := range []struct {
		a, b  string
		fixed *float64
		want  Allowance
	}{
		{"gpu", "gpu", nil, gpuAllowance},
		{"cpu", "cpu", nil, cpuAllowance},
		{"cpu", "gpu", nil, Allowance{0.30, 0.30}},
		{"gpu", "", nil, Allowance{0.30, 0.30}},
		{"cpu", "", &fixed, Allowance{0.01, 0.01}},
	} {
		if got := allowed(group(tc.a), group(tc.b), tc.fixed); got != tc.want {
			t.Errorf("%s and %s: %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, rows []record.Record) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, r := range rows {
			if err := json.NewEncoder(f).Encode(r); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	rows := usual.rows()
	file := write("rows.jsonl", rows)
	write("x/run/"+record.File, append(rows, rows[0]))
	write("y/run/"+record.File, rows)
	write("packed/"+record.File+".xz", rows)
	empty := write("empty.jsonl", nil)
	setup := rundir.Setup{RunID: "r", Matrix: []byte("x"), PlannedRows: 1}
	if err := setup.Write(filepath.Join(dir, "x/run")); err != nil {
		t.Fatal(err)
	}
	if err := (environ.Environment{ConfigHash: "h", Sessions: []environ.Session{{Started: time.Unix(0, 0)}}}).Write(filepath.Join(dir, "x/run")); err != nil {
		t.Fatal(err)
	}

	x, err := Read(filepath.Join(dir, "x/run"))
	if err != nil {
		t.Fatal(err)
	}
	if x.Setup == nil || x.Env == nil || x.Measured() != len(rows) || len(x.Problems) != 1 {
		t.Errorf("setup %v, environment %v, %d measured, problems %v", x.Setup, x.Env, x.Measured(), x.Problems)
	}
	y, err := Read(filepath.Join(dir, "y/run"))
	if err != nil || y.Setup != nil || len(y.Problems) != 1 {
		t.Errorf("rows only: %v, problems %v", err, y.Problems)
	}
	z, err := Read(file)
	if err != nil || z.Measured() != len(rows) || len(z.Problems) != 0 {
		t.Errorf("a file: %v, problems %v", err, z.Problems)
	}
	NameApart([]*Run{x, y, z})
	if x.Name != x.Path || y.Name != y.Path || z.Name != "rows.jsonl" {
		t.Errorf("names %q, %q, %q", x.Name, y.Name, z.Name)
	}
	t.Chdir(filepath.Join(dir, "y/run"))
	if here, err := Read("."); err != nil || here.Name != "run" {
		t.Errorf("the folder one stands in: %+v, %v", here, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):   "no such file",
		filepath.Join(dir, "packed"): "xz -dk",
		dir:                          "holds no run",
		empty:                        "holds no rows",
	} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
