package stats

import "gonum.org/v1/gonum/stat"

// Line returns the straight line y = intercept + slope*x that is nearest to the
// points by least squares; false when their x do not differ.
func Line(x, y []float64) (intercept, slope float64, ok bool) {
	if len(x) < 2 || len(x) != len(y) || stat.Variance(x, nil) == 0 {
		return 0, 0, false
	}
	mustFinite(x)
	mustFinite(y)
	intercept, slope = stat.LinearRegression(x, y, nil, false)
	return intercept, slope, true
}
