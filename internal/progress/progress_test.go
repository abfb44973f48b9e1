package progress

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

func row(status record.Status) *record.Record {
	prefill, decode := 81.25, 2000.0
	r := &record.Record{Model: "gpt2", Backend: "cpu", Scenario: "short", Rep: 3, Status: status}
	switch status {
	case record.StatusOK:
		r.PrefillMs, r.DecodeMs, r.GenTokens = &prefill, &decode, 128
	case record.StatusError:
		r.Error = &record.Error{Message: "it broke"}
	}
	return r
}

func play(p *Printer) {
	p.Start(0, 20)
	p.Row(row(record.StatusOK), 1, 20, 90*time.Second)
	p.Row(row(record.StatusSkipped), 2, 20, time.Second)
	p.Row(row(record.StatusError), 3, 20, 0)
	warm := row(record.StatusOK)
	warm.Warmup, warm.Launch = true, 1
	p.Row(warm, 3, 20, 0)
	p.Note("a note")
	p.Close()
}

func TestPlain(t *testing.T) {
	var out strings.Builder
	play(&Printer{w: &out})
	want := `20 rows to do
[ 1/20] gpt2 cpu short rep 3: prefill 81.2 ms, decode 64.0 tok/s, 1m30s left
[ 3/20] gpt2 cpu short rep 3: error: it broke
[ 3/20] gpt2 cpu short launch 1 warm-up 3: prefill 81.2 ms, decode 64.0 tok/s
a note
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTerminal(t *testing.T) {
	var out strings.Builder
	play(&Printer{w: &out, width: func() int { return 41 }, color: true})
	gone := "\r" + strings.Repeat(" ", 40) + "\r"
	want := "20 rows to do\n" +
		"\r[ 1/20] gpt2 cpu short rep 3: prefill 81\r" + gone +
		"\x1b[31m[ 3/20] gpt2 cpu short rep 3: error: it broke\x1b[0m\n" +
		"\r[ 3/20] gpt2 cpu short launch 1 warm-up \r" + gone +
		"a note\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

// What is not a terminal gets no control characters.
func TestNewOnPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	play(New(w))
	w.Close()
	buf := make([]byte, 64<<10)
	n, err := r.Read(buf)
	if err != nil || n == 0 {
		t.Fatal(errors.Join(err, errors.New("nothing read")))
	}
	if strings.ContainsAny(string(buf[:n]), "\x1b\r") {
		t.Errorf("control characters in %q", buf[:n])
	}
}

func TestWindows(t *testing.T) {
	var out strings.Builder
	p := &Printer{w: &out}
	joules := 0.01234
	w := record.WindowRecord{Model: "gpt2", Backend: "gpu", Scenario: "medium", Phase: "decode", Window: 1, JPerToken: &joules, Valid: true}
	p.Window(&w, 90*time.Second)
	w.Valid, w.Reasons = false, []record.Reason{record.TooShort, record.Gap}
	p.Window(&w, 0)
	w.Error = &record.Error{Message: "it broke"}
	p.Window(&w, time.Second)
	want := `gpt2 gpu medium decode window 1: 0.0123 J/token, 1m30s left
gpt2 gpu medium decode window 1: not valid: too_short, gap
gpt2 gpu medium decode window 1: error: it broke
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
