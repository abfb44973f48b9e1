package matrix

import (
	"fmt"
	"strings"
)

// maxHinted bounds the names listed in one message.
const maxHinted = 20

// hint says which names there are and which is likely meant, for the
// end of a message about name. It is empty when there are none.
func hint(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	all := "known: " + strings.Join(known[:min(len(known), maxHinted)], ", ")
	if len(known) > maxHinted {
		all += ", ..."
	}
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf("; did you mean %q? (%s)", best, all)
	}
	return fmt.Sprintf(" (%s)", all)
}

// nearest returns the known name with the fewest edits from name, or "" when
// more than a third of name's bytes, rounded up, would have to change.
func nearest(name string, known []string) string {
	best, fewest := "", (len(name)+2)/3+1
	for _, k := range known {
		if d := edits(name, k); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

// edits returns the Levenshtein distance between a and b in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
