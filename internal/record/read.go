package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
)

// LineError is a line that is not a row. Reading goes on after it.
type LineError struct {
	File string
	Line int // 1-based
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// Read returns the rows of a file in the order they were written. Lines that
// are not rows of this Schema are left out and told as warnings, each a
// *LineError; the error is for a file that cannot be read at all, and wraps
// ErrPacked when it is there in packed form.
func Read(path string) (rows []Record, warnings []error, err error) {
	rows, warnings, err = readFile(path, parse)
	return rows, warnings, orPacked(path, err)
}

// ErrPacked is wrapped by the error for rows that lie there packed by xz, as
// stored reports have them.
var ErrPacked = errors.New("the rows are packed")

// orPacked returns err, or a better one if it says that a file is missing which
// is there in packed form.
func orPacked(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if _, there := os.Stat(path + ".xz"); there == nil {
			return fmt.Errorf("%s: %w; unpack them first: xz -dk %[1]s.xz", path, ErrPacked)
		}
	}
	return err
}

func readFile[T any](path string, parse func([]byte, *T) error) (rows []T, warnings []error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rows, warnings, err = read(f, path, parse)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return rows, warnings, err
}

// readLatest is readFile for a file that may be missing, and of whose lines with
// one key the last counts, in the place of the first.
func readLatest[T any, K comparable](path string, parse func([]byte, *T) (K, error)) (rows []T, warnings []error, err error) {
	var keys []K // of all
	all, warnings, err := readFile(path, func(line []byte, v *T) error {
		k, err := parse(line, v)
		if err == nil {
			keys = append(keys, k)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	at := map[K]int{}
	for i, v := range all {
		if j, seen := at[keys[i]]; seen {
			rows[j] = v
			continue
		}
		at[keys[i]] = len(rows)
		rows = append(rows, v)
	}
	return rows, warnings, err
}

func read[T any](r io.Reader, name string, parse func([]byte, *T) error) (rows []T, warnings []error, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && err != io.EOF {
			return rows, warnings, err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			var row T
			if bad := parse(line, &row); bad != nil {
				warnings = append(warnings, &LineError{name, n, bad})
			} else {
				rows = append(rows, row)
			}
		}
		if err == io.EOF {
			return rows, warnings, nil
		}
	}
}

// readLine returns the next line, cut after maxLine bytes and one more.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxLine+1-len(line))]...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// parse decodes one row and checks what every reader of rows relies on.
func parse(line []byte, row *Record) error {
	if err := decode(line, row, &row.Schema); err != nil {
		return err
	}
	return wellFormed(row.Status, row.CellID, row.Model, row.Backend, row.Scenario, row.Host, row.Pool, row.Origin, row.RunID, row.Device, row.EngineVersion)
}

// wellFormed checks what a row is known by: its cell's ID and then other names.
func wellFormed(status Status, cellID string, names ...string) error {
	switch {
	case cellID == "":
		return errors.New("row without cell_id; left out")
	case strings.ContainsFunc(cellID+strings.Join(names, ""), unicode.IsControl):
		return errors.New("row whose names have control characters, which a terminal could obey; left out")
	case status != StatusOK && status != StatusSkipped && status != StatusError:
		return fmt.Errorf("row with unknown status %q; left out", status)
	}
	return nil
}

// decode reads one line into v, whose schema field is given too.
func decode(line []byte, v any, schema *int) error {
	if len(line) > maxLine {
		return fmt.Errorf("longer than the %d bytes a row may have; left out", maxLine)
	}
	err := json.Unmarshal(line, v)
	var mistyped *json.UnmarshalTypeError
	switch {
	case err != nil && !errors.As(err, &mistyped):
		return fmt.Errorf("not a whole JSON object: %w; left out", err)
	case *schema != Schema: // its fields may well have other types
		return fmt.Errorf("row of schema %d, this program reads schema %d; left out", *schema, Schema)
	case err != nil:
		return fmt.Errorf("%w; left out", err)
	}
	return nil
}
