// Bench measures what a million tokens cost on this machine's hardware.
//
// `bench -matrix FILE` runs a matrix; `bench help` lists the other commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/llama"
)

// version is set by the Makefile to the git state of the source.
var version = "unknown"

// Exit codes, stable for scripts.
const (
	exitOK     = 0 // everything asked for was done
	exitFailed = 1 // some cells failed, or the work could not be finished
	exitUsage  = 2 // wrong flags or configuration; nothing was run
)

func main() {
	os.Exit(guard(os.Stderr, func() int {
		return run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	}))
}

// guard makes a panic of run exit code 1. Go's own is 2, which says here that
// the user made a mistake.
func guard(stderr io.Writer, run func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "bench: panic: %v\n\n%s", p, debug.Stack())
			code = exitFailed
		}
	}()
	return run()
}

// program is the name that bench was called by, for commands that the user is
// told to give next.
var program = os.Args[0]

// command is one subcommand; hidden without an about. Its flags live in the function; usage errors it
// returns as usageError.
type command struct {
	name, args, about string
	run               func(ctx context.Context, args []string, io stdio) error
}

type stdio struct{ out, err io.Writer }

// task is what somebody wants to do, and the commands for it.
type task struct {
	about    string
	commands []command
}

// tasks in the order help shows them; that without an about is hidden.
func tasks() []task {
	return []task{
		{"Measure", []command{
			{"run", "-matrix FILE", "run a matrix and report what a million tokens cost (the default)", runCommand},
			{"plan", "-matrix FILE", "show the cells of a matrix and the memory they need, without running it", planCommand},
			{"doctor", "[-matrix FILE]", "look for what would spoil a run before it starts", doctorCommand},
			{"probe", "--model FILE", "time prefill and decode of one model, like llama-bench", probeCommand},
			{"quality", "FILE --text FILE", "perplexity of a model, and what a quantized cache or file loses against a reference", qualityCommand},
		}},
		{"Work with what was measured", []command{
			{"analyze", "DIR", "redo tables and report of a finished or running run, also at other prices", analyzeCommand},
			{"compare", "OLD NEW...", "hold runs against each other, cell by cell, and say what differs", compareCommand},
			{"merge", "DIR... -o DIR", "join the runs of several machines into one, and say what is missing", mergeCommand},
			{"import", "FILE... -o DIR", "make a run of what llama-bench or another program measured", importCommand},
		}},
		{"Models and devices", []command{
			{"synth", "ARCH -o FILE", "write a model of published shape with random weights", synthCommand},
			{"quantize", "FILE -o FILE", "write a model with quantized weights, by the engine's quantizer", quantizeCommand},
			{"devices", "", "list the devices the engine found", devicesCommand},
		}},
		{"Check the measuring itself", []command{
			{"kv", "FILE...", "check the KV cache of models against the formula, length by length", kvCommand},
			{"overhead", "--model FILE", "measure what watching costs: rows with and without power samples and GPU events", overheadCommand},
			{"logits", "--model FILE", "write the logits after given tokens, to check them against another engine", logitsCommand},
		}},
		{"", []command{{name: "worker", run: workerCommand}}},
	}
}

// commands are those of all tasks.
func commands() []command {
	var all []command
	for _, t := range tasks() {
		all = append(all, t.commands...)
	}
	return all
}

// usageError is a mistake in how bench was called: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// failedError has been told to the user already and only sets the exit code.
type failedError struct{}

func (failedError) Error() string { return "some cells failed" }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	name, rest := "run", args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, rest = args[0], args[1:]
	}
	if name == "help" && len(rest) == 1 { // bench help COMMAND
		name, rest = rest[0], []string{"--help"}
	}
	if name == "help" || len(args) == 0 || len(args) == 1 && (args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		help(stdout)
		return exitOK
	}
	if len(args) == 1 && strings.TrimLeft(args[0], "-") == "version" {
		fmt.Fprintln(stdout, "phasebench", version)
		return exitOK
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		return exitCode(c.run(ctx, rest, stdio{stdout, stderr}), c, stderr)
	}
	fmt.Fprintf(stderr, "bench: unknown command %q; %s help lists them\n", name, program)
	return exitUsage
}

func exitCode(err error, c command, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.Is(err, failedError{}):
		return exitFailed
	}
	fmt.Fprintf(stderr, "bench %s: %v\n", c.name, err)
	if errors.As(err, &usageError{}) || errors.Is(err, llama.ErrBadInput) || errors.Is(err, record.ErrPacked) {
		return exitUsage
	}
	return exitFailed
}

func help(w io.Writer) {
	fmt.Fprintf(w, `bench: what a million tokens cost on your own hardware

Usage:
  %[1]s -matrix FILE [flags]
  %[1]s COMMAND [flags]
`, program)
	for _, t := range tasks() {
		if t.about == "" {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n", t.about)
		for _, c := range t.commands {
			fmt.Fprintf(w, "  %-24s %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
		}
	}
	fmt.Fprintf(w, `
%[1]s help COMMAND shows a command's flags, with examples; %[1]s --version the version.

Examples:
  %[1]s -matrix configs/demo.yaml --synthetic
  %[1]s -matrix configs/matrix.yaml --models gpt2 --reps 2 --rate 0.35
  %[1]s -matrix configs/matrix.yaml --resume results/20260101-120000
  %[1]s analyze results/20260101-120000 --rate 0.50
`, program)
}
