package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
)

// maxPageBytes is how large a page may be.
const maxPageBytes = 3_000_000

// element is a start tag of a page.
type element struct {
	name  string
	attrs map[string]string
}

var scriptBody = regexp.MustCompile(`(?s)(<(?:script|style)[^>]*>).*?(</(?:script|style)>)`)

// elements parses a page, whose tags must be nested right, and returns its start
// tags.
func elements(t *testing.T, page string) []element {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(scriptBody.ReplaceAllString(page, "$1$2")))
	dec.Strict = false // attributes without a value
	dec.AutoClose = xml.HTMLAutoClose
	dec.Entity = xml.HTMLEntity
	var out []element
	var open []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 {
				t.Fatalf("never closed: %v", open)
			}
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tag := token.(type) {
		case xml.StartElement:
			e := element{tag.Name.Local, map[string]string{}}
			for _, a := range tag.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			out, open = append(out, e), append(open, e.name)
		case xml.EndElement:
			if n := len(open); n == 0 || open[n-1] != tag.Name.Local {
				t.Fatalf("</%s> closes %v", tag.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// checkPage holds what is true of every page against one.
func checkPage(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, PageFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxPageBytes {
		t.Errorf("%d bytes, want %d at most", len(data), maxPageBytes)
	}
	page := string(data)
	ids := map[string]bool{}
	all := elements(t, page)
	for _, e := range all {
		if id := e.attrs["id"]; id != "" {
			if ids[id] {
				t.Errorf("two elements are called %q", id)
			}
			ids[id] = true
		}
	}
	for _, e := range all {
		for _, name := range []string{"src", "href"} {
			to, has := e.attrs[name]
			switch {
			case !has:
			case strings.HasPrefix(to, "#"):
				if !ids[to[1:]] {
					t.Errorf("a link leads to %s, which is not there", to)
				}
			case e.name != "a" || strings.Contains(to, ":"):
				t.Errorf("<%s> loads %s; a page must need nothing besides itself", e.name, to)
			default:
				if _, err := os.Stat(filepath.Join(dir, to)); err != nil {
					t.Errorf("a link leads to a file that is not there: %v", err)
				}
			}
		}
	}
	if i := regexp.MustCompile(`%!|&lt;nil&gt;|\bNaN\b|\bInf\b|ZgotmplZ`).FindString(page); i != "" {
		t.Errorf("the page holds %q", i)
	}
	return page
}

func TestPageStandsAlone(t *testing.T) {
	for _, fixture := range []string{"cpu", "gpu", "energy"} {
		t.Run(fixture, func(t *testing.T) {
			dir := runDir(t, fixture)
			a := fromDir(t, dir, Options{PricingPath: pricingPath, Carbon: carbonPath}).Analysis
			page := checkPage(t, dir)
			if synthetic := strings.Contains(page, `<span class="badge">synthetic weights`); synthetic != (len(a.Synthetic) > 0) {
				t.Errorf("badge of synthetic weights: %v, want it for %v", synthetic, a.Synthetic)
			}
			count := func(name string) (n int) {
				for _, e := range elements(t, page) {
					if e.name == name {
						n++
					}
				}
				return n
			}
			if tables, plots := count("table"), count("svg"); tables < 20 || plots < 5 {
				t.Errorf("%d tables and %d plots", tables, plots)
			}
		})
	}
}

// TestBothReportsSayTheSame: the words of report.md are those of the page.
func TestBothReportsSayTheSame(t *testing.T) {
	dir := runDir(t, "energy")
	fromDir(t, dir, Options{PricingPath: pricingPath, Carbon: carbonPath})
	page := checkPage(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.ContainsAny(line[:1], "#|>!`<*./(") || strings.HasPrefix(line, "Warnings of every row") {
			continue // headings, tables, notices, images, code
		}
		line = strings.TrimPrefix(strings.TrimPrefix(line, "- "), "[ ] ")
		if !strings.Contains(page, string(inline(line))) {
			t.Errorf("only report.md says: %s", line)
		}
		n++
	}
	if n < 50 {
		t.Errorf("%d lines compared", n)
	}
}

// TestWarningsStandBesideTheirNumbers: a row that a warning is about refers to
// it, others do not.
func TestWarningsStandBesideTheirNumbers(t *testing.T) {
	table := &analyze.Table{Columns: []analyze.Column{{Name: "model"}, {Name: "backend"}, {Name: "variant"}, {Name: "scenario"}}}
	table.Add("m", "b", nil, "short")
	table.Add("m", "b", "batch 2", "short")
	table.Add("m", "b2", nil, "short")
	warn := func(where ...string) analyze.Warning { return analyze.Warning{Text: "x", Where: where} }
	b := &tableBlock{Table: table}
	b.mark(numbered([]analyze.Warning{
		warn("m on b, short: 12 %"),
		warn("m on b (batch 2), short", "m on b2, short, launch 0, repetition 1"),
		warn("m on b, shorter"),
		warn("m on b, short", "m on b (batch 2), short", "m on b2, short"),
		warn("ranking"),
	}))
	if want := [][]int{{1}, {2}, {2}}; !slices.EqualFunc(b.Marks, want, slices.Equal) || !slices.Equal(b.Every, []int{4}) {
		t.Errorf("rows %v, every row %v", b.Marks, b.Every)
	}
}

// TestRunsThatLackThings: whatever a run lacks, both reports are whole and say
// so, and nothing is made up.
func TestRunsThatLackThings(t *testing.T) {
	gpu, energy := rowsOf(t, "gpu"), rowsOf(t, "energy")
	keep := func(rows []record.Record, holds func(r *record.Record) bool) []record.Record {
		return slices.DeleteFunc(slices.Clone(rows), func(r record.Record) bool { return !holds(&r) })
	}
	change := func(rows []record.Record, how func(r *record.Record)) []record.Record {
		rows = slices.Clone(rows)
		for i := range rows {
			how(&rows[i])
		}
		return rows
	}
	first := gpu[0]
	for _, c := range []struct {
		name       string
		rows       []record.Record
		opts       Options
		says, nots []string
	}{
		{"one model", keep(gpu, func(r *record.Record) bool { return r.Model == first.Model }), Options{PricingPath: pricingPath},
			[]string{"needs models with MHA and with GQA", "With one model there is no choice"}, nil},
		{"one configuration", keep(gpu, func(r *record.Record) bool { return r.Model == first.Model && r.Backend == first.Backend }), Options{PricingPath: pricingPath},
			[]string{"there is no ranking to change", "no pair of backends shows their effect here", "Backends compared, scenario by scenario. It needs two backends"}, []string{"The next,"}},
		{"no GPU", keep(energy, func(r *record.Record) bool { return r.DeviceKind == "cpu" }), Options{PricingPath: pricingPath},
			[]string{noOwnRate, "Scenario: at the consumer rate", "needs a GPU backend with CUDA graphs"}, []string{"At each device's own rate"}},
		{"no power", change(gpu, func(r *record.Record) { r.PhasePower, r.GPUClockMHz, r.GPUTempC = nil, nil, nil }), Options{PricingPath: pricingPath},
			[]string{"no energy at all", "Measure power on the machine that will serve", "machine time only"}, []string{"Watch the temperature"}},
		{"one repetition", keep(gpu, func(r *record.Record) bool { return r.Rep == 0 && r.Launch == 0 }), Options{PricingPath: pricingPath},
			[]string{"Too few repetitions to tell whether the order holds", "could not be tested"}, []string{"beyond both intervals"}},
		{"tokens of chance", change(gpu, func(r *record.Record) {
			if r.Model == first.Model && r.Backend == first.Backend {
				r.TokenHash = fmt.Sprint(r.Launch, r.Rep)
			}
		}), Options{PricingPath: pricingPath},
			[]string{"**Do not rely on** " + first.Model + " on " + first.Backend + ":", "other tokens in "}, nil},
		{"no price", gpu, Options{},
			[]string{"needs a price: --rate"}, []string{"cheapest of", "$0"}},
		{"free", gpu, Options{RateUSDPerHour: ptr(0)}, []string{"$0"}, nil},
		{"all failed", change(gpu, func(r *record.Record) {
			r.Status, r.Error, r.PrefillMs, r.DecodeMs = record.StatusError, &record.Error{Kind: "signal", Signal: "SIGKILL", Message: "the worker died"}, nil, nil
		}), Options{PricingPath: pricingPath},
			[]string{"No row was measured", "SIGKILL: the worker died", "needs a measured row"}, []string{"cheapest of", "13. Guidance"}},
		{"hostile names", change(gpu, func(r *record.Record) { r.Model, r.Backend = `</script><b onload="x">`+r.Model, "a&b|c" }), Options{PricingPath: pricingPath},
			[]string{"a&b"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			a, err := analyze.Analyze(c.rows, must(c.opts.load()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Write(dir, a, Origin{}); err != nil {
				t.Fatal(err)
			}
			page := checkPage(t, dir)
			text, err := os.ReadFile(filepath.Join(dir, ReportFile))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.says {
				if !strings.Contains(string(text), s) || !strings.Contains(page, string(inline(s))) {
					t.Errorf("not said: %s", s)
				}
			}
			for _, s := range c.nots {
				if strings.Contains(string(text), s) {
					t.Errorf("said: %s", s)
				}
			}
			if i := regexp.MustCompile(`%!|<nil>|\bNaN\b|\+Inf|: \.|  +[a-z]`).FindString(string(text)); i != "" {
				t.Errorf("report.md holds %q", i)
			}
		})
	}
}

func rowsOf(t *testing.T, fixture string) []record.Record {
	t.Helper()
	rows, problems, err := record.Read(filepath.Join("testdata", fixture, record.File))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return rows
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestInline(t *testing.T) {
	for in, want := range map[string]string{
		"a < b & `c<d` **e**":            "a &lt; b &amp; <code>c&lt;d</code> <strong>e</strong>",
		"[t](tables/t.csv) [s](#s)":      `<a href="tables/t.csv">t</a> <a href="#s">s</a>`,
		"[x](javascript:alert) <script>": "[x](javascript:alert) &lt;script&gt;",
		`[x](a"onload=)`:                 `<a href="a&#34;onload=">x</a>`,
	} {
		if got := string(inline(in)); got != want {
			t.Errorf("inline(%q) = %s, want %s", in, got, want)
		}
	}
}
