package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/promise"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Time               time.Time
	Action             string
	Package, Test      string
	ImportPath         string // of a package that does not build
	Key, Value, Output string
}

// test is one run of a test, or of a package: its name is empty then.
type test struct {
	pkg, name string
	attrs     map[string]string
	ended     time.Time
	action    string // pass, fail or skip; empty while it runs
	inputs    string // that a fuzz target was given
	output    strings.Builder
}

// log is what one or more runs of go test said.
type log struct {
	tests []*test // in the order they began
	open  map[[2]string]*test
}

func (l *log) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := l.read(f); err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	return nil
}

const module = "github.com/phasebench/phasebench/"

func (l *log) read(r io.Reader) error {
	l.open = map[[2]string]*test{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for n := 1; in.Scan(); n++ {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return fmt.Errorf("%d: not a line of go test -json: %w", n, err)
		}
		l.add(e)
	}
	return in.Err()
}

var inputs = regexp.MustCompile(`^fuzz: elapsed: .* execs: (\d+) `)

func (l *log) add(e event) {
	key := [2]string{cmp.Or(e.Package, e.ImportPath), e.Test}
	t := l.open[key]
	if t == nil {
		t = &test{pkg: strings.TrimPrefix(key[0], module), name: e.Test, attrs: map[string]string{}}
		l.tests, l.open[key] = append(l.tests, t), t
	}
	switch e.Action {
	case "attr":
		t.attrs[e.Key] = e.Value
	case "output", "build-output":
		if m := inputs.FindStringSubmatch(e.Output); m != nil {
			t.inputs = m[1]
		}
		t.output.WriteString(e.Output)
	case "pass", "fail", "skip", "build-fail":
		t.action, t.ended = strings.TrimPrefix(e.Action, "build-"), e.Time
	}
}

// promises returns the runs that count, by package and name.
func (l *log) promises() []*test {
	last := map[[2]string]*test{}
	for _, t := range l.tests {
		if t.attrs[promise.Fault] == "" {
			continue
		}
		key := [2]string{t.pkg, t.name}
		if before := last[key]; before == nil || t.action != "skip" {
			last[key] = t
		}
	}
	out := make([]*test, 0, len(last))
	for _, t := range last {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *test) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.name, b.name)) })
	return out
}

// failed returns what failed, of a failed test only the parts that did: a test
// that never ended counts too.
func (l *log) failed() []*test {
	var out []*test
	for _, t := range l.tests {
		if t.action == "fail" || t.action == "" {
			out = append(out, t)
		}
	}
	return out
}

// times says how often the fault was tried.
func (t *test) times() string {
	switch {
	case t.action == "skip":
		return "0"
	case t.inputs != "":
		return t.inputs + " inputs"
	}
	return cmp.Or(t.attrs[promise.Count], "1")
}

var because = regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.*)$`)

// result says how the test ended and on which day.
func (t *test) result() string {
	day := t.ended.UTC().Format(time.DateOnly)
	switch t.action {
	case "pass":
		return "holds, " + day
	case "skip":
		why := "no reason given"
		if m := because.FindStringSubmatch(t.output.String()); m != nil {
			why = m[1]
		}
		return "not tried, " + day + ": " + why
	case "fail":
		return "**BROKEN**, " + day
	}
	return "**BROKEN**: never ended"
}
