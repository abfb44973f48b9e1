// Package stats holds the statistics a report needs, on samples that are
// small. It is opinionated: intervals and tests are Student's and Welch's,
// outliers are flagged and never removed, and what a sample is too small to
// say is absent from the result (nil) with a warning beside it, never NaN.
//
// Functions panic when an input is NaN or infinite: such a value is a bug in
// the caller, since a measurement that failed has no number at all.
package stats

import (
	"fmt"
	"math"
)

func mustFinite(x []float64) {
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			panic(fmt.Sprintf("stats: value %d of %d is %v", i, len(x), v))
		}
	}
}
