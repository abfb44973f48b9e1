package main

import (
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// Everything that is promised after a fault rests on this.
func TestFaultSameWorkSameTokens(t *testing.T) {
	promise.Of(t, "the same matrix and seed once more", "runs in other folders, one with the environment of another locale and time zone",
		"the same cells, and in each row the same tokens")
	n := promise.Times(t, 1, 5)
	want := uninterrupted(t)
	for range n {
		dir := workspace(t)
		t.Setenv("LC_ALL", "tr_TR.UTF-8")
		t.Setenv("TZ", "Asia/Kathmandu")
		bench(t, dir, []string{"-matrix", "steady.yaml", "-o", "out", "--no-kv", "-q"}, 0)
		sameOutcomes(t, filepath.Join(dir, "out"), want)
	}
}
