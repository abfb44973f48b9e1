package report

import (
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// warning is a warning with the number that tables refer to it by.
type warning struct {
	Number int
	analyze.Warning
}

func numbered(list []analyze.Warning) []warning {
	var out []warning
	for i, w := range list {
		out = append(out, warning{i + 1, w})
	}
	return out
}

// touches reports whether the warning is about what a key names: a
// configuration, or one of its cells.
func (w warning) touches(key string) bool {
	return slices.ContainsFunc(w.Where, func(where string) bool {
		rest, ok := strings.CutPrefix(where, key)
		return ok && (rest == "" || rest[0] == ',' || rest[0] == ':')
	})
}

// mark notes which warnings touch which rows of the table. Those that touch all
// of several are named once, for the table.
func (b *tableBlock) mark(warnings []warning) {
	b.all = warnings
	v := view{b.Table}
	// Warnings are about times and energy, which say nothing of what a cache holds
	// or how well a model predicts a text.
	if !v.has("model") || !v.has("backend") || v.has("exact") || v.has("top1_pct") {
		return
	}
	marks := make([][]int, len(b.Rows))
	any := false
	for _, w := range warnings {
		var rows []int
		for _, e := range v.entries() {
			key := e.config()
			if v.has("scenario") {
				key += ", " + e.text("scenario")
			}
			if w.touches(key) {
				rows = append(rows, e.row)
			}
		}
		if len(rows) == len(b.Rows) && len(rows) > 1 {
			b.Every = append(b.Every, w.Number)
			continue
		}
		for _, i := range rows {
			marks[i] = append(marks[i], w.Number)
			any = true
		}
	}
	if any {
		b.Marks = marks
	}
}
