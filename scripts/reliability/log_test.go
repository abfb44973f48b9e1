package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What `go test -json` prints of tests that hold, break, are skipped, are fuzzed
// or never end, shortened to what is read of it.
const said = `{"Time":"2026-01-02T03:04:05Z","Action":"start","Package":"github.com/phasebench/phasebench/a"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds","Key":"fault","Value":"a|b"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds","Key":"how","Value":"so"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds","Key":"promised","Value":"nothing"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds","Key":"times","Value":"50"}
{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds"}
{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/phasebench/phasebench/a","Test":"TestOfNoPromise"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped","Key":"fault","Value":"f"}
{"Action":"output","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped","Output":"    a_test.go:7: not root\n"}
{"Time":"2026-01-02T03:04:05Z","Action":"skip","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"FuzzIt","Key":"fault","Value":"f"}
{"Action":"output","Package":"github.com/phasebench/phasebench/a","Test":"FuzzIt","Output":"fuzz: elapsed: 3s, execs: 325017 (108336/sec), new interesting: 11 (total: 202)\n"}
{"Action":"output","Package":"github.com/phasebench/phasebench/a","Test":"FuzzIt","Output":"fuzz: elapsed: 6s, execs: 680218 (118402/sec), new interesting: 11 (total: 202)\n"}
{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/phasebench/phasebench/a","Test":"FuzzIt"}
`

const broken = `{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped","Key":"fault","Value":"f"}
{"Action":"output","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped","Output":"lost a row\n"}
{"Time":"2026-01-03T03:04:05Z","Action":"fail","Package":"github.com/phasebench/phasebench/a","Test":"TestSkipped"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHangs","Key":"fault","Value":"f"}
{"Action":"attr","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds","Key":"fault","Value":"a|b"}
{"Time":"2026-01-03T03:04:05Z","Action":"skip","Package":"github.com/phasebench/phasebench/a","Test":"TestHolds"}
`

// table returns what is written of logs, nothing if nothing is, and stderr.
func table(t *testing.T, code int, logs ...string) (written, stderr string) {
	t.Helper()
	args := []string{filepath.Join(t.TempDir(), "table.md")}
	for i, log := range logs {
		path := filepath.Join(t.TempDir(), string(rune('a'+i)))
		if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	var out, errs bytes.Buffer
	if got := run(args, &out, &errs); got != code {
		t.Errorf("exit code %d, want %d: %s", got, code, errs.String())
	}
	data, err := os.ReadFile(args[0])
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data), errs.String()
}

func rows(t *testing.T, written, want string) {
	t.Helper()
	if got := strings.TrimPrefix(written, head); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	// The package has not ended in this log.
	whole := said + `{"Action":"pass","Package":"github.com/phasebench/phasebench/a"}` + "\n"
	written, _ := table(t, 0, whole)
	rows(t, written, `| f |  |  | `+"`a`"+` FuzzIt | 680218 inputs | holds, 2026-01-02 |
| a\|b | so | nothing | `+"`a`"+` TestHolds | 50 | holds, 2026-01-02 |
| f |  |  | `+"`a`"+` TestSkipped | 0 | not tried, 2026-01-02: not root |
`)
	written, stderr := table(t, 1, whole, broken)
	rows(t, written, `| f |  |  | `+"`a`"+` FuzzIt | 680218 inputs | holds, 2026-01-02 |
| f |  |  | `+"`a`"+` TestHangs | 1 | **BROKEN**: never ended |
| a\|b | so | nothing | `+"`a`"+` TestHolds | 50 | holds, 2026-01-02 |
| f |  |  | `+"`a`"+` TestSkipped | 1 | **BROKEN**, 2026-01-03 |
`)
	if !strings.Contains(stderr, "FAIL a TestSkipped\nlost a row\n") || !strings.Contains(stderr, "FAIL a TestHangs\n") {
		t.Errorf("stderr: %s", stderr)
	}
}

func TestRefuses(t *testing.T) {
	for log, want := range map[string]string{
		"ok  a 0.1s\n": "not a line of go test -json",
		"":             "no test of these logs makes a promise",
	} {
		if written, stderr := table(t, 2, log); written != "" || !strings.Contains(stderr, want) {
			t.Errorf("%q: wrote %q, stderr %q", log, written, stderr)
		}
	}
	for args, code := range map[string]int{"": 2, "table": 2, "--frob a": 2, "--help": 0, filepath.Join(t.TempDir(), "t") + " none": 2} {
		if got := run(strings.Fields(args), new(bytes.Buffer), new(bytes.Buffer)); got != code {
			t.Errorf("%q: exit code %d, want %d", args, got, code)
		}
	}
}
