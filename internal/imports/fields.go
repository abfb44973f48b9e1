package imports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// readJSON calls f for each object of an array, or of a sequence of objects as
// in JSON lines.
func readJSON(path string, data []byte, f func(place, map[string]any) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	here := func() place { return place{path, 1 + bytes.Count(data[:next(data, dec.InputOffset())], []byte("\n"))} }
	array := bytes.TrimSpace(data)[0] == '['
	if array {
		if _, err := dec.Token(); err != nil {
			return here().errorf("%w", err)
		}
	}
	for !array || dec.More() {
		at := here()
		var fields map[string]any
		err := dec.Decode(&fields)
		if err == io.EOF && !array {
			return nil
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at.line = 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
		}
		if err != nil {
			return at.errorf("not the JSON of llama-bench: %w", err)
		}
		if err := f(at, fields); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return here().errorf("the list has no end: was llama-bench stopped?")
	}
	if dec.More() {
		return here().errorf("more after the end of the list")
	}
	return nil
}

// next returns where the next value begins, after blanks and a comma.
func next(data []byte, offset int64) int {
	rest := data[offset:]
	return len(data) - len(bytes.TrimLeft(rest, " \t\r\n,"))
}

// readCSV calls f for each row after the first, with what it has by the names of
// the first.
func readCSV(path string, data []byte, f func(place, map[string]any) error) error {
	in := csv.NewReader(bytes.NewReader(data))
	in.ReuseRecord = true
	var names []string
	for {
		row, err := in.Read()
		if err == io.EOF {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return place{path, bad.Line}.errorf("%w", bad.Err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if names == nil {
			if names, err = header(path, row); err != nil {
				return err
			}
			continue
		}
		line, _ := in.FieldPos(0)
		fields := make(map[string]any, len(row))
		for i, v := range row {
			if v != "" {
				fields[names[i]] = v
			}
		}
		if err := f(place{path, line}, fields); err != nil {
			return err
		}
	}
}

func header(path string, row []string) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for _, name := range row {
		if seen[name] {
			return nil, place{path, 1}.errorf("column %q appears twice", name)
		}
		seen[name] = true
		names = append(names, name)
	}
	return names, nil
}

// fields reads values by name, as JSON or as text, and keeps the first mistake.
type fields struct {
	at     place
	values map[string]any
	err    error
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = f.at.errorf("%s: need %s, not %v", name, want, f.values[name])
	}
}

// maxTextBytes is the longest text that is taken: file names are the longest
// that llama-bench writes.
const maxTextBytes = 1024

// text returns a value as text; "" when it is not there. It must be one line
// without control characters, which a terminal could obey.
func (f *fields) text(name string) string {
	switch v := f.values[name].(type) {
	case nil:
		return ""
	case string:
		switch {
		case len(v) > maxTextBytes:
			f.values[name] = v[:20] + "..."
			f.fail(name, fmt.Sprintf("a text of at most %d bytes", maxTextBytes))
		case !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl):
			f.values[name] = strconv.Quote(v)
			f.fail(name, "one line without control characters")
		default:
			return v
		}
		return ""
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	f.fail(name, "a plain value")
	return ""
}

// count returns a whole number from least to math.MaxInt32; missing where there
// is none.
func (f *fields) count(name string, least, missing int) int {
	text := f.text(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < int64(least) {
		f.fail(name, fmt.Sprintf("a whole number of %d or more", least))
	}
	return int(n)
}

// positive returns a number above 0; nil where there is none.
func (f *fields) positive(name string) *float64 {
	text := f.text(name)
	if text == "" {
		return nil
	}
	v, ok := positive(text)
	if !ok {
		f.fail(name, "a number above 0")
	}
	return &v
}

func positive(text string) (float64, bool) {
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && v > 0 && !math.IsInf(v, 0)
}

// yes returns whether a value is true; false where there is none.
func (f *fields) yes(name string) bool {
	switch text := f.text(name); text {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	}
	f.fail(name, "true or false")
	return false
}

// required fails unless all are there.
func (f *fields) required(names ...string) {
	for _, name := range names {
		if _, ok := f.values[name]; !ok && f.err == nil {
			f.err = f.at.errorf("%s is missing", name)
		}
	}
}

// count64 returns a whole number of 0 or more; 0 where there is none.
func (f *fields) count64(name string) int64 {
	text := f.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		f.fail(name, "a whole number of 0 or more")
	}
	return n
}
