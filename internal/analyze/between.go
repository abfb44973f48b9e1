package analyze

import (
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// RatioBetween returns the ratio, a over b, of the geometric means over cells of
// a number > 0 of their rows: a[i] and b[i] are the same work. Replicates are
// rounds, see Group.ByLaunch, or where cells were not measured in the same
// rounds, the rows of each cell by itself. The error says why there is none;
// stats.ErrNoSpread is one of them.
func RatioBetween(a, b []*Group, of func(*record.Record) float64) (*stats.Ratio, error) {
	return ratio(a, b, of)
}

// ValidJPerTok returns the joules per token of the windows that count.
func (x *Windows) ValidJPerTok() []float64 {
	var out []float64
	for _, r := range x.All {
		if len(invalid(r)) == 0 {
			out = append(out, *r.JPerToken)
		}
	}
	return out
}
