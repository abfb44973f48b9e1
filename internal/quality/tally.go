// Package quality says how well a model predicts a text, and how far what it
// expects is from what a reference expects, by the logits of both. It does no
// I/O and knows no engine.
//
// The method is that of llama.cpp's perplexity tool: the text is cut into chunks
// that do not overlap, each is evaluated by itself, and the tokens of its second
// half are scored, so that each of them has some text before it. Standard errors
// take tokens as independent, as the tool's do.
package quality

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
)

// Tally is what is known of the scored tokens of a text.
type Tally struct {
	NLL       Moments     `json:"nll"`                 // negative log-likelihood of each token, in nats
	Reference *Comparison `json:"reference,omitempty"` // nil without a reference
}

// Comparison is how the same tokens look to a reference.
type Comparison struct {
	NLL  Moments `json:"nll"`  // of the reference
	Diff Moments `json:"diff"` // NLL of the model less that of the reference, token by token
	// KL is the Kullback-Leibler divergence of the model's distribution from the
	// reference's, in nats: the sum of p_ref ln(p_ref/p) over the vocabulary.
	KL      Moments `json:"kl"`
	SameTop int     `json:"same_top"` // tokens for which both have the same most likely one
}

// Merge takes the tokens of o in. Both have a reference, or neither.
func (t *Tally) Merge(o Tally) {
	t.NLL.Merge(o.NLL)
	if o.Reference == nil {
		return
	}
	if t.Reference == nil {
		t.Reference = &Comparison{}
	}
	t.Reference.NLL.Merge(o.Reference.NLL)
	t.Reference.Diff.Merge(o.Reference.Diff)
	t.Reference.KL.Merge(o.Reference.KL)
	t.Reference.SameTop += o.Reference.SameTop
}

// Check says what keeps a tally that comes from a file from being one: fewer than
// two tokens, counts that disagree, or numbers without a finite perplexity.
func (t Tally) Check() error {
	n, c := t.NLL.N, t.Reference
	switch {
	case n < 2:
		return fmt.Errorf("%d scored tokens; a spread needs two", n)
	case c != nil && (c.NLL.N != n || c.Diff.N != n || c.KL.N != n || c.SameTop < 0 || c.SameTop > n):
		return fmt.Errorf("%d scored tokens, but other counts of the reference", n)
	}
	all := []Estimate{t.Perplexity()}
	if v := t.Versus(); v != nil {
		all = append(all, v.Perplexity, v.Ratio, v.Delta, v.KL)
	}
	for _, e := range all {
		if sum := e.Value + e.SE + e.Low + e.High; math.IsNaN(sum) || math.IsInf(sum, 0) {
			return errors.New("the perplexity is not finite")
		}
	}
	return nil
}

// Score tallies the tokens next by the logits that precede each: rows of one
// value per token of the vocabulary. reference, if not nil, holds those of
// another model for the same tokens. It fails when a likelihood is not finite,
// as with NaN among the logits. Every core takes a share of the rows; what comes
// out does not depend on how many there are.
func Score(logits, reference []float32, next []int32) (Tally, error) {
	var t Tally
	if len(next) == 0 {
		return t, nil
	}
	vocab := len(logits) / len(next)
	seen := make([]position, len(next))
	var wg sync.WaitGroup
	cores := min(runtime.GOMAXPROCS(0), len(next))
	for core := range cores {
		wg.Go(func() {
			for i := core; i < len(next); i += cores {
				row := logits[i*vocab : (i+1)*vocab]
				if reference == nil {
					seen[i].nll = alone(row, next[i])
				} else {
					seen[i] = beside(row, reference[i*vocab:(i+1)*vocab], next[i])
				}
			}
		})
	}
	wg.Wait()
	if reference != nil {
		t.Reference = &Comparison{}
	}
	for i, p := range seen {
		if sum := p.nll + p.refNLL + p.kl; math.IsNaN(sum) || math.IsInf(sum, 0) {
			return Tally{}, fmt.Errorf("the likelihood of token %d of %d is not finite: the model computes NaN or infinities", i, len(next))
		}
		t.NLL.Add(p.nll)
		if c := t.Reference; c != nil {
			c.NLL.Add(p.refNLL)
			c.Diff.Add(p.nll - p.refNLL)
			c.KL.Add(p.kl)
			if p.sameTop {
				c.SameTop++
			}
		}
	}
	return t, nil
}

// position is what is known of one token.
type position struct {
	nll, refNLL, kl float64
	sameTop         bool
}

// alone returns the negative log-likelihood of a token:
//
//	ln(sum over i of exp(x_i)) - x_token
//
// with the largest logit taken out of the sum, so that it does not overflow.
func alone(x []float32, token int32) float64 {
	top := float64(x[argmax(x)])
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum) - float64(x[token])
}

// beside is alone for a model and a reference, with the divergence
//
//	KL = sum of p_ref (r - x) - ln Z_ref + ln Z
//
// for the logits x and r and their normalisers Z, which needs one pass.
func beside(x, r []float32, token int32) position {
	best, bestRef := argmax(x), argmax(r)
	top, topRef := float64(x[best]), float64(r[bestRef])
	sum, sumRef, apart := 0.0, 0.0, 0.0
	for i, v := range x {
		w := math.Exp(float64(r[i]) - topRef)
		sum += math.Exp(float64(v) - top)
		sumRef += w
		apart += w * (float64(r[i]) - float64(v))
	}
	logZ, logZRef := top+math.Log(sum), topRef+math.Log(sumRef)
	return position{
		nll:     logZ - float64(x[token]),
		refNLL:  logZRef - float64(r[token]),
		kl:      max(0, apart/sumRef-logZRef+logZ), // below 0 by rounding only
		sameTop: best == bestRef,
	}
}

// argmax returns the index of the largest value, the first of equals.
func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}
