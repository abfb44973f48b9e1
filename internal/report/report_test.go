package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	pricingPath = "../../configs/pricing.yaml"
	carbonPath  = "../../configs/carbon.yaml"
)

// runDir copies a fixture's input into a directory of its own.
func runDir(t *testing.T, fixture string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{record.File, record.KVFile, record.WindowFile, record.DeviceFile, record.QualityFile, "environment.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", fixture, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fromDir(t *testing.T, dir string, opts Options) *Result {
	t.Helper()
	r, err := FromDir(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Errorf("%s:%d differs (go test -update rewrites it)\n got: %s\nwant: %s", path, i+1, line(g, i), line(w, i))
			return
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "end of file"
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, fixture string
		opts          Options
		files         []string // compared, of those written
	}{
		// A CPU without a price, skipped GPU cells, an error, no power.
		{"cpu", "cpu", Options{PricingPath: pricingPath, Carbon: carbonPath}, []string{"report.md", TablesFile, ValidationFile}},
		{"cpu-rate", "cpu", Options{PricingPath: pricingPath, RateUSDPerHour: ptr(0.12), Blend: "codegen"}, []string{"report.md", "cost_per_measurement.csv"}},
		// A GPU whose tier is in the file, with power and three launches.
		{"gpu", "gpu", Options{PricingPath: pricingPath, Carbon: carbonPath, Region: "fr", PlannedRows: 50}, []string{"report.md", TablesFile, ValidationFile, "summary_stats.csv"}},
		// A GPU with energy windows, idle power and ceilings, and a CPU whose
		// watts are assumed; synthetic weights, rows that ran degraded.
		{"energy", "energy", Options{PricingPath: pricingPath, Carbon: carbonPath}, []string{"report.md", TablesFile, ValidationFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := fromDir(t, runDir(t, c.fixture), c.opts)
			want := filepath.Join("testdata", c.name+".golden")
			for _, name := range c.files {
				path := r.Files[slices.IndexFunc(r.Files, func(p string) bool { return filepath.Base(p) == name })]
				got, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(want, name), got)
			}
			golden(t, filepath.Join(want, "terminal.txt"), []byte(r.Ranking))
		})
	}
}

// TestEverySectionOfTR123 has a table for each section of the report with
// figures of its own, and a run that measured all fills them.
func TestEverySectionOfTR123(t *testing.T) {
	a := fromDir(t, runDir(t, "energy"), Options{PricingPath: pricingPath, Carbon: carbonPath}).Analysis
	tables, err := a.Tables()
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, table := range tables {
		sections[table.Section] = true
		// Nothing was skipped, one batch size and type of cache was measured, and
		// the samples of power are gone.
		none := table.Name == "tables/not_measured" || table.Name == "tables/watching" || table.Name == "tables/kv_types" || strings.HasPrefix(table.Name, "tables/batch")
		if (len(table.Rows) == 0) != none {
			t.Errorf("%s (%s) has %d rows: %s", table.Name, table.Section, len(table.Rows), table.Missing)
		}
	}
	for _, section := range strings.Fields("3.4 5.1 5.2 5.3 5.4 5.5 5.6 5.7 6.1 6.2 6.3 6.4 6.5 6.6 6.7 7 8.1 8.2 8.3 8.4 9.1 10.1 10.2 11.1 11.2 11.3 11.4 12.2 12.3 14.2 14.3") {
		if !sections[section] {
			t.Errorf("no table of section %s", section)
		}
	}
}

// The samples of power in a run's folder tell what reading it cost.
func TestWhatReadingPowerCost(t *testing.T) {
	dir := runDir(t, "energy")
	var rows, samples strings.Builder
	ns := int64(1e9)
	for _, r := range rowsOf(t, "energy") {
		r.StartNs = ns
		ns += int64(1e9)
		r.Timestamp = time.Unix(1e9, r.StartNs)
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		rows.Write(append(line, '\n'))
	}
	for at := int64(0); at < ns; at += 8e6 {
		fmt.Fprintf(&samples, `{"t_ns":%d,"source":"nvml","gpu":"0","power_instant_w":300}`+"\n", at)
	}
	for name, text := range map[string]string{record.File: rows.String(), power.File: samples.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := fromDir(t, dir, Options{PricingPath: pricingPath}).Analysis.Watching
	if len(got) != 2 || got[0].Backend != "gpu-graphs" || got[0].Rows == 0 || got[0].Read < 2*got[0].Rows {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil || !strings.Contains(string(text), "What reading power cost") {
		t.Errorf("the report does not tell it: %v", err)
	}
}

func TestEveryRowIsAccountedFor(t *testing.T) {
	a := fromDir(t, runDir(t, "cpu"), Options{PricingPath: pricingPath}).Analysis.Accounting
	// 2 models x 3 backends x 2 scenarios x 3 repetitions.
	if a.Recorded() != 36 || a.OK != 23 || a.Skipped != 12 || a.Errors != 1 || a.Missing != 0 || a.Warmups != 16 {
		t.Errorf("%+v", a)
	}
}

func TestAnalysisAgainReplacesFiles(t *testing.T) {
	dir := runDir(t, "cpu")
	fromDir(t, dir, Options{PricingPath: pricingPath})
	first, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	fromDir(t, dir, Options{PricingPath: pricingPath, RateUSDPerHour: ptr(1)})
	second, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) {
		t.Error("a new rate left the report as it was")
	}
	var left []string
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), ".") {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestDamagedRowsAreTold(t *testing.T) {
	promise.Of(t, "a damaged row among others", "half a row at the end of the file of a finished run",
		"the report is made and names the line")
	dir := runDir(t, "cpu")
	path := filepath.Join(dir, record.File)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, "{broken\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	fromDir(t, dir, Options{PricingPath: pricingPath})
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s:%d", record.File, 1+bytes.Count(data, []byte("\n"))); !bytes.Contains(text, []byte(want)) {
		t.Errorf("the report does not name the damaged line %s", want)
	}
}

func TestNothingMeasured(t *testing.T) {
	dir := t.TempDir()
	row := `{"schema":1,"timestamp":"2026-01-02T03:04:05Z","run_id":"r","cell_id":"c","model":"m","backend":"b","scenario":"s",` +
		`"status":"skipped","reason":"no CUDA device","skip_kind":"device"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, record.File), []byte(row), 0o644); err != nil {
		t.Fatal(err)
	}
	r := fromDir(t, dir, Options{PricingPath: pricingPath})
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "No row was measured") || !strings.Contains(string(text), "no CUDA device") || !strings.Contains(r.Ranking, "No row was measured") {
		t.Errorf("report:\n%s\nterminal:\n%s", text, r.Ranking)
	}
}

func TestConfigErrors(t *testing.T) {
	dir := runDir(t, "cpu")
	for name, opts := range map[string]Options{
		"pricing": {PricingPath: "no/such.yaml"},
		"region":  {Carbon: carbonPath, Region: "atlantis"},
		"blend":   {PricingPath: pricingPath, Blend: "soup"},
		"rate":    {PricingPath: pricingPath, RateUSDPerHour: ptr(-1)},
	} {
		var config *ConfigError
		if _, err := FromDir(dir, opts); !errors.As(err, &config) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var config *ConfigError
	if _, err := FromDir(t.TempDir(), Options{PricingPath: pricingPath}); err == nil || errors.As(err, &config) {
		t.Errorf("a directory without rows: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.md")); err == nil {
		t.Error("a report was written in spite of the mistake")
	}
}

func TestSignificant(t *testing.T) {
	for _, c := range []struct {
		v      float64
		digits int
		want   string
	}{
		{0, 4, "0"}, {1234567, 4, "1234567"}, {12.3456, 4, "12.35"}, {0.000123456, 3, "0.000123"}, {-0.5, 2, "-0.50"}, {9.9996, 4, "10.000"},
	} {
		if got := significant(c.v, c.digits); got != c.want {
			t.Errorf("significant(%v, %d) = %s, want %s", c.v, c.digits, got, c.want)
		}
	}
}

func TestRenderers(t *testing.T) {
	tbl := &analyze.Table{Columns: []analyze.Column{
		{Name: "name", Title: "name"}, {Name: "x_ms", Title: "x", Unit: "ms"}, {Name: "none", Title: "none"}, {Name: "ok", Title: "ok"},
	}}
	tbl.Add(`a "quoted", one`, 1.0/3, nil, true)
	tbl.Add("b", nil, nil, false)
	var csv bytes.Buffer
	if err := CSV(&csv, tbl); err != nil {
		t.Fatal(err)
	}
	if want := "name,x_ms,none,ok\n\"a \"\"quoted\"\", one\",0.3333333333333333,,true\nb,,,false\n"; csv.String() != want {
		t.Errorf("CSV:\n%s\nwant:\n%s", csv.String(), want)
	}
	want := "| name | x ms | ok |\n|:--- | ---:|:--- |\n| a \"quoted\", one | 0.3333 | yes |\n| b | – | no |\n"
	if got := Markdown(tbl); got != want {
		t.Errorf("Markdown:\n%s\nwant:\n%s", got, want)
	}
	if got := Text(tbl); !strings.Contains(got, "0.3333") || strings.Contains(got, "none") || strings.Contains(got, "NAME") {
		t.Errorf("Text:\n%s", got)
	}
}

func ptr(v float64) *float64 { return &v }

func TestFeatures(t *testing.T) {
	for in, want := range map[string]string{
		"":         "",
		"AVX2 = 1": "AVX2",
		"CUDA : ARCHS = 900 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX = 1 | ": "CUDA: ARCHS = 900, USE_GRAPHS; CPU: SSE3, AVX",
	} {
		if got := features(in); got != want {
			t.Errorf("features(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestListNamesFew(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a b c d e": "a; b; c; d; e", "a b c d e f": "a; b; c; and 3 more"} {
		if got := list(strings.Fields(in)); got != want {
			t.Errorf("list(%q) = %q, want %q", in, got, want)
		}
	}
}
