// Pairs summarises what scripts/compare-llama-bench.sh measured: it reads the
// raw times from standard input and prints, for each metric, every pair and the
// geometric mean of our rate over the peer's with a bootstrap 95 % interval.
package main

import (
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

func main() { os.Exit(run(os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit code: 0, or 2 if the input is not what the script writes or has fewer than two pairs.
func run(stdin io.Reader, stdout, stderr io.Writer) int {
	metrics, err := read(stdin)
	if err != nil {
		fmt.Fprintf(stderr, "pairs: %v\n", err)
		return 2
	}
	for _, m := range metrics {
		var ours, peer []float64
		t := table.NewWriter()
		t.AppendHeader(table.Row{m.Name, "first", "ours tok/s", "peer tok/s", "ours/peer"})
		for _, p := range m.Pairs {
			ours, peer = append(ours, p.Ours), append(peer, p.Peer)
			t.AppendRow(table.Row{p.ID, p.First, fmt.Sprintf("%.2f", p.Ours), fmt.Sprintf("%.2f", p.Peer), fmt.Sprintf("%.4f", p.Ours/p.Peer)})
		}
		fmt.Fprintln(stdout, t.Render())
		ratio, ci, err := stats.PairedRatio(ours, peer, 0.95, resamples, seed)
		if err != nil {
			fmt.Fprintf(stderr, "pairs: %s: %v\n", m.Name, err)
			return 2
		}
		fmt.Fprintf(stdout, "%s: ours/peer %.4f, 95 %% interval %.4f to %.4f (geometric mean, bootstrap over pairs, n = %d)\n\n",
			m.Name, ratio, ci.Lo, ci.Hi, len(m.Pairs))
	}
	return 0
}
