package quality

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func score(t *testing.T, logits, reference []float32, next []int32) Tally {
	t.Helper()
	tally, err := Score(logits, reference, next)
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

// A model that takes every token for equally likely hesitates among all of them,
// and is as far from any other as that is from knowing nothing.
func TestUniformModel(t *testing.T) {
	const vocab, rows = 1000, 50
	next := make([]int32, rows)
	for i := range next {
		next[i] = int32(i * 13 % vocab)
	}
	for _, level := range []float32{0, -40, 300} { // a constant is no matter
		logits := make([]float32, rows*vocab)
		for i := range logits {
			logits[i] = level
		}
		p := score(t, logits, nil, next).Perplexity()
		near(t, "the perplexity", p.Value, vocab, 1e-12)
		near(t, "its error", p.SE, 0, 1e-9)
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(3 * r.NormFloat64())
	}
	return x
}

func TestModelAgainstItself(t *testing.T) {
	const vocab, rows = 321, 40
	r := rand.New(rand.NewPCG(1, 2))
	logits := random(r, vocab*rows)
	next := make([]int32, rows)
	for i := range next {
		next[i] = int32(r.IntN(vocab))
	}
	tally := score(t, logits, logits, next)
	v := tally.Versus()
	if v.KL.Value != 0 || v.KL.SE != 0 || v.SameTop.Value != 1 || v.Ratio.Value != 1 || v.Ratio.SE != 0 || v.Delta.Value != 0 {
		t.Errorf("a model against itself: %+v", v)
	}
	near(t, "the low end of the agreement", v.SameTop.Low, float64(rows)/(float64(rows)+1.959964*1.959964), 1e-6)
	if alone := score(t, logits, nil, next); alone.NLL != tally.NLL || alone.Reference != nil {
		t.Errorf("alone %+v, beside a reference %+v", alone.NLL, tally.NLL)
	}
}

// By hand: p = (1/2, 1/4, 1/4) and (1/4, 1/4, 1/2) for the model, twice
// (1/4, 1/2, 1/4) for the reference; the tokens are 0 and 2.
func TestByHand(t *testing.T) {
	ln := func(p float64) float32 { return float32(math.Log(p)) }
	logits := []float32{ln(0.5) + 7, ln(0.25) + 7, ln(0.25) + 7, ln(0.25), ln(0.25), ln(0.5)}
	reference := []float32{ln(0.25), ln(0.5), ln(0.25), ln(0.25) - 3, ln(0.5) - 3, ln(0.25) - 3}
	tally := score(t, logits, reference, []int32{0, 2})
	v := tally.Versus()
	near(t, "the perplexity", tally.Perplexity().Value, 2, 1e-6)
	near(t, "the reference's", v.Perplexity.Value, 4, 1e-6)
	near(t, "their ratio", v.Ratio.Value, 0.5, 1e-6)
	near(t, "their difference", v.Delta.Value, -2, 1e-6)
	// 1/4 ln(1/2) + 1/2 ln 2 + 1/4 ln 1 = 1/4 ln 2 in both rows.
	near(t, "the divergence", v.KL.Value, math.Ln2/4, 1e-6)
	near(t, "the agreement", v.SameTop.Value, 0, 0)
}

// Against the two-pass textbook formulas on all values at once.
func TestChunksMakeTheWhole(t *testing.T) {
	const vocab, rows = 97, 60
	r := rand.New(rand.NewPCG(3, 4))
	logits, reference := random(r, vocab*rows), random(r, vocab*rows)
	next := make([]int32, rows)
	for i := range next {
		next[i] = int32(r.IntN(vocab))
	}
	whole := score(t, logits, reference, next)
	var parts Tally
	for from := 0; from < rows; from += 7 {
		to := min(from+7, rows)
		parts.Merge(score(t, logits[from*vocab:to*vocab], reference[from*vocab:to*vocab], next[from:to]))
	}
	logP := func(x []float32) []float64 {
		sum := 0.0
		for _, v := range x {
			sum += math.Exp(float64(v))
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = float64(v) - math.Log(sum)
		}
		return out
	}
	var nll, kl, diff []float64
	for i, token := range next {
		p, q := logP(logits[i*vocab:(i+1)*vocab]), logP(reference[i*vocab:(i+1)*vocab])
		nll, diff = append(nll, -p[token]), append(diff, q[token]-p[token])
		sum := 0.0
		for j := range p {
			sum += math.Exp(q[j]) * (q[j] - p[j])
		}
		kl = append(kl, sum)
	}
	for _, tally := range []Tally{whole, parts} {
		for _, c := range []struct {
			name   string
			got    Moments
			values []float64
		}{{"NLL", tally.NLL, nll}, {"difference", tally.Reference.Diff, diff}, {"KL", tally.Reference.KL, kl}} {
			mean, m2 := 0.0, 0.0
			for _, v := range c.values {
				mean += v / rows
			}
			for _, v := range c.values {
				m2 += (v - mean) * (v - mean)
			}
			near(t, "mean "+c.name, c.got.Mean, mean, 1e-12)
			near(t, "error of "+c.name, c.got.SE(), math.Sqrt(m2/rows/(rows-1)), 1e-12)
			if c.got.N != rows {
				t.Errorf("%s of %d tokens, want %d", c.name, c.got.N, rows)
			}
		}
	}
	if whole.Reference.SameTop != parts.Reference.SameTop {
		t.Errorf("%d tokens agree in the whole, %d in its parts", whole.Reference.SameTop, parts.Reference.SameTop)
	}
	// The error of the difference by pairs: the variance of P exp(e) - P_r exp(e_r).
	a, b := whole.Perplexity(), whole.Versus().Perplexity
	sum := 0.0
	for i := range nll {
		d := a.Value*(nll[i]-whole.NLL.Mean) - b.Value*(nll[i]-diff[i]-whole.Reference.NLL.Mean)
		sum += d * d
	}
	near(t, "error of the difference", whole.Versus().Delta.SE, math.Sqrt(sum/rows/(rows-1)), 1e-9)
}

func TestNotFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		for _, row := range [][2][]float32{
			{{1, float32(bad)}, nil},
			{{1, 2}, {float32(bad), 1}},
		} {
			if tally, err := Score(row[0], row[1], []int32{0}); err == nil || !reflect.DeepEqual(tally, Tally{}) {
				t.Errorf("logits %v: %+v, %v", row, tally, err)
			}
		}
	}
}

func TestNoTokens(t *testing.T) {
	var total Tally
	total.Merge(score(t, nil, nil, nil))
	if total.NLL.N != 0 || total.Versus() != nil || !math.IsInf(total.NLL.SE(), 1) {
		t.Errorf("no tokens: %+v", total)
	}
}

func TestCheck(t *testing.T) {
	good := func() Tally {
		m := Moments{N: 3, Mean: 2, M2: 1}
		return Tally{NLL: m, Reference: &Comparison{NLL: m, Diff: m, KL: m, SameTop: 3}}
	}
	if err := good().Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(t *Tally){
		"one token":       func(t *Tally) { *t = Tally{NLL: Moments{N: 1}} },
		"fewer pairs":     func(t *Tally) { t.Reference.Diff.N = 2 },
		"too many agree":  func(t *Tally) { t.Reference.SameTop = 4 },
		"negative spread": func(t *Tally) { t.NLL.M2 = -1 },
		"overflow":        func(t *Tally) { t.Reference.NLL.Mean = 1e4 },
	} {
		tally := good()
		if spoil(&tally); tally.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
