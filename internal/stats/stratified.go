package stats

import (
	"errors"
	"fmt"
	"math"
)

// StratifiedRatio compares two ways of doing the same kinds of work: a[i] and
// b[i] are samples of positive values of kind i, e.g. one scenario. The kinds
// differ, so they are not pooled: each gives its own log ratio d_i with
// variance v_i and Welch's df_i, and the result is their unweighted mean,
//
//	value = exp(mean d_i)
//	var   = sum v_i / k²
//	df    = (sum v_i)² / sum(v_i² / df_i)
//
// with the interval at the given confidence in (0,1). CohensD is the mean log
// ratio over the pooled standard deviation within kinds. Each sample needs at
// least two values; ErrNoSpread means that all of them are constant. Source:
// Satterthwaite, Biometrics Bulletin 2 (1946).
func StratifiedRatio(a, b [][]float64, confidence float64) (Ratio, error) {
	if len(a) != len(b) || len(a) == 0 {
		return Ratio{}, fmt.Errorf("stats: %d and %d kinds of work; need equally many, at least 1", len(a), len(b))
	}
	var diff, variance, welch, squares, freedom float64
	var warnings []string
	for i := range a {
		ma, mb, err := logMoments(a[i], b[i])
		if err != nil {
			return Ratio{}, fmt.Errorf("kind %d: %w", i, err)
		}
		diff += ma.Mean - mb.Mean
		test, err := Welch(ma, mb)
		if errors.Is(err, ErrNoSpread) {
			freedom += float64(ma.N + mb.N - 2)
			continue // adds no variance
		}
		if err != nil {
			return Ratio{}, fmt.Errorf("kind %d: %w", i, err)
		}
		v := ma.SD*ma.SD/float64(ma.N) + mb.SD*mb.SD/float64(mb.N)
		variance += v
		welch += v * v / test.DF
		squares += float64(ma.N-1)*ma.SD*ma.SD + float64(mb.N-1)*mb.SD*mb.SD
		freedom += float64(ma.N + mb.N - 2)
		if len(test.Warnings) > 0 {
			warnings = test.Warnings
		}
	}
	if variance == 0 {
		return Ratio{}, ErrNoSpread
	}
	k := float64(len(a))
	t := Test{Diff: diff / k, DF: variance * variance / welch, Warnings: warnings}
	se := math.Sqrt(variance) / k
	t.T = t.Diff / se
	t.P = TwoSidedP(t.T, t.DF)
	t.CohensD = t.Diff / math.Sqrt(squares/freedom)
	half := TQuantile(1-(1-confidence)/2, t.DF) * se
	return Ratio{
		Value: math.Exp(t.Diff),
		CI:    Range{math.Exp(t.Diff - half), math.Exp(t.Diff + half)},
		Test:  t,
	}, nil
}

// logMoments returns the moments of the logarithms of two samples.
func logMoments(a, b []float64) (ma, mb Moments, err error) {
	la, err := logs(a)
	if err != nil {
		return ma, mb, err
	}
	lb, err := logs(b)
	if err != nil {
		return ma, mb, err
	}
	if ma, err = MomentsOf(la); err != nil {
		return ma, mb, err
	}
	mb, err = MomentsOf(lb)
	return ma, mb, err
}
