package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	goio "io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/report"
	"github.com/phasebench/phasebench/internal/rundir"
)

// priceFlags are the flags that say what machines cost. They never change what
// is measured, so they work on rows of any age.
type priceFlags struct {
	file  string
	rate  float64
	blend string

	carbon, region string
}

func (p *priceFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&p.file, "pricing", "", "pricing file (default: the matrix's)")
	fs.Float64Var(&p.rate, "rate", -1, "what an hour of this machine costs, in $ (default: the pricing file's rate for the device)")
	fs.Lookup("rate").DefValue = "0" // which help leaves out
	fs.StringVar(&p.blend, "blend", "", "mix of input and output tokens to rank by: chat, rag-heavy, ... or the share of input, e.g. 0.9 (default: the pricing file's)")
}

// carbonFlags are for what counts emissions.
func (p *priceFlags) carbonFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.carbon, "carbon", "", "region of configs/carbon.yaml, e.g. fr, or another file of carbon intensities (default 500 g/kWh)")
	fs.StringVar(&p.region, "region", "", "region of that file (default: its own default)")
}

// check refuses values that no file could make right.
func (p *priceFlags) check(fs *pflag.FlagSet) error {
	if fs.Changed("rate") && !(p.rate >= 0 && p.rate <= pricing.Most) {
		return usagef("--rate %v: need dollars an hour, 0 or more, at most %g", p.rate, pricing.Most)
	}
	if p.region != "" && p.carbon == "" {
		return usagef("--region %s: which file is it in? Add --carbon FILE, e.g. --carbon configs/carbon.yaml", p.region)
	}
	return nil
}

// checkFiles refuses, before hours of measuring, what the analysis at their end
// would refuse. The pricing file may be empty for none.
func (p *priceFlags) checkFiles(pricingFile string) error {
	prices := new(pricing.Pricing)
	if pricingFile != "" {
		var err error
		if prices, err = pricing.Load(pricingFile); err != nil {
			return usageError{err}
		}
	}
	if _, err := prices.BlendNamed(p.blend); err != nil {
		return usageError{err}
	}
	if _, err := pricing.CarbonRegion(p.carbon, p.region); err != nil {
		return usageError{err}
	}
	return nil
}

func (p *priceFlags) rateUSDPerHour() *float64 {
	if p.rate < 0 {
		return nil
	}
	return &p.rate
}

// besideFlags are the flags for other systems in a run's report.
type besideFlags struct {
	runs  []string
	base  string
	mixed bool
}

func (b *besideFlags) flags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&b.runs, "beside", nil, "folders of runs, measured here or imported, to show side by side where they did the same work")
	fs.StringVar(&b.base, "base", "", "backend of DIR that the others are shown as multiples of (default: the cheapest one's)")
	fs.BoolVar(&b.mixed, "allow-mixed", false, "show random weights beside trained ones")
}

// show analyses the rows in dir, writes tables and report, and prints the
// ranking and the validation; the error is failedError when that fails. With any
// other error there is no analysis.
func show(dir string, p priceFlags, with besideFlags, io stdio) (*analyze.Analysis, error) {
	setup, err := rundir.Read(dir)
	if err != nil {
		return nil, usageError{err}
	}
	opts := report.Options{
		PricingPath:    setup.PricingFile(dir),
		RateUSDPerHour: setup.RateUSDPerHour,
		Blend:          setup.Blend,
		PlannedRows:    setup.PlannedRows,
		Cells:          setup.Cells(),
		Carbon:         p.carbon,
		Region:         p.region,
		Beside:         with.runs,
		Base:           with.base,
		AllowMixed:     with.mixed,
		Parts:          setup.Parts,
		Differ:         setup.Differ,
	}
	if len(setup.Parts) > 0 {
		opts.RunID = setup.RunID
	}
	if rate := p.rateUSDPerHour(); rate != nil {
		opts.RateUSDPerHour = rate
	}
	if p.blend != "" {
		opts.Blend = p.blend
	}
	if p.file != "" {
		opts.PricingPath = p.file
	}
	result, err := report.FromDir(dir, opts)
	var config *report.ConfigError
	if errors.As(err, &config) {
		return nil, usageError{err}
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprint(io.out, result.Ranking)
	fmt.Fprintf(io.out, "validation: %s\n", report.Verdict(result.Analysis))
	if text := doubts(result.Analysis); text != "" {
		fmt.Fprintln(io.out, text)
	}
	fmt.Fprintf(io.out, "\nreport: %s\nfor a browser: %s\n", filepath.Join(dir, report.ReportFile), filepath.Join(dir, report.PageFile))
	if result.Analysis.Failed() {
		return result.Analysis, failedError{}
	}
	return result.Analysis, nil
}

func analyzeCommand(_ context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("analyze", pflag.ContinueOnError)
	var p priceFlags
	p.flags(fs)
	p.carbonFlags(fs)
	var with besideFlags
	with.flags(fs)
	asJSON := fs.Bool("json", false, "print all tables as JSON, as tables.json has them, and nothing else")
	if err := parse(fs, "analyze DIR [flags]"+examples("analyze results/20260101-120000 --rate 0.50", "analyze results/20260101-120000 --carbon fr --blend 0.9 --json",
		"analyze results/20260101-120000 --beside results/peer --base llamacpp-gpu-graphs"), args, io.out); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("need the folder of one run, e.g. bench analyze results/20260101-120000")
	}
	if err := p.check(fs); err != nil {
		return err
	}
	if len(with.runs) == 0 && (with.base != "" || with.mixed) {
		return usagef("--base and --allow-mixed say how other runs are shown: name those with --beside DIR")
	}
	dir, out := fs.Arg(0), io
	if *asJSON {
		out.out = goio.Discard
	}
	a, shown := show(dir, p, with, out)
	if a == nil {
		return shown
	}
	fmt.Fprintf(out.out, "next: %s\n", next(dir, a))
	if *asJSON {
		tables, err := os.ReadFile(filepath.Join(dir, report.TablesFile))
		if err != nil {
			return err
		}
		fmt.Fprintf(io.out, "%s\n", bytes.TrimSpace(tables))
	}
	return shown
}
