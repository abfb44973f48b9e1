// Reliability writes docs/reliability.md: it reads what `go test -json` printed
// and writes a line for each test that makes a promise (internal/promise), with
// how often it was tried and how it ended. Nothing else gets into the table.
//
// Of a test that is in several logs the last run counts that did not skip it.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phasebench/phasebench/internal/promise"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = "usage: go run ./scripts/reliability TABLE LOG...\n"

// run returns the exit code: 0, 1 if a test failed, 2 if the logs cannot be read
// or hold no promise.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 1 && strings.TrimLeft(args[0], "-") == "help" {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if len(args) < 2 || strings.HasPrefix(args[0], "-") {
		fmt.Fprint(stderr, usage)
		return 2
	}
	var log log
	for _, path := range args[1:] {
		if err := log.readFile(path); err != nil {
			fmt.Fprintf(stderr, "reliability: %v\n", err)
			return 2
		}
	}
	held := log.promises()
	if len(held) == 0 {
		fmt.Fprintln(stderr, "reliability: no test of these logs makes a promise")
		return 2
	}
	var out strings.Builder
	write(&out, held)
	if err := os.WriteFile(args[0], []byte(out.String()), 0o644); err != nil {
		fmt.Fprintf(stderr, "reliability: %v\n", err)
		return 2
	}
	failed := log.failed()
	for _, t := range failed {
		fmt.Fprintf(stderr, "FAIL %s %s\n%s", t.pkg, t.name, t.output.String())
	}
	if len(failed) > 0 {
		return 1
	}
	fmt.Fprintf(stdout, "%d promises in %s\n", len(held), args[0])
	return 0
}

const head = `# What phasebench promises when things go wrong

Each line is a test that ran; none is written by hand. ` + "`make test-faults`" + ` writes this file. The ordinary tests try a sample of it.

| fault or input | how it is provoked | what is promised | test | times run | result |
|---|---|---|---|---|---|
`

func write(w io.Writer, tests []*test) {
	fmt.Fprint(w, head)
	for _, t := range tests {
		cells := []string{t.attrs[promise.Fault], t.attrs[promise.How], t.attrs[promise.Promised], fmt.Sprintf("`%s` %s", t.pkg, t.name), t.times(), t.result()}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}
