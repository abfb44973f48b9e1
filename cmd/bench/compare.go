package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/compare"
	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/report"
	"github.com/phasebench/phasebench/internal/rundir"
)

const compareUsage = `compare OLD NEW... [flags]
       ` + `%[1]s compare RUN --base BACKEND --with BACKEND... [flags]

Holds runs against the first, or backends of one run against one of them, cell
by cell: speed of both phases, time to the first and to each later token, what
the machine time of a million tokens costs at the same prices, and energy where
it was measured. Each is a run's folder, an imported one, or a file of rows.

A verdict other than ~ needs p < 0.05 after Holm's correction over all cells and
metrics of the two sides. With fewer than 3 launches on either side replicates
are repetitions of a process, of which two can differ for no reason; then the
difference must also be larger than --noise. The default is what pairs of launches lay apart in our own
studies (%[2]s). Measure with --launches 3
or more for a sharper answer.

Other work (tokens, prompts, weights) makes a cell not comparable; another
machine, engine or matrix is a note under the tables. Random weights are not
compared with trained ones unless --allow-mixed.

Examples:
  %[1]s compare results/before results/after
  %[1]s compare results/before results/after --fail-on-regression 3%%
  %[1]s compare results/study --base llamacpp-gpu --with llamacpp-gpu-graphs
  %[1]s compare results/before results/after --format benchstat > both.txt
      and then: benchstat -col /run both.txt

Exit code: 0, 1 for a regression, 2 when there is nothing to compare.`

// compareFlags are the flags of compare.
type compareFlags struct {
	prices  priceFlags
	base    string
	with    []string
	format  string
	metrics []string
	mixed   bool

	// As they were given, and as shares; nil when they were not.
	noiseText, regressionText string
	noise, regression         *float64
}

var compareFormats = []string{"text", "md", "csv", "json", "benchstat"}

func compareCommand(_ context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("compare", pflag.ContinueOnError)
	var f compareFlags
	fs.StringVar(&f.base, "base", "", "backend of the first run to compare with")
	fs.StringSliceVar(&f.with, "with", nil, "backends of the other run, or of the only one, to hold against it")
	fs.StringVar(&f.format, "format", "text", strings.Join(compareFormats, ", ")+"; benchstat is the Go benchmark format, also of a single run")
	fs.StringSliceVar(&f.metrics, "metric", nil, "show only these in text and md: prefill, decode, cost, energy")
	fs.StringVar(&f.noiseText, "noise", "", "what two launches may differ by without a cause, e.g. 5% (default: by device and phase, see above)")
	fs.StringVar(&f.regressionText, "fail-on-regression", "", "exit with 1 when prefill or decode of a cell is slower by more than this, e.g. 3%, and told apart")
	fs.BoolVar(&f.mixed, "allow-mixed", false, "compare random weights with trained ones")
	f.prices.flags(fs)
	if err := parse(fs, fmt.Sprintf(compareUsage, program, compare.NoiseHelp()), args, io.out); err != nil {
		return err
	}
	if err := f.check(fs); err != nil {
		return err
	}
	sides, err := f.sides(fs.Args())
	if err != nil {
		return usageError{err}
	}
	if f.format == "benchstat" {
		return compare.WriteBenchmarks(io.out, sides)
	}
	opts, notes, err := f.options(sides)
	if err != nil {
		return usageError{err}
	}
	result, err := compare.Compare(sides, opts)
	if err != nil { // it only reads, so that nothing else can be wrong than what it was asked for
		return usageError{err}
	}
	result.Notes = append(notes, result.Notes...)
	if err := f.print(result, io); err != nil {
		return err
	}
	return f.judge(result, io)
}

func (f *compareFlags) check(fs *pflag.FlagSet) (err error) {
	if err := f.prices.check(fs); err != nil {
		return err
	}
	if f.noise, err = share("--noise", f.noiseText); err != nil {
		return err
	}
	if f.regression, err = share("--fail-on-regression", f.regressionText); err != nil {
		return err
	}
	if !slices.Contains(compareFormats, f.format) {
		return usagef("--format %s: need one of %s", f.format, strings.Join(compareFormats, ", "))
	}
	for _, m := range f.metrics {
		if !slices.ContainsFunc(compare.Metrics, func(x compare.Metric) bool { return x.Short == m }) {
			return usagef("--metric %s: need prefill, decode, cost or energy", m)
		}
	}
	if (f.base == "") != (len(f.with) == 0) {
		return usagef("--base and --with belong together: the backend to compare with, and those to hold against it")
	}
	switch n := fs.NArg(); {
	case n == 0:
		return usagef("need two runs, e.g. %s compare results/before results/after", program)
	case n == 1 && f.base == "" && f.format != "benchstat":
		return usagef("need another run, or --base and --with to compare backends of %s", fs.Arg(0))
	}
	return nil
}

