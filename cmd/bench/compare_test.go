package main

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// Two runs of one matrix on this machine, with its noise, are mostly not told
// apart, whether launches are replicates or not.
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
		metric, verdict, within := slices.Index(lines[0], "metric"), slices.Index(lines[0], "verdict"), slices.Index(lines[0], "within_process")
		cells, called := 0, 0
		for _, line := range lines[1:] {
			if !strings.HasSuffix(line[metric], "tok_per_s") || line[slices.Index(lines[0], "cells")] != "0" {
				continue
			}
			cells++
			if line[verdict] != "~" {
				called++
			}
			if (line[within] == "false") != (launches == "3") {
				t.Errorf("%s launches: within a process is %s", launches, line[within])
			}
		}
		if cells != 8 || called > 2 {
			t.Errorf("%s launches: %d of %d cells are called different, want 8 cells and 2 at most", launches, called, cells)
		}
	}
}
