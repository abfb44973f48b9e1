// Package progress shows a run to the person in front of it: a line that is
// rewritten on a terminal, one line a row elsewhere. It writes only when it is
// told of something, since a ticking display would take a core from what is
// being measured.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/phasebench/phasebench/internal/record"
	"golang.org/x/sys/unix"
)

// Printer prints the progress of a run. It is used by one goroutine at a time.
type Printer struct {
	w     io.Writer
	width func() int // columns of the terminal; nil when w is none
	color bool
	shown int // columns of the line that is going to be rewritten
}

// New returns a Printer for f. On a terminal, colour is used unless the
// environment variable NO_COLOR is set or TERM is "dumb".
func New(f *os.File) *Printer {
	p := &Printer{w: f}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil && os.Getenv("TERM") != "dumb" {
		p.color = os.Getenv("NO_COLOR") == ""
		p.width = func() int {
			if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 {
				return int(ws.Col)
			}
			return 80
		}
	}
	return p
}

// Start says how many rows there are.
func (p *Printer) Start(done, total int) {
	switch {
	case done == 0:
		p.Note(fmt.Sprintf("%d rows to do", total))
	case done < total:
		p.Note(fmt.Sprintf("%d of %d rows are there already", done, total))
	}
}

// Row shows a row that was written. Skipped rows are many and say the same:
// they are left to a Note.
func (p *Printer) Row(r *record.Record, done, total int, eta time.Duration) {
	if r.Status == record.StatusSkipped {
		return
	}
	rep := fmt.Sprintf("rep %d", r.Rep)
	if r.Warmup {
		rep = fmt.Sprintf("warm-up %d", r.Rep)
	}
	if r.Launch > 0 {
		rep = fmt.Sprintf("launch %d %s", r.Launch, rep)
	}
	line := fmt.Sprintf("[%*d/%d] %s %s %s%s %s: ", len(fmt.Sprint(total)), done, total, r.Model, r.Backend, r.Scenario, batch(r.Batch), rep)
	p.measured(line, speed(r), r.Error, eta)
}

// Window shows an energy window that was written.
func (p *Printer) Window(w *record.WindowRecord, eta time.Duration) {
	line := fmt.Sprintf("%s %s %s%s %s window %d: ", w.Model, w.Backend, w.Scenario, batch(w.Batch), w.Phase, w.Window)
	p.measured(line, energy(w), w.Error, eta)
}

// measured shows what came out of something, or the error.
func (p *Printer) measured(line, result string, failed *record.Error, eta time.Duration) {
	if failed != nil {
		p.line(line+"error: "+failed.Message, true)
		return
	}
	line += result
	if eta > 0 {
		line += fmt.Sprintf(", %v left", round(eta))
	}
	if p.width == nil {
		p.line(line, false)
		return
	}
	p.rewrite(line)
}

// Note shows what belongs to no row.
func (p *Printer) Note(text string) { p.line(text, false) }

// Close leaves the cursor on a line of its own.
func (p *Printer) Close() {
	if p.shown > 0 {
		fmt.Fprintln(p.w)
		p.shown = 0
	}
}

// line prints a line that stays.
func (p *Printer) line(text string, bad bool) {
	p.rewrite("")
	if bad && p.color {
		text = "\x1b[31m" + text + "\x1b[0m"
	}
	fmt.Fprintln(p.w, text)
}

// rewrite puts text in the place of what the last call put there.
func (p *Printer) rewrite(text string) {
	if p.width == nil || p.shown == 0 && text == "" {
		return
	}
	if room := p.width() - 1; utf8.RuneCountInString(text) > room {
		text = string([]rune(text)[:room])
	}
	n := utf8.RuneCountInString(text)
	fmt.Fprintf(p.w, "\r%s%s\r", text, strings.Repeat(" ", max(p.shown-n, 0)))
	p.shown = n
}

// batch names a batch of more sequences than one.
func batch(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" batch %d", n)
}

// speed says how fast the row was, of all its sequences.
func speed(r *record.Record) string {
	var parts []string
	if r.PrefillMs != nil {
		parts = append(parts, fmt.Sprintf("prefill %.1f ms", *r.PrefillMs))
	}
	if r.DecodeMs != nil && *r.DecodeMs > 0 {
		parts = append(parts, fmt.Sprintf("decode %.1f tok/s", float64(max(1, r.Batch)*r.GenTokens) / *r.DecodeMs * 1000))
	}
	return strings.Join(parts, ", ")
}

// energy says what a window measured, or why it does not count.
func energy(w *record.WindowRecord) string {
	if !w.Valid {
		return "not valid: " + strings.Join(record.Names(w.Reasons), ", ")
	}
	if w.JPerToken == nil {
		return "valid"
	}
	return fmt.Sprintf("%.3g J/token", *w.JPerToken)
}

// round drops digits that an estimate does not have.
func round(d time.Duration) time.Duration {
	if d > 10*time.Minute {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}
