package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts know one command of ours, "bench CODE ARGS...": it runs bench,
// which must end with that exit code and must not colour what it prints.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(name string) (bool, error) {
			if name != "rapl" { // the energy of the CPU can be read here
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return unpowered("cpu") == "", nil
		},
		Setup: func(e *testscript.Env) error { return prepare(e.WorkDir) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"bench": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 {
					ts.Fatalf("usage: bench CODE ARGS...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec("bench", args[1:]...)
				var exit *exec.ExitError
				got := 0
				if errors.As(err, &exit) {
					got = exit.ExitCode()
				} else {
					ts.Check(err)
				}
				if got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
				if strings.ContainsRune(ts.ReadFile("stdout")+ts.ReadFile("stderr"), '\x1b') {
					ts.Fatalf("escape sequences in what is no terminal")
				}
			},
		},
	})
}
