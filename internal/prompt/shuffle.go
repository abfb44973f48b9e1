package prompt

import "math/bits"

// generator is the SplitMix64 sequence of its initial value (G. Steele, D. Lea,
// C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
// figure 16). It is our own so that a seed means the same text under every
// version of Go.
type generator uint64

func (g *generator) next() uint64 {
	*g += 0x9e3779b97f4a7c15
	z := uint64(*g)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), as the high word of a random word times n.
// Its bias, under n/2^64, does not matter here.
func (g *generator) below(n int) int {
	high, _ := bits.Mul64(g.next(), uint64(n))
	return int(high)
}

// shuffle puts s into a random order by Fisher-Yates from the last element on.
func (g *generator) shuffle(s []string) {
	for i := len(s) - 1; i > 0; i-- {
		j := g.below(i + 1)
		s[i], s[j] = s[j], s[i]
	}
}
