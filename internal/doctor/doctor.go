// Package doctor looks for what would spoil a long run before it starts: what is
// missing, what makes times scatter and what would go unmeasured. It changes
// nothing, and leaves nothing behind.
//
// Every check is a function from what was seen to lines. A warning is something
// that can make a run's figures fewer or worse and that somebody can do
// something about; what nobody can change is only told. A failure keeps a run
// from starting or from ending well.
package doctor

import "fmt"

// Level says how much a line matters.
type Level string

// The levels, in rising order.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Line is one thing that was looked at.
type Line struct {
	Section string `json:"section"` // of the machine, e.g. "cpu"
	Name    string `json:"name"`    // within the section, e.g. "governor"
	Level   Level  `json:"level"`
	Seen    string `json:"seen"`          // with units
	Fix     string `json:"fix,omitempty"` // what to do about it; always there with Warn and Fail
}

// String returns the line as the terminal shows it, with the fix on a line of
// its own.
func (l Line) String() string {
	text := fmt.Sprintf("%-4s  %-6s  %s: %s", l.Level, l.Section, l.Name, l.Seen)
	if l.Fix != "" {
		text += "\n      " + fmt.Sprintf("%-6s  -> %s", "", l.Fix)
	}
	return text
}

// Count returns how many lines have a level.
func Count(lines []Line, level Level) int {
	n := 0
	for _, l := range lines {
		if l.Level == level {
			n++
		}
	}
	return n
}

// section collects the lines of one part of the machine.
type section struct {
	name  string
	lines []Line
}

func (s *section) add(level Level, name, fix, format string, a ...any) {
	s.lines = append(s.lines, Line{Section: s.name, Name: name, Level: level, Seen: fmt.Sprintf(format, a...), Fix: fix})
}

func (s *section) ok(name, format string, a ...any)        { s.add(OK, name, "", format, a...) }
func (s *section) warn(name, fix, format string, a ...any) { s.add(Warn, name, fix, format, a...) }
func (s *section) fail(name, fix, format string, a ...any) { s.add(Fail, name, fix, format, a...) }

// check adds a line that is ok or, if bad, a warning with its fix.
func (s *section) check(bad bool, name, fix, format string, a ...any) {
	if bad {
		s.warn(name, fix, format, a...)
	} else {
		s.ok(name, format, a...)
	}
}

const mib = 1 << 20
