// Package imports turns the output of other benchmarks into records. What a
// source does not say is absent from them, what it is stays in
// record.Record.Origin, and what could not be used is told.
package imports

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

// The origins of rows.
const (
	LlamaBench = "llama-bench"
	CSV        = "csv"
)

// What is read at most. A llama-bench test takes about a kilobyte, a row of the
// minimal CSV a hundred bytes.
const (
	maxFileBytes = 16 << 20
	maxRows      = 100_000
)

// Options say what files do not.
type Options struct {
	Model     string // name of the model; "" for what the file says
	Synthetic bool   // the weights are random numbers
}

// Result is what was imported.
type Result struct {
	Rows    []record.Record
	Windows []record.WindowRecord // energy windows after some of them
	// Unused says what could not be made a row, and why.
	Unused []string
}

// PlaceError is a mistake in a file.
type PlaceError struct {
	File string
	Line int // 1-based
	Err  error
}

func (e *PlaceError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the mistake.
func (e *PlaceError) Unwrap() error { return e.Err }

// Read reads files, each in one of the formats llama-bench writes (jsonl, json
// or csv) or in the minimal CSV, see Columns. A *PlaceError points at a mistake;
// nothing is imported then. Files of llama-bench count as launches of it: the
// same test in three files has three launches.
func Read(paths []string, opts Options) (*Result, error) {
	out := &Result{}
	var tests []entry
	rows := cells{map[record.Key]place{}, map[record.Key]int{}, map[record.WindowKey]int{}}
	for _, path := range paths {
		data, err := read(path)
		if err != nil {
			return nil, err
		}
		switch first, _, _ := bytes.Cut(bytes.TrimSpace(data), []byte("\n")); {
		case len(first) == 0:
			return nil, fmt.Errorf("%s is empty", path)
		case first[0] == '[' || first[0] == '{':
			err = readJSON(path, data, func(at place, fields map[string]any) error { return addTest(&tests, at, fields) })
		case strings.Contains(string(first), "model_filename"):
			err = readCSV(path, data, func(at place, fields map[string]any) error { return addTest(&tests, at, fields) })
		default:
			err = readCSV(path, data, func(at place, fields map[string]any) error { return rows.addRow(out, at, fields, opts) })
		}
		if err != nil {
			return nil, err
		}
	}
	return out, join(out, tests, opts)
}

// place is where in a file something begins.
type place struct {
	file string
	line int
}

func (p place) errorf(format string, args ...any) error {
	return &PlaceError{p.file, p.line, fmt.Errorf(format, args...)}
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: more than %d MiB; import parts of it", path, maxFileBytes>>20)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// add appends a row.
func (r *Result) add(row record.Record) error {
	if len(r.Rows) == maxRows {
		return fmt.Errorf("more than %d rows; import parts of them", maxRows)
	}
	r.Rows = append(r.Rows, row)
	return nil
}

// cellID names a cell as matrix.Cell.ID does, without the hash.
func cellID(row *record.Record) string {
	parts := []string{row.Model, row.Backend, row.KVTypeK + "-" + row.KVTypeV, row.Scenario}
	if row.Batch > 1 {
		parts = append(parts, fmt.Sprintf("batch%d", row.Batch))
	}
	if row.DecodeMode != cached {
		parts = append(parts, row.DecodeMode)
	}
	return strings.Join(parts, ".")
}

const cached = "cached"
