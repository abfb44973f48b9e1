package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/imports"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
)

const importUsage = `import FILE... -o DIR [flags]

Makes a run's folder of what another program measured, so that %[1]s analyze
and compare work on it. Each file is what llama-bench printed (-o jsonl, json or
csv) or the minimal CSV below. What a file does not say stays absent, and tables
name the origin beside the backend.

llama-bench times a prompt (pp) and generation (tg) in different tests. They are
joined when the generation starts at the depth the prompt ends at, and everything
else is the same:

  llama-bench -m FILE -p 512 -n 0 -r 7 -o jsonl > 1.jsonl
  llama-bench -m FILE -p 0 -n 128 -d 512 -r 7 -o jsonl >> 1.jsonl
  %[1]s import 1.jsonl -o results/peer

Tests without a partner are named and left out. The same tests in several files
are launches of their own; three or more are replicates.

Columns of the minimal CSV, one row for each repetition, empty where nothing was
measured:
%[2]s`

// noMatrix stands in an imported run where the matrix of another lies.
const noMatrix = "# The rows of this run were imported. There is no matrix to continue it by.\n"

func importCommand(_ context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("import", pflag.ContinueOnError)
	dir := flags.StringP("out", "o", "", "folder of the run to make")
	var opts imports.Options
	flags.StringVar(&opts.Model, "model", "", "name of the model (default: by the file)")
	flags.BoolVar(&opts.Synthetic, "synthetic", false, "the weights are random numbers")
	if err := parse(flags, strings.TrimRight(fmt.Sprintf(importUsage, program, imports.Format()), "\n")+examples("import pp.jsonl tg.jsonl -o results/peer", "import other.csv --model gpt2 -o results/other"), args, io.out); err != nil {
		return err
	}
	if flags.NArg() == 0 || *dir == "" {
		return usagef("need files and the folder to make, e.g. %s import bench.jsonl -o results/peer", program)
	}
	result, err := imports.Read(flags.Args(), opts)
	if err != nil {
		return usageError{err}
	}
	for _, text := range result.Unused {
		fmt.Fprintf(io.err, "not used: %s\n", text)
	}
	if len(result.Rows) == 0 {
		return usagef("nothing in these files makes a row with both phases; see %s import --help", program)
	}
	if err := writeImport(*dir, result); err != nil {
		return err
	}
	fmt.Fprintf(io.out, "rows from %s in %s: %d\nnext: %s analyze %s --rate USD_PER_HOUR\n", strings.Join(origins(result.Rows), ", "), *dir, len(result.Rows), program, *dir)
	return nil
}

// origins returns the programs that measured rows, in their order.
func origins(rows []record.Record) []string {
	var names []string
	for i := range rows {
		if !slices.Contains(names, rows[i].Origin) {
			names = append(names, rows[i].Origin)
		}
	}
	return names
}

// writeImport makes a run's folder of what was imported.
func writeImport(dir string, from *imports.Result) error {
	id := "import-" + time.Now().UTC().Format("20060102-150405")
	setup := rundir.Setup{RunID: id, PlannedRows: len(from.Rows), Matrix: []byte(noMatrix)}
	if err := rundir.Vacant(dir); err != nil {
		return usageError{err}
	}
	store, err := record.Create(dir, func() error { return setup.Write(dir) })
	if errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	for i := range from.Rows {
		from.Rows[i].RunID = id
		if err := store.Append(&from.Rows[i]); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", filepath.Join(dir, record.File), err), store.Close())
		}
	}
	for i := range from.Windows {
		from.Windows[i].RunID = id
		if err := store.AppendWindow(&from.Windows[i]); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", filepath.Join(dir, record.WindowFile), err), store.Close())
		}
	}
	return store.Close()
}
