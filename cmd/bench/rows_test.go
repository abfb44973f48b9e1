package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// rows returns the rows of the run in dir, which must all be readable.
func rows(t *testing.T, dir string) []record.Record {
	t.Helper()
	rows, warnings, err := record.Read(filepath.Join(dir, record.File))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return rows
}

// lines returns the rows' file up to its last whole row.
func lines(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, record.File))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for len(data) > 0 && data[len(data)-1] != '\n' {
		data = data[:len(data)-1]
	}
	return data
}

// outcomes returns what the run in dir came to: for each planned row how it
// ended, with which tokens. No row may have been measured twice.
func outcomes(t *testing.T, dir string) map[record.Key]string {
	t.Helper()
	all := rows(t, dir)
	measured := map[record.Key]int{}
	for i := range all {
		if r := &all[i]; r.Status == record.StatusOK && !r.Warmup {
			if measured[r.Key()]++; measured[r.Key()] > 1 {
				t.Errorf("measured twice: %+v", r.Key())
			}
		}
	}
	latest, _ := record.Latest(all)
	out := map[record.Key]string{}
	for i := range latest {
		if r := &latest[i]; !r.Warmup {
			out[r.Key()] = fmt.Sprintf("%s %d+%d %s", r.Status, r.PromptTokens, r.GenTokens, r.TokenHash)
		}
	}
	return out
}

// sameOutcomes checks that the run in dir came to what another one came to.
func sameOutcomes(t *testing.T, dir string, want map[record.Key]string) {
	t.Helper()
	got := outcomes(t, dir)
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("%s: %d rows\n%v\nwant %d\n%v", dir, len(got), got, len(want), want)
	}
}
