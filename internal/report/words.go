package report

import (
	"fmt"
	"strings"
)

// list joins names, the first few of them when they are many.
func list(names []string) string {
	const most, few = 5, 3
	if len(names) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(names[:few], "; "), len(names)-few)
	}
	return strings.Join(names, "; ")
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// code marks words as what is typed or read as is.
func code(words string) string { return "`" + strings.ReplaceAll(words, "`", "'") + "`" }

// sentence makes a word begin with a capital.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// notTestable is what a question gets that this run's rows do not answer.
func notTestable(needs string) string { return "Not testable in this run: it " + needs + "." }
