package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/merge"
)

const mergeUsage = `merge DIR... -o DIR [flags]

Joins runs into one study: the shards of a matrix (run --shard), and runs of one
matrix on several kinds of machines (run --pool). Rows are copied as they are,
each with its host and device; energy windows, KV caches and devices too. What
each run says of its machine is kept in the folder parts.

Runs that differ in what they measured or with what are refused, unless --allow
names it: %[2]s. What two runs measured is taken from the first. What none did is
named, with the command that goes on with it. Pools are kept apart.

Examples:
  %[1]s merge results/study/*/shard-* -o results/study/merged
  %[1]s analyze results/study/merged

Exit code: 0 the study is whole, 1 rows are missing, failed or there twice, 2 the
runs do not belong together and nothing was written.`

func mergeCommand(_ context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("merge", pflag.ContinueOnError)
	dir := flags.StringP("out", "o", "", "folder of the merged run")
	allow := flags.StringSlice("allow", nil, "merge although these differ: "+strings.Join(merge.Kinds, ", "))
	if err := parse(flags, fmt.Sprintf(mergeUsage, program, strings.Join(merge.Kinds, ", ")), args, io.out); err != nil {
		return err
	}
	if flags.NArg() == 0 || *dir == "" {
		return usagef("need the folders of runs and the one to make, e.g. %s merge results/a results/b -o results/both", program)
	}
	for _, kind := range *allow {
		if !slices.Contains(merge.Kinds, kind) {
			return usagef("--allow %s: need one of %s", kind, strings.Join(merge.Kinds, ", "))
		}
	}
	result, err := merge.Merge(flags.Args(), *dir, *allow)
	var differ *merge.DifferError
	if errors.As(err, &differ) || errors.Is(err, fs.ErrExist) || errors.Is(err, merge.ErrNoRun) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	return tellMerged(result, *dir, io)
}

// tellMerged says what was merged, and fails unless that is all.
func tellMerged(r *merge.Result, dir string, io stdio) error {
	for _, note := range r.Notes {
		fmt.Fprintf(io.err, "warning: %s\n", note)
	}
	for _, bad := range r.Unread {
		fmt.Fprintf(io.err, "warning: %v\n", bad)
	}
	for _, d := range r.Doubles {
		fmt.Fprintf(io.out, "twice: %s: %d rows in %s and in %s; those of %s are taken\n", d.Place, d.Rows, d.Taken, d.Left, d.Taken)
	}
	for _, g := range r.Gaps {
		what, next := "missing", fmt.Sprintf("go on with: %s --resume %s", program, g.Dir)
		if g.Failed {
			what = "failed"
		}
		if g.Dir == "" {
			next = fmt.Sprintf("none of these runs is the shard, of %d, that has it", g.Shards)
		}
		fmt.Fprintf(io.out, "%s: %s: %d of %d rows; %s\n", what, g.Place, g.Rows, g.Of, next)
	}
	fmt.Fprintf(io.out, "%d of %d planned rows from %d runs are in %s\nnext: %s analyze %s\n", r.Rows, r.Planned, r.Parts, dir, program, dir)
	if len(r.Doubles)+len(r.Gaps) > 0 {
		return failedError{}
	}
	return nil
}
