package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/promise"
)

// FuzzLongNames writes the flags of a command with one dash and with two: both
// must be read alike, and nothing else may change.
func FuzzLongNames(f *testing.F) {
	promise.Of(f, "any arguments", "fuzzing of what lets a long flag have one dash",
		"both ways to write a flag are read alike; everything else is left as it was")
	for _, args := range []string{"-matrix a.yaml", "-matrix=a.yaml", "--matrix -matrix", "-o out -q", "-qo out", "-- -matrix", "-help", "-h", "-", "", "-=x", "-matrix= -q=false", "---matrix", "-ma"} {
		f.Add(strings.ReplaceAll(args, " ", "\x00"))
	}
	read := func(args []string) (matrix, out string, quiet bool, rest []string, err error) {
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		fs.StringVar(&matrix, "matrix", "", "")
		fs.StringVarP(&out, "out", "o", "", "")
		fs.BoolVarP(&quiet, "quiet", "q", false, "")
		err = parse(fs, "test", args, io.Discard)
		return matrix, out, quiet, fs.Args(), err
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		before := strings.Join(args, "\x00")
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		fs.String("matrix", "", "")
		fs.StringP("out", "o", "", "")
		fs.BoolP("quiet", "q", false, "")
		got := longNames(fs, args)
		if strings.Join(args, "\x00") != before || len(got) != len(args) {
			t.Fatalf("%q became %q", args, got)
		}
		for i := range args {
			if got[i] != args[i] && got[i] != "-"+args[i] {
				t.Errorf("%q became %q", args[i], got[i])
			}
		}
		if again := longNames(fs, got); strings.Join(again, "\x00") != strings.Join(got, "\x00") {
			t.Errorf("%q, done again: %q", got, again)
		}
		m, o, q, rest, err := read(args)
		m2, o2, q2, rest2, err2 := read(got)
		if m != m2 || o != o2 || q != q2 || strings.Join(rest, "\x00") != strings.Join(rest2, "\x00") || (err == nil) != (err2 == nil) {
			t.Errorf("%q and %q are read differently", args, got)
		}
	})
}
