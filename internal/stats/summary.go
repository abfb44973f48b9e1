package stats

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Range is an interval of values.
type Range struct{ Lo, Hi float64 }

// Summary describes a sample. Values have the unit of the sample.
type Summary struct {
	N            int
	Mean, Median float64
	P05, P95     float64
	Min, Max     float64
	SD           *float64 // sample standard deviation (n-1); nil for n = 1
	CI           *Range   // Student-t interval of the mean; nil for n = 1
	Half         *float64 // half-width of CI; nil for n = 1
	CVPct        *float64 // 100*SD/Mean; nil for n = 1 or a mean of 0
	MedianCI     *Range   // distribution-free interval of the median; nil when there are too few values
	Outliers     []int    // indices flagged by Outliers
	Warnings     []string // what the sample is too small to say
}

// fewValues is the size under which a t interval of a mean rests more on the
// assumption of a normal distribution than on the data.
const fewValues = 5

// Describe summarises a sample at the given confidence level in (0,1). ok is
// false for an empty sample, of which nothing can be said.
func Describe(x []float64, confidence float64) (s Summary, ok bool) {
	if len(x) == 0 {
		return Summary{}, false
	}
	mustFinite(x)
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	s = Summary{
		N: len(x), Mean: stat.Mean(x, nil),
		Median:   percentileSorted(sorted, 50),
		P05:      percentileSorted(sorted, 5),
		P95:      percentileSorted(sorted, 95),
		Min:      sorted[0],
		Max:      sorted[len(sorted)-1],
		MedianCI: medianCI(sorted, confidence),
		Outliers: Outliers(x),
	}
	if s.N == 1 {
		s.Warnings = append(s.Warnings, "n=1: no spread and no interval")
		return s, true
	}
	sd := stat.StdDev(x, nil)
	half := quantileOf(s.N, confidence) * sd / math.Sqrt(float64(s.N))
	s.SD, s.Half, s.CI = &sd, &half, &Range{s.Mean - half, s.Mean + half}
	if s.Mean != 0 {
		cv := 100 * sd / math.Abs(s.Mean)
		s.CVPct = &cv
	}
	if s.N < fewValues {
		s.Warnings = append(s.Warnings, fmt.Sprintf("n=%d: the interval rests on the assumption of normal noise; %d or more are better", s.N, fewValues))
	}
	return s, true
}

// quantiles remembers what quantileOf found: samples of a study have few sizes,
// and the quantile takes longer than the rest of Describe.
var quantiles sync.Map // of sized

type sized struct {
	n          int
	confidence float64
}

// quantileOf returns the quantile of Student's t for the two-sided interval of
// the mean of n values.
func quantileOf(n int, confidence float64) float64 {
	key := sized{n, confidence}
	if t, ok := quantiles.Load(key); ok {
		return t.(float64)
	}
	t := TQuantile(1-(1-confidence)/2, float64(n-1))
	quantiles.Store(key, t)
	return t
}

// medianCI returns the narrowest interval of order statistics, symmetric in
// rank, that covers the median with at least the given confidence:
//
//	[x_(k), x_(n-k+1)]  with the largest k such that  P(Bin(n,1/2) < k) <= (1-confidence)/2
//
// nil when even the extremes do not, which at 0.95 is the case below 6 values.
// Source: Hahn and Meeker, Statistical Intervals, 5.2 (1991).
func medianCI(sorted []float64, confidence float64) *Range {
	n := len(sorted)
	b := distuv.Binomial{N: float64(n), P: 0.5}
	k := 0
	for k < (n+1)/2 && b.CDF(float64(k)) <= (1-confidence)/2 {
		k++
	}
	if k == 0 {
		return nil
	}
	return &Range{sorted[k-1], sorted[n-k]}
}

// Percentile returns the p-th percentile, p in [0,100], by linear
// interpolation between order statistics (Hyndman and Fan 1996, type 7; the
// default of R and NumPy). ok is false for an empty sample.
func Percentile(x []float64, p float64) (v float64, ok bool) {
	ps := Percentiles(x, p)
	if ps == nil {
		return 0, false
	}
	return ps[0], true
}

// Percentiles returns several percentiles of one sample, see [Percentile];
// nil for an empty sample.
func Percentiles(x []float64, ps ...float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	mustFinite(x)
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	out := make([]float64, len(ps))
	for i, p := range ps {
		out[i] = percentileSorted(sorted, p)
	}
	return out
}

func percentileSorted(sorted []float64, p float64) float64 {
	h := p / 100 * float64(len(sorted)-1)
	i := int(math.Floor(h))
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

// madScale makes the median absolute deviation estimate the standard deviation
// of a normal distribution: 1/Phi^-1(3/4).
const madScale = 1.482602218505602

// outlierScore is the modified z-score beyond which a value is flagged, as
// recommended by Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
const outlierScore = 3.5

// Outliers returns the indices of values whose distance from the median
// exceeds 3.5 scaled median absolute deviations. With fewer than 5 values, or
// when more than half are equal, there is nothing to judge by and none is
// flagged.
func Outliers(x []float64) []int {
	if len(x) < fewValues {
		return nil
	}
	median, _ := Percentile(x, 50)
	deviations := make([]float64, len(x))
	for i, v := range x {
		deviations[i] = math.Abs(v - median)
	}
	mad, _ := Percentile(deviations, 50)
	if mad == 0 {
		return nil
	}
	var out []int
	for i, d := range deviations {
		if d/(madScale*mad) > outlierScore {
			out = append(out, i)
		}
	}
	return out
}
