package stats

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// Moments are what Welch's test needs of a sample.
type Moments struct {
	N    int // >= 2
	Mean float64
	SD   float64 // sample standard deviation (n-1), >= 0
}

// MomentsOf returns the moments of a sample of at least two values.
func MomentsOf(x []float64) (Moments, error) {
	if len(x) < 2 {
		return Moments{}, fmt.Errorf("stats: %d values have no standard deviation; at least 2 are needed", len(x))
	}
	mustFinite(x)
	mean, sd := stat.MeanStdDev(x, nil)
	return Moments{N: len(x), Mean: mean, SD: sd}, nil
}

// Test is the outcome of comparing two samples.
type Test struct {
	Diff     float64  // mean of a - mean of b
	T        float64  // Welch's statistic
	DF       float64  // Welch-Satterthwaite degrees of freedom
	P        float64  // exact two-sided p under normal noise, in [0,1]
	CohensD  float64  // Diff over the pooled standard deviation
	Warnings []string // e.g. few values
}

// ErrNoSpread means that both samples are constant, so that no test applies.
var ErrNoSpread = errors.New("stats: neither sample has any spread")

// Welch compares the means of two samples that may differ in variance:
//
//	t  = (ma - mb) / sqrt(sa²/na + sb²/nb)
//	df = (sa²/na + sb²/nb)² / ((sa²/na)²/(na-1) + (sb²/nb)²/(nb-1))
//	d  = (ma - mb) / sqrt(((na-1)sa² + (nb-1)sb²) / (na+nb-2))
//
// It returns ErrNoSpread when both standard deviations are zero. Source:
// Welch, Biometrika 34 (1947); Cohen, Statistical Power Analysis, 2.2 (1988).
func Welch(a, b Moments) (Test, error) {
	if a.N < 2 || b.N < 2 {
		return Test{}, fmt.Errorf("stats: samples of %d and %d values; Welch's test needs 2 of each", a.N, b.N)
	}
	mustFinite([]float64{a.Mean, a.SD, b.Mean, b.SD})
	if a.SD == 0 && b.SD == 0 {
		return Test{}, ErrNoSpread
	}
	na, nb := float64(a.N), float64(b.N)
	va, vb := a.SD*a.SD/na, b.SD*b.SD/nb
	t := Test{Diff: a.Mean - b.Mean}
	t.T = t.Diff / math.Sqrt(va+vb)
	t.DF = (va + vb) * (va + vb) / (va*va/(na-1) + vb*vb/(nb-1))
	t.P = TwoSidedP(t.T, t.DF)
	t.CohensD = t.Diff / math.Sqrt(((na-1)*a.SD*a.SD+(nb-1)*b.SD*b.SD)/(na+nb-2))
	if n := min(a.N, b.N); n < fewValues {
		t.Warnings = append(t.Warnings, fmt.Sprintf("n=%d: the p-value rests on the assumption of normal noise", n))
	}
	return t, nil
}
