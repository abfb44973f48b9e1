package scripts_test

import (
	"os"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// The sanitizers run other builds of the tests, by the targets of the Makefile.
func TestSanitizers(t *testing.T) {
	promise.OnlyInFull(t, "they build and run most tests once more")
	for target, is := range map[string][3]string{
		"test-asan": {"memory errors and undefined behaviour in the shim", "`make test-asan`: the tests of llama and of the worker with the shim and cgo under AddressSanitizer and UndefinedBehaviorSanitizer; the engine itself is not built with them",
			"no report"},
		"test-race": {"data races, pointers that C must not keep", "`make test-race`: the tests under Go's race detector, the program too, and those with cgo under GOEXPERIMENT=cgocheck2",
			"no report"},
	} {
		t.Run(target, func(t *testing.T) {
			promise.Of(t, is[0], is[1], is[2])
			for _, name := range []string{"FAULTS", "SOAK", "MAKEFLAGS", "MAKELEVEL"} { // of the make that runs this
				t.Setenv(name, "")
				os.Unsetenv(name)
			}
			if out, code := run(t, nil, "-c", "make -C .. "+target); code != 0 {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}
