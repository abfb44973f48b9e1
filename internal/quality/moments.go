package quality

import "math"

// Moments are the number, mean and spread of values that were added one by one.
// The zero value is that of no values.
type Moments struct {
	N    int     `json:"n"`
	Mean float64 `json:"mean"`
	M2   float64 `json:"m2"` // sum of the squared distances from the mean
}

// Add takes one more value in.
func (m *Moments) Add(x float64) { m.Merge(Moments{N: 1, Mean: x}) }

// Merge takes in the values of o, as if they had been added here:
//
//	mean = (n_a mean_a + n_b mean_b) / n,  M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n
//
// Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm
// for Computing Sample Variances, eq. 1.5 (1979).
func (m *Moments) Merge(o Moments) {
	n := m.N + o.N
	if n == 0 {
		return
	}
	d, share := o.Mean-m.Mean, float64(o.N)/float64(n)
	m.Mean += d * share
	m.M2 += o.M2 + d*d*share*float64(m.N)
	m.N = n
}

// SE returns the standard error of the mean, with the values taken as
// independent:
//
//	sqrt(M2 / (n (n-1)))
//
// Infinite for less than two values, of which no spread is known.
func (m Moments) SE() float64 {
	if m.N < 2 {
		return math.Inf(1)
	}
	return math.Sqrt(m.M2 / float64(m.N) / float64(m.N-1))
}
