package plots

import (
	"bytes"
	"encoding/xml"
	"flag"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

// What a made-up run looks like, picture by picture. After a change that is
// meant, look at the new pictures and run the test with -update.
func TestGolden(t *testing.T) {
	all := newRun(t).draw(t)
	// In runs of their own, which the other pictures are not made for.
	others := map[string][]Plot{"batches": newRun(t).batched().draw(t), "kv_types": newRun(t).cachesOf("medium").draw(t), "quality_cost": newRun(t).scored().draw(t)}
	for i, p := range all {
		if other := others[p.Name]; other != nil {
			p = other[i]
		}
		if p.Skipped != "" {
			t.Errorf("%s is skipped: %s", p.Name, p.Skipped)
			continue
		}
		golden := filepath.Join("testdata", p.Name+".svg")
		if *update {
			if err := os.WriteFile(golden, p.SVG, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatalf("%v; -update writes it", err)
		}
		if diff := differ(p.SVG, want); diff != "" {
			t.Errorf("%s: %s", p.Name, diff)
		}
	}
	golden, err := filepath.Glob("testdata/*.svg")
	if err != nil || len(golden) != len(all) {
		t.Errorf("%d golden pictures for %d plots (%v)", len(golden), len(all), err)
	}
}

var number = regexp.MustCompile(`-?\d+(\.\d+)?(e[-+]\d+)?`)

// differ compares pictures: text must be the same, places may differ by what
// rounding on another machine does, a twentieth of a point.
func differ(got, want []byte) string {
	g, w := number.Split(string(got), -1), number.Split(string(want), -1)
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got " + strconv.Quote(g[i]) + " where the golden picture has " + strconv.Quote(w[i])
		}
	}
	if len(g) != len(w) {
		return "has more or less drawn than the golden picture"
	}
	gn, wn := number.FindAllString(string(got), -1), number.FindAllString(string(want), -1)
	for i := range gn {
		a, _ := strconv.ParseFloat(gn[i], 64)
		b, _ := strconv.ParseFloat(wn[i], 64)
		if math.Abs(a-b) > 0.05 {
			return "has " + gn[i] + " where the golden picture has " + wn[i]
		}
	}
	return ""
}

func TestDifferSees(t *testing.T) {
	golden := `<path d="M10,20L30.01,40"/><text>fast</text>`
	for _, c := range []struct {
		svg  string
		same bool
	}{
		{golden, true},
		{`<path d="M10,20L30.04,40"/><text>fast</text>`, true},
		{`<path d="M10,20L30.2,40"/><text>fast</text>`, false},
		{`<path d="M10,20L30.01,40"/><text>slow</text>`, false},
		{`<path d="M10,20L30.01,40L5,5"/><text>fast</text>`, false},
	} {
		if same := differ([]byte(c.svg), []byte(golden)) == ""; same != c.same {
			t.Errorf("%s: same %v, want %v", c.svg, same, c.same)
		}
	}
}

// Pictures are small, well-formed, and the same every time.
func TestFormats(t *testing.T) {
	r := newRun(t).batched().cachesOf("short").withPerplexities()
	all, again := r.draw(t), r.draw(t)
	for i, p := range all {
		if !bytes.Equal(p.SVG, again[i].SVG) || !bytes.Equal(p.PNG, again[i].PNG) {
			t.Errorf("%s: differs when drawn again", p.Name)
		}
		if len(p.SVG) > 100_000 {
			t.Errorf("%s: SVG of %d bytes", p.Name, len(p.SVG))
		}
		for dec := xml.NewDecoder(bytes.NewReader(p.SVG)); ; {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
		}
		config, err := png.DecodeConfig(bytes.NewReader(p.PNG))
		if err != nil || config.Width != 1296 || config.Height < 200 {
			t.Errorf("%s: PNG of %dx%d, %v", p.Name, config.Width, config.Height, err)
		}
		if p.Caption == "" || !strings.Contains(string(p.SVG), "Synthetic weights") {
			t.Errorf("%s: lacks a caption, or the note of synthetic weights", p.Name)
		}
		if bad := regexp.MustCompile(`NaN|Inf|>-0[ <]`).Find(p.SVG); bad != nil {
			t.Errorf("%s: has %s", p.Name, bad)
		}
	}
}

