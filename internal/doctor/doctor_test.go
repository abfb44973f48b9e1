package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func ptr[T any](v T) *T { return &v }

// tree writes a file system given as a txtar archive and returns its root.
func tree(t *testing.T, archive string) string {
	t.Helper()
	root := t.TempDir()
	if err := txtar.Write(txtar.Parse([]byte(archive)), root); err != nil {
		t.Fatal(err)
	}
	return root
}

// want is the line that a check must give under a name.
type want struct {
	name  string
	level Level
	seen  string // regular expression
	fix   string // regular expression; "" for no fix at all
}

// check compares lines with what is wanted of them, all and in that order.
func check(t *testing.T, lines []Line, wants ...want) {
	t.Helper()
	if len(lines) != len(wants) {
		t.Errorf("%d lines, want %d: %+v", len(lines), len(wants), lines)
	}
	for i, l := range lines {
		if (l.Level == OK) != (l.Fix == "") {
			t.Errorf("%+v: a fix belongs to what is not ok, and only to that", l)
		}
		if i >= len(wants) {
			continue
		}
		w := wants[i]
		if l.Name != w.name || l.Level != w.level || !regexp.MustCompile(w.seen).MatchString(l.Seen) || !regexp.MustCompile(w.fix).MatchString(l.Fix) {
			t.Errorf("got  %+v\nwant %+v", l, w)
		}
	}
}

// named returns the lines with a name.
func named(lines []Line, name string) []Line {
	return slices.DeleteFunc(slices.Clone(lines), func(l Line) bool { return l.Name != name })
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLine(t *testing.T) {
	lines := []Line{
		{Section: "cpu", Name: "governor", Level: Warn, Seen: "powersave", Fix: "choose performance"},
		{Section: "clock", Name: "clocksource", Level: OK, Seen: "tsc"},
	}
	if got, want := lines[0].String(), "warn  cpu     governor: powersave\n              -> choose performance"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := lines[1].String(), "ok    clock   clocksource: tsc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	data, err := json.Marshal(lines[1])
	if want := `{"section":"clock","name":"clocksource","level":"ok","seen":"tsc"}`; err != nil || string(data) != want {
		t.Errorf("got %s (%v), want %s", data, err, want)
	}
	if Count(lines, Warn) != 1 || Count(lines, OK) != 1 || Count(lines, Fail) != 0 {
		t.Errorf("miscounted %+v", lines)
	}
}
