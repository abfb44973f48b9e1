package runner

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailLines = 40
	tailWidth = 4096 // bytes kept of one line
)

// tail keeps the last lines that were written to it.
type tail struct {
	mu    sync.Mutex
	lines []string
	open  []byte // line whose end was not written yet
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
		t.lines = append(t.lines, line)
		t.lines = t.lines[max(len(t.lines)-tailLines, 0):]
	}
	t.open = t.open[:0]
}

// Lines returns the last lines that are not blank, oldest first.
func (t *tail) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
	return append([]string(nil), t.lines...)
}
