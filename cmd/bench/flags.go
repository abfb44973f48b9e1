package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// parse parses a command's flags. A long name may have one dash or two, as in
// `bench -matrix FILE`: pflag alone would read the first form as a bundle of
// one-letter flags.
func parse(fs *pflag.FlagSet, usage string, args []string, stdout io.Writer) error {
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fmt.Fprintf(stdout, "usage: %s %s\n\nFlags:\n%s", program, usage, fs.FlagUsages())
	}
	if err := fs.Parse(longNames(fs, args)); err != nil {
		return usageError{err}
	}
	return nil
}

// examples ends a command's usage with calls of it, as they are typed.
func examples(calls ...string) string {
	return "\n\nExamples:\n  " + program + " " + strings.Join(calls, "\n  "+program+" ")
}

// longNames gives known long flags written with one dash their second one.
// Arguments after "--" are left alone.
func longNames(fs *pflag.FlagSet, args []string) []string {
	out := make([]string, len(args))
	copy(out, args)
	for i, a := range out {
		if a == "--" {
			break
		}
		if strings.HasPrefix(a, "--") || !strings.HasPrefix(a, "-") {
			continue
		}
		if name, _, _ := strings.Cut(a[1:], "="); len(name) > 1 && (fs.Lookup(name) != nil || name == "help") {
			out[i] = "-" + a
		}
	}
	return out
}
