package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with a matrix file, in the file's order.
type Error struct {
	Path     string
	Problems []Problem // never empty
}

// Problem is one thing that is wrong, at the key or value that shows it.
type Problem struct {
	Line, Column int // from 1
	Message      string
}

// Error returns one line per problem, each "path:line:column: message".
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.Path, p.Line, p.Column, p.Message)
	}
	return strings.Join(lines, "\n")
}

func newError(path string, problems []Problem) *Error {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Path: path, Problems: problems}
}
