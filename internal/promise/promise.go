// Package promise lets a test say which promise of the program it holds.
// `make test-faults` tries each promise in full and makes docs/reliability.md of
// what these tests say and how they end. Only tests import it.
package promise

import (
	"os"
	"strconv"
	"testing"
)

// The attributes of a test that scripts/reliability reads.
const (
	Fault    = "fault"    // what goes wrong
	How      = "how"      // how the test brings it about
	Promised = "promised" // what holds then
	Count    = "times"    // how often it is tried; once where it does not say
)

// Of makes the test a line of docs/reliability.md.
func Of(t testing.TB, fault, how, promised string) {
	t.Helper()
	t.Attr(Fault, fault)
	t.Attr(How, how)
	t.Attr(Promised, promised)
}

// InFull reports whether everything is asked for, as `make test-faults` does.
// Otherwise each test tries a sample.
func InFull() bool { return os.Getenv("FAULTS") == "all" }

// Times returns how often a fault is to be tried: sample times, or all when
// everything is asked for, and notes it.
func Times(t testing.TB, sample, all int) int {
	t.Helper()
	n := sample
	if InFull() {
		n = all
	}
	Tries(t, n)
	return n
}

// Tries says how often a fault is tried.
func Tries(t testing.TB, n int) {
	t.Helper()
	t.Attr(Count, strconv.Itoa(n))
}

// OnlyInFull skips a test that takes too long for a sample.
func OnlyInFull(t testing.TB, why string) {
	t.Helper()
	if !InFull() {
		t.Skip(why + ": set FAULTS=all, as make test-faults does")
	}
}
