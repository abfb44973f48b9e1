package stats

import (
	"math"
	"testing"
)

func TestLine(t *testing.T) {
	for _, c := range []struct {
		name             string
		x, y             []float64
		intercept, slope float64
		ok               bool
	}{
		{"exact", []float64{1, 2, 5}, []float64{5, 7, 13}, 3, 2, true},
		// Anscombe, Graphs in Statistical Analysis (1973), the first of his four: y = 3.00 + 0.500 x.
		{"noisy", []float64{10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5}, []float64{8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68}, 3.0000909, 0.5000909, true},
		{"one point", []float64{1}, []float64{1}, 0, 0, false},
		{"one place", []float64{2, 2}, []float64{1, 3}, 0, 0, false},
		{"uneven", []float64{1, 2}, []float64{1}, 0, 0, false},
	} {
		intercept, slope, ok := Line(c.x, c.y)
		if ok != c.ok || math.Abs(intercept-c.intercept) > 1e-6 || math.Abs(slope-c.slope) > 1e-6 {
			t.Errorf("%s: %v + %v x, %v; want %v + %v x, %v", c.name, intercept, slope, ok, c.intercept, c.slope, c.ok)
		}
	}
}