// sides reads the runs. The first stands against each other one, with --with
// against each of its backends.
func (f *compareFlags) sides(paths []string) ([]*compare.Side, error) {
	var runs []*compare.Run
	for _, path := range paths {
		run, err := compare.Read(path)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	compare.NameApart(runs)
	sides := []*compare.Side{{Run: runs[0], Backend: f.base}}
	others := runs[1:]
	if len(others) == 0 && f.base != "" {
		others = runs
	}
	for _, run := range others {
		if f.base == "" {
			sides = append(sides, &compare.Side{Run: run})
		}
		for _, backend := range f.with {
			sides = append(sides, &compare.Side{Run: run, Backend: backend})
		}
	}
	return sides, nil
}

// options gives all sides the prices of the command line, or else those that
// the first run was started with; notes say where others had their own.
func (f *compareFlags) options(sides []*compare.Side) (opts compare.Options, notes []string, err error) {
	opts.AllowMixed, opts.Noise = f.mixed, f.noise
	how := analyze.Options{Blend: f.prices.blend, RateUSDPerHour: f.prices.rateUSDPerHour()}
	file := f.prices.file
	var first rundir.Setup // empty for a file of rows
	if sides[0].Setup != nil {
		first = *sides[0].Setup
	}
	if file == "" {
		file = first.PricingFile(sides[0].Path)
		for _, s := range sides[1:] {
			if s.Setup != nil && !bytes.Equal(s.Setup.Pricing, first.Pricing) {
				notes = append(notes, s.Name+": was started with another pricing file than "+sides[0].Name+", whose prices count for both")
			}
		}
	}
	if how.Blend == "" {
		how.Blend = first.Blend
	}
	if how.RateUSDPerHour == nil {
		how.RateUSDPerHour = first.RateUSDPerHour
		for _, s := range sides[1:] {
			if s.Setup != nil && !same(s.Setup.RateUSDPerHour, first.RateUSDPerHour) {
				notes = append(notes, s.Name+": was started with another --rate than "+sides[0].Name+", whose counts for both")
			}
		}
	}
	if file != "" {
		how.Pricing, err = pricing.Load(file)
	}
	opts.Analyze = how
	return opts, notes, err
}

func same(x, y *float64) bool { return x == y || x != nil && y != nil && *x == *y }

// share reads "3%" or "3" as 0.03; nil for nothing.
func share(flag, text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(percent >= 0 && percent < 100) {
		return nil, usagef("%s %s: need percent from 0 to below 100, e.g. 3%%", flag, text)
	}
	percent /= 100
	return &percent, nil
}

func (f *compareFlags) print(r *compare.Result, io stdio) error {
	switch f.format {
	case "json":
		out := json.NewEncoder(io.out)
		out.SetEscapeHTML(false)
		out.SetIndent("", " ")
		return out.Encode(r)
	case "csv":
		return report.CSV(io.out, r.Flat())
	}
	fmt.Fprintf(io.out, "old: %s\nnew: %s\n", r.Old, strings.Join(r.With, ", "))
	for _, t := range r.Tables(f.metrics) {
		if f.format == "md" {
			fmt.Fprintf(io.out, "\n## %s\n\n%s", t.Title, report.Markdown(t))
			continue
		}
		fmt.Fprintf(io.out, "\n%s\n%s\n", t.Title, report.Text(t))
	}
	fmt.Fprintln(io.out)
	for _, note := range r.Footnotes() {
		fmt.Fprintf(io.out, "- %s\n", note)
	}
	return nil
}

// judge fails for a regression that was asked about, and names it.
func (f *compareFlags) judge(r *compare.Result, io stdio) error {
	failed := false
	for i := range r.Rows {
		if row := &r.Rows[i]; f.regression != nil && row.Slower(*f.regression) {
			failed = true
			fmt.Fprintf(io.err, "regression: %s on %s, %s: %s is %.3g times that of %s\n", row.Model, row.Backend, row.Scenario, row.Metric, *row.Ratio, r.Old)
		}
	}
	if failed {
		return failedError{}
	}
	return nil
}
