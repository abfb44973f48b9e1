package runner

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

const (
	tailLines  = 40
	tailWidth  = 4096 // bytes kept of one line
	crashLines = 12   // kept after the first line of a crash
)

// crashed is how the Go runtime begins to tell why it ends the process. What
// follows are the stacks of all goroutines and the registers, of which the last
// lines say nothing. A signal is named: with cgo a fault in C ends the process
// this way too, with exit code 2.
var crashed = regexp.MustCompile(`^(?:(SIG[A-Z0-9]+): |fatal error: |panic: )`)

// tail keeps the last lines that were written to it; of a crash, the first.
type tail struct {
	mu    sync.Mutex
	lines []string
	open  []byte // line whose end was not written yet
	crash int    // lines since a crash began, which is one of them; 0 if none has
	word  string // what says most about the end: a crash's first line, else the last
	sig   string // name of the signal that a crash was for
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		t.open = append(t.open, part[:min(len(part), tailWidth-len(t.open))]...)
		if ended {
			t.end()
		}
		rest = after
	}
	return len(p), nil
}

func (t *tail) end() {
	if line := strings.TrimSpace(strings.ToValidUTF8(string(t.open), "\uFFFD")); line != "" {
		t.add(line)
	}
	t.open = t.open[:0]
}

func (t *tail) add(line string) {
	if t.crash == 0 {
		before := t.word
		t.word = line
		if begins := crashed.FindStringSubmatch(line); begins != nil {
			t.crash, t.sig = 1, begins[1]
			if t.sig == "SIGABRT" && before != "" {
				t.word = before // who calls abort has said why
			}
		}
	} else if t.crash++; t.crash > crashLines {
		return
	}
	t.lines = append(t.lines, line)
	t.lines = t.lines[max(len(t.lines)-tailLines, 0):]
}

// LastWord returns the line that says most about how the process ended, and the
// signal that it says it ended for; each is empty if there is none.
func (t *tail) LastWord() (line, signal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
	return t.word, t.sig
}

// Lines returns the last lines that are not blank, oldest first.
func (t *tail) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
	return append([]string(nil), t.lines...)
}
