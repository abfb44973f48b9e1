package stats

import (
	"math"
	"testing"
)

// Values of method 3 in Newcombe, Statistics in Medicine 17, 857 (1998), table I.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		got := Wilson(c.k, c.n, 0.95)
		if math.Abs(got.Lo-c.lo) > 5e-5 || math.Abs(got.Hi-c.hi) > 5e-5 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.k, c.n, got.Lo, got.Hi, c.lo, c.hi)
		}
		if other := Wilson(c.n-c.k, c.n, 0.95); math.Abs(other.Lo-(1-got.Hi)) > 1e-12 || math.Abs(other.Hi-(1-got.Lo)) > 1e-12 {
			t.Errorf("%d of %d is not the mirror of %d: %v, %v", c.n-c.k, c.n, c.k, other, got)
		}
	}
	for _, bad := range [][2]int{{-1, 5}, {6, 5}, {0, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Wilson(%d, %d) did not panic", bad[0], bad[1])
				}
			}()
			Wilson(bad[0], bad[1], 0.95)
		}()
	}
}
