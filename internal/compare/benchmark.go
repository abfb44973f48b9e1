package compare

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/phasebench/phasebench/internal/analyze"
)

// benchmarkUnits say which way is better, for programs that read the format.
const benchmarkUnits = `Unit prefill-tok/s better=higher
Unit decode-tok/s better=higher
Unit prefill-J/tok better=lower
Unit decode-J/tok better=lower
`

// WriteBenchmarks writes the measured rows of sides in the Go benchmark format,
// one line for each repetition and each valid energy window, for programs like
// golang.org/x/perf/cmd/benchstat. Times are in nanoseconds: ns/op is the whole
// row, ttft-ns its prefill, tpot-ns a decode step. The device, the origin and
// whether weights are random are file configuration, so that benchstat puts
// what differs in them into different tables. Of several sides each line says
// which it is of, for `benchstat -col /run`, and the backend only where it is
// not the side.
func WriteBenchmarks(w io.Writer, sides []*Side) error {
	out := bufio.NewWriter(w)
	out.WriteString(benchmarkUnits)
	set := map[string]string{}
	for _, s := range sides {
		if s.groups == nil {
			if err := s.load(analyze.Options{}); err != nil {
				return err
			}
		}
		run := ""
		if len(sides) > 1 {
			run = "/run=" + plain(s.Label())
		}
		for _, g := range s.groups {
			first := g.Rows[0]
			for _, c := range [][2]string{
				{"device", g.Device}, {"origin", cmp.Or(first.Origin, "phasebench")}, {"synthetic", strconv.FormatBool(first.Synthetic)},
			} {
				if was, ok := set[c[0]]; !ok || was != c[1] {
					fmt.Fprintf(out, "%s: %s\n", c[0], c[1])
					set[c[0]] = c[1]
				}
			}
			writeGroup(out, benchmarkName(g, s.Backend == "")+run, g)
		}
	}
	return out.Flush()
}

func writeGroup(out io.Writer, name string, g *analyze.Group) {
	for _, r := range g.Rows {
		cpus := ""
		if r.Threads > 0 {
			cpus = "-" + strconv.Itoa(r.Threads)
		}
		fmt.Fprintf(out, "%s%s 1 %s ns/op %s prefill-tok/s %s decode-tok/s %s ttft-ns %s tpot-ns\n", name, cpus,
			exact(1e6*(*r.PrefillMs+*r.DecodeMs)), exact(1/prefillS(r)), exact(1/decodeS(r)), exact(1e6**r.PrefillMs), exact(1e6**r.DecodeMs/float64(r.GenTokens)))
	}
	for _, p := range []struct {
		unit string
		*analyze.Windows
	}{{"prefill-J/tok", g.PrefillWindows}, {"decode-J/tok", g.DecodeWindows}} {
		if p.Windows == nil {
			continue
		}
		for _, j := range p.ValidJPerTok() {
			fmt.Fprintf(out, "%s 1 %s %s\n", name, exact(j), p.unit)
		}
	}
}

func exact(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// benchmarkName names a group as `go test` names sub-benchmarks.
func benchmarkName(g *analyze.Group, withBackend bool) string {
	name := "BenchmarkRow/model=" + plain(g.Model)
	if withBackend {
		name += "/backend=" + plain(g.Backend)
	}
	if v := g.Variant(); v != "" {
		name += "/variant=" + plain(v)
	}
	return name + "/scenario=" + plain(g.Scenario)
}

// plain replaces what separates the parts of a benchmark line.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '=' || unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, s)
}
