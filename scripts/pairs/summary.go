package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

const (
	resamples = 10_000
	seed      = 42 // so that the same times always give the same interval
)

// A summary is the geometric mean of ours over peer and its 95 % interval.
type summary struct{ Ratio, Lo, Hi float64 }

// summarise returns the geometric mean of the ratio over pairs,
//
//	exp(1/n Σ ln(ours_i / peer_i))
//
// and the 2.5 and 97.5 percentiles of that mean over resamples of the pairs
// (the percentile bootstrap: Efron and Tibshirani, An Introduction to the
// Bootstrap, 1993, chapter 13). pairs must not be empty; with one pair the
// interval has no width.
func summarise(pairs []pair) summary {
	logs := make([]float64, len(pairs))
	for i, p := range pairs {
		logs[i] = math.Log(p.Ours / p.Peer)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, resamples)
	for i := range means {
		var sum float64
		for range logs {
			sum += logs[rng.IntN(len(logs))]
		}
		means[i] = sum / float64(len(logs))
	}
	slices.Sort(means)
	quantile := func(p float64) float64 { return math.Exp(stat.Quantile(p, stat.LinInterp, means, nil)) }
	return summary{math.Exp(stat.Mean(logs, nil)), quantile(0.025), quantile(0.975)}
}