// skipped returns the reasons by name.
func skipped(all []Plot) map[string]string {
	out := map[string]string{}
	for _, p := range all {
		if p.Skipped != "" {
			out[p.Name] = p.Skipped
		}
	}
	return out
}

func names(all []Plot) []string {
	var out []string
	for _, p := range all {
		out = append(out, p.Name)
	}
	return out
}

// What a run lacks leaves out the plots that need it and no others.
func TestLacking(t *testing.T) {
	for _, c := range []struct {
		name string
		lack func(r *run)
		want map[string]string // skipped, and a part of the reason
	}{
		{"nothing", func(*run) {}, nil},
		{"power", func(r *run) { r.extra.Power = nil }, map[string]string{"power_timeline": "power_samples.jsonl"}},
		{"energy", func(r *run) { r.options.Windows = nil }, map[string]string{"energy_heatmap": "energy windows"}},
		{"prices", func(r *run) { r.options.Pricing = nil }, map[string]string{
			"phase_cost_bar": "a price", "cost_tier_comparison": "a price", "break_even": "a price",
		}},
		{"ceilings", func(r *run) { r.options.Devices = nil }, map[string]string{"roofline": "ceilings"}},
		{"shapes", func(r *run) {
			r.options.KV = nil
			for i := range r.rows {
				r.rows[i].ModelInfo = nil
			}
		}, map[string]string{"kv_memory_scaling": "shapes", "kv_crossover": "shapes", "roofline": "ceilings"}},
		{"steps", func(r *run) {
			for i := range r.rows {
				r.rows[i].StepMs = nil
			}
		}, map[string]string{"step_timeline": "step_ms", "cached_vs_uncached": "decode: uncached"}},
		{"rows without the cache", func(r *run) {
			r.rows = slices.DeleteFunc(r.rows, func(row record.Record) bool { return row.DecodeMode == "uncached" })
		}, map[string]string{"cached_vs_uncached": "decode: uncached"}},
		{"the device's memory", func(r *run) { r.options.DeviceBytes = nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			c.lack(r)
			got := skipped(r.compose(t))
			delete(got, "batches")      // the run has one batch size; batches_test.go has others
			delete(got, "kv_types")     // and one type of cache; cachetypes_test.go has others
			delete(got, "batches")      // the run has one batch size; batches_test.go has others
			delete(got, "quality_cost") // nothing was scored; quality_test.go has some
			for name, reason := range c.want {
				if !strings.Contains(got[name], reason) {
					t.Errorf("%s: skipped for %q, want %q in it", name, got[name], reason)
				}
			}
			for name, reason := range got {
				if c.want[name] == "" {
					t.Errorf("%s: skipped: %s", name, reason)
				}
			}
		})
	}
}

// Nothing measured: every plot says so, none is drawn.
func TestAllFailed(t *testing.T) {
	r := newRun(t)
	for i := range r.rows {
		row := &r.rows[i]
		*row = record.Record{RunID: row.RunID, CellID: row.CellID, Model: row.Model, Backend: row.Backend, Scenario: row.Scenario,
			Rep: row.Rep, Batch: 1, Status: record.StatusError, Error: &record.Error{Kind: "engine", Message: "made up"}}
	}
	all := r.compose(t)
	if got := skipped(all); len(got) != len(definitions()) || len(all) != len(definitions()) {
		t.Errorf("skipped %v of %v", got, names(all))
	}
}

// One model, on a machine without a GPU and without power, and one repetition:
// what is there is drawn, and says that there are no intervals.
func TestLeast(t *testing.T) {
	r := newRun(t)
	r.rows = slices.DeleteFunc(r.rows, func(row record.Record) bool {
		return row.Model != "small" || row.DeviceKind != "cpu" || row.Rep > 0
	})
	r.extra, r.options.Windows = Extra{}, nil
	all := r.draw(t)
	want := []string{"phase_cost_bar_small", "decode_tok_s", "latency_cdf", "step_timeline", "cost_tier_comparison", "break_even",
		"kv_memory_scaling", "kv_crossover", "roofline"}
	for _, p := range all {
		if drawn := p.Skipped == ""; drawn != slices.Contains(want, p.Name) {
			t.Errorf("%s: drawn %v (%s)", p.Name, drawn, p.Skipped)
		}
		if slices.Contains([]string{"decode_tok_s", "phase_cost_bar_small", "cost_tier_comparison"}, p.Name) && !strings.Contains(string(p.SVG), "Too few rows for intervals") {
			t.Errorf("%s: does not say that there are no intervals", p.Name)
		}
		if strings.HasPrefix(p.Name, "phase_cost_bar") && !strings.Contains(string(p.SVG), "scenario bought-box") {
			t.Errorf("%s: does not say that the price is a scenario's", p.Name)
		}
	}
}

