package main

import (
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/runner"
)

func TestSpent(t *testing.T) {
	done := runner.Summary{Planned: 2, OK: 2, WallMs: 0.5}
	busy := runner.Summary{Planned: 2, OK: 2, BusyMs: 9000, WallMs: 10_000}
	failed := runner.Summary{Planned: 2, OK: 1, Errors: 1, WallMs: 0.5}
	check := func(sum runner.Summary, kvTook time.Duration, fresh bool, want string) {
		t.Helper()
		if got := spent(sum, kvTook, fresh); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(busy, 0, true, "engine busy 90% of the 10s for the rows")
	check(busy, 3*time.Second, true, "engine busy 90% of the 10s for the rows, then 3s for the KV caches")
	check(done, 3*time.Second, false, "3s for the KV caches")
	check(done, 0, false, "nothing was missing")
	check(failed, 0, false, "")
	check(done, 0, true, "") // all were skipped
}

func TestBusy(t *testing.T) {
	load := 2.1
	check := func(m environ.Machine, want string) {
		t.Helper()
		if got := busy(m); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%+v: got %q, want %q", m, got, want)
		}
	}
	check(environ.Machine{LoadAverage: &load, PhysicalCores: 4, LogicalCores: 8}, "load 2.1 on 4 cores")
	check(environ.Machine{LoadAverage: &load, LogicalCores: 4}, "load 2.1 on 4 cores")
	check(environ.Machine{LoadAverage: &load, LogicalCores: 5}, "")
	check(environ.Machine{LoadAverage: &load}, "")
	check(environ.Machine{LogicalCores: 1}, "")
}
