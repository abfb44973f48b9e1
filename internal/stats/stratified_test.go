package stats

import (
	"errors"
	"math"
	"testing"
)

func TestStratifiedRatio(t *testing.T) {
	// Two kinds of work that differ a hundredfold; a takes twice as long in
	// both. Pooling them would drown the factor in the difference of kinds.
	a := [][]float64{{2.0, 2.1, 1.9}, {200, 205, 195}}
	b := [][]float64{{1.0, 1.05, 0.95}, {100, 102, 98}}
	got, err := StratifiedRatio(a, b, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Value-2) > 0.01 || got.CI.Lo < 1.85 || got.CI.Hi > 2.15 || got.Test.P > 1e-4 {
		t.Errorf("ratio %+v", got)
	}
	// By hand from the two single ratios: mean of the logs, variances added.
	var diff, v, w float64
	for i := range a {
		one, err := StratifiedRatio([][]float64{a[i]}, [][]float64{b[i]}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		vi := math.Pow(one.Test.Diff/one.Test.T, 2)
		diff += one.Test.Diff / 2
		v += vi
		w += vi * vi / one.Test.DF
	}
	if tt := diff / (math.Sqrt(v) / 2); math.Abs(got.Test.T/tt-1) > 1e-12 || math.Abs(got.Test.DF/(v*v/w)-1) > 1e-12 {
		t.Errorf("t %v df %v, want %v %v", got.Test.T, got.Test.DF, tt, v*v/w)
	}
	back, err := StratifiedRatio(b, a, 0.95)
	if err != nil || math.Abs(back.Value*got.Value-1) > 1e-12 || math.Abs(back.CI.Lo*got.CI.Hi-1) > 1e-12 {
		t.Errorf("swapped: %+v, %v", back, err)
	}
}

func TestStratifiedRatioRefuses(t *testing.T) {
	if _, err := StratifiedRatio([][]float64{{1, 1}}, [][]float64{{2, 2}}, 0.95); !errors.Is(err, ErrNoSpread) {
		t.Errorf("constant samples: %v", err)
	}
	for name, c := range map[string][2][][]float64{
		"no kinds":      {{}, {}},
		"unequal kinds": {{{1, 2}}, {{1, 2}, {1, 2}}},
		"one value":     {{{1}}, {{1, 2}}},
		"a zero":        {{{0, 1}}, {{1, 2}}},
	} {
		if _, err := StratifiedRatio(c[0], c[1], 0.95); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
