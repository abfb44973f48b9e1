package quality

import (
	"math"

	"github.com/phasebench/phasebench/internal/stats"
)

// confidence is that of every interval here.
const confidence = 0.95

// Estimate is a value with its standard error and 95 % interval.
type Estimate struct {
	Value float64 `json:"value"`
	SE    float64 `json:"se"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// around is the estimate of a value that n tokens speak of, by Student's t.
func around(value, se float64, n int) Estimate {
	half := stats.TQuantile(1-(1-confidence)/2, float64(n-1)) * se
	return Estimate{value, se, value - half, value + half}
}

func estimate(m Moments) Estimate { return around(m.Mean, m.SE(), m.N) }

// exp is the estimate of e to the power of what e estimates. Its standard error
// is that of a small step, its interval is exact.
func (e Estimate) exp() Estimate {
	v := math.Exp(e.Value)
	return Estimate{v, v * e.SE, math.Exp(e.Low), math.Exp(e.High)}
}

// Perplexity returns e to the power of the mean negative log-likelihood: among
// how many equally likely tokens the model would hesitate as much. From 1 on; a
// model that knows nothing has the size of its vocabulary. The tally needs two
// tokens, here and below.
func (t Tally) Perplexity() Estimate { return estimate(t.NLL).exp() }

// Versus is what a reference makes of a tally.
type Versus struct {
	Perplexity Estimate `json:"perplexity"` // of the reference
	// Ratio is the model's perplexity over the reference's: e to the power of
	// the mean difference of the two likelihoods of each token. As both see the
	// same tokens, its interval is much narrower than theirs.
	Ratio Estimate `json:"ratio"`
	// Delta is the model's perplexity less the reference's.
	Delta Estimate `json:"delta"`
	KL    Estimate `json:"kl"` // mean divergence, nats; from 0 on
	// SameTop is the share of tokens, 0 to 1, for which both have the same most
	// likely one, with Wilson's interval.
	SameTop Estimate `json:"same_top"`
}

// Versus returns how the model compares with its reference; nil without one.
func (t Tally) Versus() *Versus {
	c := t.Reference
	if c == nil {
		return nil
	}
	v := Versus{Perplexity: estimate(c.NLL).exp(), Ratio: estimate(c.Diff).exp(), KL: estimate(c.KL)}
	v.KL.Low = max(0, v.KL.Low)
	v.Delta = t.delta(v.Perplexity)
	n := float64(c.KL.N)
	share := float64(c.SameTop) / n
	ci := stats.Wilson(c.SameTop, c.KL.N, confidence)
	v.SameTop = Estimate{share, math.Sqrt(share * (1 - share) / n), ci.Lo, ci.Hi}
	return &v
}

// delta returns the difference of the model's perplexity P and the reference's
// P_r, whose logarithms have the variances v and v_r and a difference of v_d:
//
//	var = P^2 v + P_r^2 v_r - 2 P P_r cov,  cov = (v + v_r - v_d) / 2
//
// by the propagation of small errors, which is how llama.cpp's tool has it.
func (t Tally) delta(reference Estimate) Estimate {
	square := func(x float64) float64 { return x * x }
	own := t.Perplexity()
	cov := (square(t.NLL.SE()) + square(t.Reference.NLL.SE()) - square(t.Reference.Diff.SE())) / 2
	variance := square(own.SE) + square(reference.SE) - 2*own.Value*reference.Value*cov
	return around(own.Value-reference.Value, math.Sqrt(max(0, variance)), t.NLL.N)
}
