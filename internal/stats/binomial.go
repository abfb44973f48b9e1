package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson returns the score interval of a probability of which k of n independent
// trials speak, at the given confidence in (0,1):
//
//	(p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n),  p = k/n
//
// Unlike p ± z sqrt(p(1-p)/n) it stays in [0,1] and has a width where k is 0 or
// n. It panics unless 0 <= k <= n and n > 0. Source: Wilson, JASA 22, 209 (1927).
func Wilson(k, n int, confidence float64) Range {
	if k < 0 || k > n || n < 1 {
		panic(fmt.Sprintf("stats: %d of %d trials", k, n))
	}
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	trials, p := float64(n), float64(k)/float64(n)
	middle := p + z*z/(2*trials)
	half := z * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	scale := 1 + z*z/trials
	return Range{max(0, (middle-half)/scale), min(1, (middle+half)/scale)}
}
