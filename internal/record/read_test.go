package record

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

func TestReadGoesOnAfterBadLines(t *testing.T) {
	good := `{"schema":1,"cell_id":"a","status":"ok"}`
	for _, tc := range []struct{ name, line, want string }{
		{"not JSON", "hello", "not a whole JSON object"},
		{"torn", good[:len(good)-3], "not a whole JSON object"},
		{"NUL bytes", "\x00\x00\x00", "not a whole JSON object"},
		{"another schema", `{"schema":2,"cell_id":5}`, "row of schema 2, this program reads schema 1"},
		{"no schema", `{}`, "row of schema 0"},
		{"null", `null`, "row of schema 0"},
		{"wrong type", `{"schema":1,"cell_id":"a","status":"ok","rep":"x"}`, "cannot unmarshal string"},
		{"an array", `[]`, "row of schema 0"},
		{"no cell", `{"schema":1,"status":"ok"}`, "without cell_id"},
		{"no status", `{"schema":1,"cell_id":"a"}`, `unknown status ""`},
		{"too long", `"` + strings.Repeat("x", maxLine) + `"`, "longer than"},
		{"two objects", good + good, "not a whole JSON object"},
		{"a terminal's command in the cell", `{"schema":1,"cell_id":"a\u001b[2J","status":"ok"}`, "control characters"},
		{"a terminal's command in the device", `{"schema":1,"cell_id":"a","status":"ok","device":"\u001b[2J"}`, "control characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.jsonl")
			if err := os.WriteFile(path, []byte(good+"\n\r\n"+tc.line+"\n"+good), 0o644); err != nil {
				t.Fatal(err)
			}
			rows, warnings := mustRead(t, path)
			if len(rows) != 2 {
				t.Errorf("%d rows, want the 2 good ones", len(rows))
			}
			var bad *LineError
			if len(warnings) != 1 || !errors.As(warnings[0], &bad) || bad.Line != 3 ||
				!strings.HasPrefix(bad.Error(), path+":3: ") || !strings.Contains(bad.Error(), tc.want) {
				t.Errorf("warnings %v, want %s:3: ... %s", warnings, path, tc.want)
			}
		})
	}
	if _, _, err := Read(t.TempDir()); err == nil {
		t.Error("no error for a directory")
	}
}

func TestLatest(t *testing.T) {
	warm := row("a", 0, StatusOK)
	warm.Warmup = true
	second := row("a", 0, StatusOK)
	second.TokenHash = "second"
	for _, tc := range []struct {
		name     string
		rows     []Record
		want     []Status
		warnings int
	}{
		{"none", nil, nil, 0},
		{"retried", []Record{row("a", 0, StatusError), row("a", 1, StatusOK), row("a", 0, StatusOK)}, []Status{StatusOK, StatusOK}, 0},
		{"ok before error", []Record{row("a", 0, StatusOK), row("a", 0, StatusError)}, []Status{StatusOK}, 0},
		{"skipped, then failed", []Record{row("a", 0, StatusSkipped), row("a", 0, StatusError)}, []Status{StatusError}, 0},
		{"failed, then skipped", []Record{row("a", 0, StatusError), row("a", 0, StatusSkipped)}, []Status{StatusSkipped}, 0},
		{"measured twice", []Record{row("a", 0, StatusOK), second}, []Status{StatusOK}, 1},
		{"warm-up repeated", []Record{warm, row("a", 0, StatusOK), warm}, []Status{StatusOK, StatusOK}, 0},
	} {
		got, warnings := Latest(tc.rows)
		var statuses []Status
		for _, r := range got {
			statuses = append(statuses, r.Status)
		}
		if !slices.Equal(statuses, tc.want) || len(warnings) != tc.warnings {
			t.Errorf("%s: got %v, warnings %v", tc.name, statuses, warnings)
		}
		if tc.name == "measured twice" && got[0].TokenHash != "second" {
			t.Errorf("%s: not the last row", tc.name)
		}
	}
}

func TestDone(t *testing.T) {
	rule, device := row("rule", 0, StatusSkipped), row("device", 0, StatusSkipped)
	rule.SkipKind, device.SkipKind = SkipRule, SkipDevice
	done := Done([]Record{row("ok", 0, StatusError), row("ok", 0, StatusOK), row("error", 0, StatusError), rule, device})
	if len(done) != 2 || !done[Key{CellID: "ok"}] || !done[Key{CellID: "rule"}] {
		t.Errorf("got %v, want ok and rule", done)
	}
}

// FuzzRead checks that no input makes Read panic, that every line is a row, a
// warning or blank, and that rows which were read can be written and read again.
func FuzzRead(f *testing.F) {
	promise.Of(f, "any bytes as rows", "fuzzing of the reader of rows",
		"each line becomes a row, a warning or is blank; what was read can be written and read again")
	good := `{"schema":1,"timestamp":"2026-01-02T03:04:05Z","cell_id":"a","status":"ok","step_ms":[1.5,2e-3]}`
	for _, seed := range []string{
		"", "\n", good, good + "\n", good + "\n" + good[:30], "\x00\x00\n" + good,
		`{"schema":2}`, `{"schema":1,"cell_id":7}`, "[" + good + "]", "\xff\xfe\n",
		`{"schema":1,"cell_id":"a","status":"error","error":{"kind":"signal","signal":"SIGKILL","stderr_tail":["x"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, warnings, err := read(bytes.NewReader(data), "f", parse)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range bytes.Lines(data) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if len(rows)+len(warnings) != lines {
			t.Errorf("%d lines gave %d rows and %d warnings", lines, len(rows), len(warnings))
		}
		Latest(rows)
		if len(rows) == 0 {
			return
		}
		dir := t.TempDir()
		s := mustCreate(t, dir)
		defer s.Close()
		mustAppend(t, s, rows...)
		again, warnings := mustRead(t, filepath.Join(dir, File))
		if len(again) != len(rows) || len(warnings) != 0 {
			t.Errorf("%d rows written, %d read back, warnings %v", len(rows), len(again), warnings)
		}
	})
}
