// Reliability makes docs/reliability.md: it reads what `go test -json` wrote and
// prints a line for each test that makes a promise (internal/promise), with how
// often it was tried and how it ended. Nothing else gets into the table.
//
// Of a test that ran in several logs the last run counts that did not skip it.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phasebench/phasebench/internal/promise"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = "usage: go run ./scripts/reliability LOG... > docs/reliability.md\n"

// run returns the exit code: 0, 1 if a test failed, 2 if the logs cannot be read
// or hold no promise.
func run(paths []string, stdout, stderr io.Writer) int {
	if len(paths) == 0 || strings.HasPrefix(paths[0], "-") {
		fmt.Fprint(stderr, usage)
		if len(paths) > 0 && strings.TrimLeft(paths[0], "-") == "help" {
			return 0
		}
		return 2
	}
	var log log
	for _, path := range paths {
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
	write(stdout, held)
	for _, failed := range log.failed() {
		fmt.Fprintf(stderr, "FAIL %s %s\n%s", failed.pkg, failed.name, failed.output.String())
	}
	if len(log.failed()) > 0 {
		return 1
	}
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
