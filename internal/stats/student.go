package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// TwoSidedP returns the probability that a Student-t variable with df > 0
// degrees of freedom is at least as far from zero as t:
//
//	I_x(df/2, 1/2)  with  x = df/(df+t^2)
//
// The tail is computed as itself, not as 1 - CDF, so that it stays accurate
// far below the spacing of floating-point numbers near 1. Source: Abramowitz
// and Stegun 26.5.27, 26.7.1.
func TwoSidedP(t, df float64) float64 {
	if t == 0 {
		return 1
	}
	if t*t < 1 {
		// Near the centre the small quantity is the complement.
		return 1 - mathext.RegIncBeta(0.5, df/2, t*t/(df+t*t))
	}
	return mathext.RegIncBeta(df/2, 0.5, df/(df+t*t))
}

// TQuantile returns the p-quantile, p in (0,1), of Student's t with df > 0
// degrees of freedom.
func TQuantile(p, df float64) float64 {
	d := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}
	if p == 0.5 {
		return 0
	}
	// One Newton step on the two-sided tail polishes gonum's inverse to the
	// accuracy of TwoSidedP.
	t := math.Abs(d.Quantile(p))
	tail := 2 * min(p, 1-p)
	t += (TwoSidedP(t, df) - tail) / (2 * d.Prob(t))
	return math.Copysign(t, p-0.5)
}
