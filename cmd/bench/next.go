package main

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/analyze"
)

// next names what would make the answer of a run better, with the reason: its other
// rows, a price, an interval that holds for another launch, or another run to hold
// it against.
func next(dir string, a *analyze.Analysis) string {
	withinProcess := slices.ContainsFunc(a.Groups, func(g *analyze.Group) bool { return !g.ByLaunch })
	rows := a.Accounting
	switch {
	case len(a.Groups) == 0:
		return fmt.Sprintf("%s doctor, since nothing was measured", program)
	case rows.Planned != nil && rows.Missing > 0 && len(a.RunIDs) == 1: // a merged run is continued where its parts are
		return fmt.Sprintf("%s --resume %s, since %d of %d rows are missing", program, dir, rows.Missing, *rows.Planned)
	case len(a.Rankings) == 0 || !a.Rankings[0].Own:
		return fmt.Sprintf("%s analyze %s --rate USD_PER_HOUR, since no measured device has a price of its own", program, dir)
	case withinProcess:
		return "the same run with --launches 3, for intervals that hold for another launch"
	}
	return fmt.Sprintf("%s compare %s ANOTHER_RUN", program, dir)
}

// doubts says how many warnings the report has, and the one about most places.
func doubts(a *analyze.Analysis) string {
	if len(a.Warnings) == 0 {
		return ""
	}
	widest := slices.MaxFunc(a.Warnings, func(x, y analyze.Warning) int { return len(x.Where) - len(y.Where) })
	return fmt.Sprintf("warnings: %d, in the report beside what they are about; of most places: %s", len(a.Warnings), widest.Text)
}