// An interval that is wider than its value shows that it goes on, and leaves
// the bars their room.
func TestWideIntervals(t *testing.T) {
	r := newRun(t)
	for i := range r.rows {
		if r.rows[i].Rep == 0 {
			*r.rows[i].DecodeMs *= 50
		}
	}
	for _, p := range r.draw(t) {
		if p.Name == "decode_tok_s" && !strings.Contains(string(p.SVG), "without a cap reach further") {
			t.Error("decode_tok_s does not say that intervals are cut")
		}
	}
}

// Write leaves the pictures of this analysis, none of an earlier one, and what
// is not ours.
func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plots")
	r := newRun(t)
	write := func() []Plot {
		all, err := Write(dir, r.analysis(t), r.extra)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	files := func() []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	check := func(all []Plot, others ...string) {
		t.Helper()
		want := others
		for _, p := range all {
			if p.Skipped != "" {
				continue
			}
			want = append(want, filepath.Base(p.SVGPath), filepath.Base(p.PNGPath))
			svg, err := os.ReadFile(p.SVGPath)
			if err != nil || !bytes.HasPrefix(svg, []byte("<?xml")) || !bytes.HasSuffix(svg, p.SVG) {
				t.Errorf("%s: %v", p.SVGPath, err)
			}
		}
		slices.Sort(want)
		if got := files(); !slices.Equal(got, want) {
			t.Errorf("files %v, want %v", got, want)
		}
	}
	check(write())
	if err := os.WriteFile(filepath.Join(dir, "notes.svg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.rows = slices.DeleteFunc(r.rows, func(row record.Record) bool { return row.Model == "large" })
	r.extra.Power = nil
	check(write(), "notes.svg")
}

// Names of models that no file can have, or that only differ in what a file
// name drops.
func TestNames(t *testing.T) {
	r := newRun(t)
	for i := range r.rows {
		r.rows[i].Model = map[string]string{"small": "org/name<1>", "large": "org name 1"}[r.rows[i].Model]
	}
	r.options.KV, r.options.Windows = nil, nil
	var got []string
	for _, p := range r.draw(t) {
		if strings.HasPrefix(p.Name, "phase_cost_bar") {
			got = append(got, p.Name)
			if !strings.Contains(string(p.SVG), "<title>") {
				t.Errorf("%s: no title", p.Name)
			}
		}
	}
	if want := []string{"phase_cost_bar_org-name-1-", "phase_cost_bar_org-name-1"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
}

// A machine that costs nothing is a price too, of which a bar or a point on a
// log axis cannot be drawn.
func TestFree(t *testing.T) {
	r := newRun(t)
	r.options.RateUSDPerHour, r.options.Windows = new(float64), nil
	got := skipped(r.draw(t))
	for _, name := range []string{"phase_cost_bar", "cost_tier_comparison"} {
		if !strings.Contains(got[name], "above 0") {
			t.Errorf("%s: skipped for %q, want a price above 0", name, got[name])
		}
	}
}

// Variants of a backend stand beside it under names of their own.
func TestVariants(t *testing.T) {
	r := newRun(t)
	for _, row := range slices.Clone(r.rows) {
		if row.Backend == "gpu" && row.Scenario == "short" {
			row.CellID, row.Batch, row.StartNs = row.CellID+"b8", 8, 0
			r.rows = append(r.rows, row)
		}
	}
	for _, p := range r.draw(t) {
		if slices.Contains([]string{"phase_cost_bar_small", "decode_tok_s", "energy_heatmap"}, p.Name) && !strings.Contains(string(p.SVG), "batch 8") {
			t.Errorf("%s: does not name the variant", p.Name)
		}
	}
}
