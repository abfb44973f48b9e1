package stats

import (
	"cmp"
	"slices"
)

// Holm returns the p-values of a family of tests, corrected so that comparing
// each with a level keeps the chance of any false positive in the family below
// that level, in the order given. Source: Holm, Scand. J. Statist. 6 (1979).
func Holm(p []float64) []float64 {
	mustFinite(p)
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(p[i], p[j]) })
	out := make([]float64, len(p))
	largest := 0.0
	for rank, i := range order {
		largest = max(largest, min(1, float64(len(p)-rank)*p[i]))
		out[i] = largest
	}
	return out
}
