// Pairs summarises what scripts like scripts/compare-llama-bench.sh measured: it
// reads the raw times from standard input and prints, for each metric, every pair
// and the geometric mean of our rate over the peer's with a bootstrap 95 %
// interval, and their median, which a pair that something held up cannot move;
// with -format markdown one table of those alone.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/phasebench/phasebench/internal/stats"
)

const (
	resamples = 10_000
	seed      = 42 // so that the same times always give the same interval
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit code: 0, or 2 for wrong flags, when the input is not what
// the scripts write, and when some metric has fewer than two pairs.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("pairs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	format := flags.String("format", "text", "text or markdown")
	if flags.Parse(args) != nil {
		return 2
	}
	show := map[string]func(io.Writer, []result){"text": text, "markdown": markdown}[*format]
	if show == nil || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "pairs: need times on standard input, and -format text or markdown")
		return 2
	}
	metrics, err := read(stdin)
	if err != nil {
		fmt.Fprintf(stderr, "pairs: %v\n", err)
		return 2
	}
	var results []result
	code := 0
	for _, m := range metrics {
		r, err := summarise(m)
		if err != nil {
			fmt.Fprintf(stderr, "pairs: %s: %v\n", m.Name, err)
			code = 2
			continue
		}
		results = append(results, r)
	}
	show(stdout, results)
	return code
}

// A result is what the pairs of a metric come to.
type result struct {
	metric
	Ratio float64 // geometric mean of ours over the peer's
	CI    stats.Range
	// Median of the ratios, and its distribution-free 95 % interval where there
	// are pairs enough for one.
	Median   float64
	MedianCI *stats.Range
}

func summarise(m metric) (result, error) {
	var ours, peer, ratios []float64
	for _, p := range m.Pairs {
		ours, peer, ratios = append(ours, p.Ours), append(peer, p.Peer), append(ratios, p.Ours/p.Peer)
	}
	ratio, ci, err := stats.PairedRatio(ours, peer, 0.95, resamples, seed)
	over, _ := stats.Describe(ratios, 0.95)
	return result{m, ratio, ci, over.Median, over.MedianCI}, err
}

func text(w io.Writer, results []result) {
	for _, r := range results {
		t := table.NewWriter()
		t.AppendHeader(table.Row{r.Name, "first", "ours tok/s", "peer tok/s", "ours/peer"})
		for _, p := range r.Pairs {
			t.AppendRow(table.Row{p.ID, p.First, fmt.Sprintf("%.2f", p.Ours), fmt.Sprintf("%.2f", p.Peer), fmt.Sprintf("%.4f", p.Ours/p.Peer)})
		}
		fmt.Fprintln(w, t.Render())
		fmt.Fprintf(w, "%s: ours/peer %.4f, 95 %% interval %.4f to %.4f (geometric mean, bootstrap over pairs, n = %d); median %.4f%s\n\n",
			r.Name, r.Ratio, r.CI.Lo, r.CI.Hi, len(r.Pairs), r.Median, between(", 95 %% %.4f to %.4f", r.MedianCI))
	}
}

func markdown(w io.Writer, results []result) {
	fmt.Fprintln(w, "| measured | ratio | 95 % | median | 95 % | pairs |\n|:--- | ---:|:--- | ---:|:--- | ---:|")
	for _, r := range results {
		fmt.Fprintf(w, "| %s | %.3f | %.3f to %.3f | %.3f | %s | %d |\n", r.Name, r.Ratio, r.CI.Lo, r.CI.Hi, r.Median, between("%.3f to %.3f", r.MedianCI), len(r.Pairs))
	}
}

// between writes an interval, and nothing for none.
func between(format string, ci *stats.Range) string {
	if ci == nil {
		return ""
	}
	return fmt.Sprintf(format, ci.Lo, ci.Hi)
}
