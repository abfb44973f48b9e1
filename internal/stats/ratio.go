package stats

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// Ratio is a ratio of two positive quantities with its interval.
type Ratio struct {
	Value float64
	CI    Range
	Test  Test // on the logarithms
}

func logs(x []float64) ([]float64, error) {
	out := make([]float64, len(x))
	for i, v := range x {
		if !(v > 0) {
			return nil, fmt.Errorf("stats: value %d is %v; a ratio needs values > 0", i, v)
		}
		out[i] = math.Log(v)
	}
	return out, nil
}

// PairedRatio returns the geometric mean of a[i]/b[i] over pairs measured side
// by side, with a percentile bootstrap interval at the given confidence in
// (0,1) from resamples drawn with the seed. Pairs cancel drift that both sides
// share. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 13.3.
func PairedRatio(a, b []float64, confidence float64, resamples int, seed uint64) (value float64, ci Range, err error) {
	if len(a) != len(b) || len(a) < 2 || resamples < 1 {
		return 0, Range{}, fmt.Errorf("stats: %d and %d values, %d resamples; need equally many, at least 2, and at least 1 resample", len(a), len(b), resamples)
	}
	la, err := logs(a)
	if err != nil {
		return 0, Range{}, err
	}
	lb, err := logs(b)
	if err != nil {
		return 0, Range{}, err
	}
	diff := make([]float64, len(la))
	for i := range la {
		diff[i] = la[i] - lb[i]
	}
	r := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range diff {
			sum += diff[r.IntN(len(diff))]
		}
		means[i] = sum / float64(len(diff))
	}
	tail := 100 * (1 - confidence) / 2
	bounds := Percentiles(means, tail, 100-tail)
	return math.Exp(stat.Mean(diff, nil)), Range{math.Exp(bounds[0]), math.Exp(bounds[1])}, nil
}

// RatioOfSums returns Σa/Σb over pairs and half of its Student's t interval at the
// given confidence in (0,1). ok is false for fewer than two pairs or a Σb that is
// not above 0. The standard error is that of a ratio estimator, √(n/(n−1) Σ(a−Rb)²)
// / Σb. Source: Cochran, Sampling Techniques, 2.11.
func RatioOfSums(a, b []float64, confidence float64) (ratio, half float64, ok bool) {
	n := float64(len(a))
	sum := floats.Sum(b)
	if len(a) != len(b) || n < 2 || !(sum > 0) {
		return 0, 0, false
	}
	ratio = floats.Sum(a) / sum
	squares := 0.0
	for i := range a {
		off := a[i] - ratio*b[i]
		squares += off * off
	}
	return ratio, TQuantile((1+confidence)/2, n-1) * math.Sqrt(n/(n-1)*squares) / sum, true
}
