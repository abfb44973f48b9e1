// Kernels sums up what scripts/kernels.sh traced: for each file, named
// MODEL.SYSTEM.csv, how many kernels a prefill and a decode step are, how long
// the device computes in them, how long it waits between them, and what the time
// goes to.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/phasebench/phasebench/internal/stats"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0, or 2 for wrong flags and for files that hold no
// whole repetition.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	flags.SetOutput(stderr)
	gen := flags.Int("gen", 16, "decode steps of a repetition")
	top := flags.Int("top", 0, "also list so many kernels of each phase, those that take longest first")
	if flags.Parse(args) != nil {
		return 2
	}
	if *gen < 1 || *top < 0 || flags.NArg() == 0 {
		fmt.Fprintln(stderr, "kernels: usage: kernels [-gen N] [-top N] MODEL.SYSTEM.csv...")
		return 2
	}
	out := table.NewWriter()
	out.AppendHeader(table.Row{"model", "system", "phase", "kernels", "computing ms", "waiting ms", "matrix ms", "attention ms", "other ms"})
	var lists []string
	code := 0
	for _, path := range flags.Args() {
		phases, err := summarise(path, *gen)
		if err != nil {
			fmt.Fprintf(stderr, "kernels: %v\n", err)
			code = 2
			continue
		}
		model, system := names(path)
		for _, p := range phases {
			row := table.Row{model, system, p.name, p.kernels}
			for _, ns := range []float64{p.busyNs, p.waitingNs, p.ns[matrix], p.ns[attention], p.ns[other]} {
				row = append(row, fmt.Sprintf("%.3f", ns/1e6))
			}
			out.AppendRow(row)
			if *top > 0 {
				lists = append(lists, fmt.Sprintf("\n%s %s %s:\n%s", model, system, p.name, p.longest(*top)))
			}
		}
	}
	fmt.Fprintln(stdout, out.RenderMarkdown())
	fmt.Fprint(stdout, strings.Join(lists, ""))
	return code
}

// names returns the model and the system that a file's name says it is of.
func names(path string) (model, system string) {
	name := strings.TrimSuffix(filepath.Base(path), ".csv")
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		return name[:dot], name[dot+1:]
	}
	return name, ""
}

// median returns the median of at least one value.
func median(values []float64) float64 {
	d, _ := stats.Describe(values, 0.95)
	return d.Median
}
