package main

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// Two runs of one matrix meet cell by cell, whether launches are replicates or
// not. How often they are told apart depends on the noise of this machine;
// internal/compare tests that with noise of known size.
func TestCompareSameMatrix(t *testing.T) {
	dir := workspace(t)
	for _, launches := range []string{"1", "3"} {
		for _, out := range []string{"a" + launches, "b" + launches} {
			bench(t, dir, []string{"-q", "-matrix", "small.yaml", "-o", out, "--no-kv", "--reps", "4", "--launches", launches}, 0)
		}
		lines, err := csv.NewReader(strings.NewReader(bench(t, dir, []string{"compare", "a" + launches, "b" + launches, "--format", "csv"}, 0))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		metric, within := slices.Index(lines[0], "metric"), slices.Index(lines[0], "within_process")
		cells := 0
		for _, line := range lines[1:] {
			if !strings.HasSuffix(line[metric], "tok_s") || line[slices.Index(lines[0], "cells")] != "0" {
				continue
			}
			cells++
			if (line[within] == "false") != (launches == "3") {
				t.Errorf("%s launches: within a process is %s", launches, line[within])
			}
		}
		if cells != 8 {
			t.Errorf("%s launches: %d cells, want 8", launches, cells)
		}
	}
}
