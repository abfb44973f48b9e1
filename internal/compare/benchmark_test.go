package compare

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// The lines have the form that the proposal of the Go benchmark format gives:
// configuration "key: value", "Unit name key=value", and results "BenchmarkName
// iterations value unit...".
var benchmarkLine = regexp.MustCompile(`^(Unit \S+ better=(higher|lower)|[a-z]\S*: .*|Benchmark[A-Z]\S* [1-9][0-9]*( [0-9.e+-]+ \S+)+)$`)

func benchmarks(t *testing.T, sides []*Side) string {
	t.Helper()
	var out bytes.Buffer
	if err := WriteBenchmarks(&out, sides); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteBenchmarks(t *testing.T) {
	change := func(r *record.Record) { r.Model, r.Scenario, r.KVTypeV = "a/b c", "x=1", "q8_0" }
	a := with(func(s *shape) { s.scenarios, s.reps, s.change = 1, 2, change }).run("a")
	j := 0.25
	a.windows = []record.WindowRecord{{
		CellID: "c", Model: "a/b c", Backend: "b", Scenario: "x=1", Phase: "prefill", Batch: 1,
		KVTypeK: "f16", KVTypeV: "q8_0", DecodeMode: "cached", TokPerS: 300, JPerToken: &j, Method: "counter", Valid: true,
	}}
	out := benchmarks(t, sidesOf(a))
	for line := range strings.Lines(out) {
		if !benchmarkLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("not of the format: %q", line)
		}
	}
	row := a.rows[0]
	want := "BenchmarkRow/model=a_b_c/backend=b/variant=k_f16_v_q8_0/scenario=x_1-2 1 " + exact(1e6*(*row.PrefillMs+*row.DecodeMs)) + " ns/op " +
		exact(1/prefillS(&row)) + " prefill-tok/s " + exact(1/decodeS(&row)) + " decode-tok/s " + exact(1e6**row.PrefillMs) + " ttft-ns " + exact(1e6**row.DecodeMs/32) + " tpot-ns\n"
	for _, want := range []string{want, "device: X\n", "origin: phasebench\n", "synthetic: false\n", "scenario=x_1 1 0.25 prefill-J/tok\n"} {
		if strings.Count(out, want) != 1 {
			t.Errorf("%q is not once in\n%s", want, out)
		}
	}
	out = benchmarks(t, sidesOf(a, usual.run("b")))
	if strings.Count(out, "/run=a") != 3 || strings.Count(out, "/run=b") != 15 {
		t.Errorf("runs are not named in\n%s", out)
	}
}

// benchstat, a tool of go.mod, reads the export and gives the medians of the
// rows.
func TestBenchstat(t *testing.T) {
	run := usual.run("a")
	path := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(path, []byte(benchmarks(t, sidesOf(run))), 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	benchstat := exec.Command("go", "tool", "benchstat", "-format", "csv", path)
	benchstat.Stderr = &said
	out, err := benchstat.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	in := csv.NewReader(bytes.NewReader(out))
	in.FieldsPerRecord = -1
	lines, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]func(*record.Record) float64{
		"sec/op":        func(r *record.Record) float64 { return (*r.PrefillMs + *r.DecodeMs) / 1000 },
		"prefill-tok/s": func(r *record.Record) float64 { return 1 / prefillS(r) },
		"decode-tok/s":  func(r *record.Record) float64 { return 1 / decodeS(r) },
		"ttft-sec":      func(r *record.Record) float64 { return *r.PrefillMs / 1000 },
		"tpot-sec":      func(r *record.Record) float64 { return decodeS(r) },
	}
	unit, checked := "", 0
	for _, line := range lines {
		if len(line) > 1 && line[0] == "" {
			unit = line[1]
		}
		_, scenario, ok := strings.Cut(line[0], "/scenario=")
		if !ok || of[unit] == nil {
			continue
		}
		got, err := strconv.ParseFloat(line[1], 64)
		want, _ := stats.Percentile(ofScenario(run.rows, strings.TrimSuffix(scenario, "-2"), of[unit]), 50)
		if err != nil || got < want*(1-1e-12) || got > want*(1+1e-12) {
			t.Errorf("%s of %s: %v, want %v", unit, line[0], line[1], want)
		}
		checked++
	}
	if checked != 15 {
		t.Errorf("%d medians, want 15:\n%s", checked, out)
	}
}
