package stats

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
)

// reference holds values computed in 60-digit arithmetic; its origin field and
// testdata/reference.py say how.
type reference struct {
	Cases []struct {
		A, B    []float64
		MeanA   float64 `json:"mean_a"`
		SDA     float64 `json:"sd_a"`
		CIHalfA float64 `json:"ci_half_a"`
		T, DF   float64
		P, D    float64
	}
	Tails [][3]float64 // df, t, two-sided p
}

func loadReference(t *testing.T) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	if len(ref.Cases) < 200 || len(ref.Tails) < 50 {
		t.Fatalf("reference has %d cases and %d tails", len(ref.Cases), len(ref.Tails))
	}
	return ref
}

func TestAgainstReference(t *testing.T) {
	ref := loadReference(t)
	smallest := 1.0
	check := func(i int, name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("case %d: %s = %.15g, want %.15g (relative error %.2g)", i, name, got, want, math.Abs(got/want-1))
		}
	}
	for i, c := range ref.Cases {
		s, _ := Describe(c.A, 0.95)
		check(i, "mean", s.Mean, c.MeanA)
		check(i, "sd", *s.SD, c.SDA)
		check(i, "ci half", *s.Half, c.CIHalfA)
		ma, err := MomentsOf(c.A)
		if err != nil {
			t.Fatal(err)
		}
		mb, err := MomentsOf(c.B)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Welch(ma, mb)
		if err != nil {
			t.Fatal(err)
		}
		check(i, "t", w.T, c.T)
		check(i, "df", w.DF, c.DF)
		check(i, "p", w.P, c.P)
		check(i, "d", w.CohensD, c.D)
		smallest = min(smallest, c.P)
	}
	if smallest > 1e-60 {
		t.Errorf("smallest p of the reference is %g; it does not reach 1e-60", smallest)
	}
	for i, tail := range ref.Tails {
		check(i, "tail", TwoSidedP(tail[1], tail[0]), tail[2])
	}
}

func TestTR123PairFromMoments(t *testing.T) {
	// TR123 7.2, gpu against gpu-compile: t 73.68, d 17.61 from printed moments.
	w, err := Welch(Moments{35, 0.1814, 0.0031}, Moments{35, 0.0954, 0.0062})
	if err != nil {
		t.Fatal(err)
	}
	// The standard deviations are printed to two digits, which is 1.6 % of the smaller.
	if math.Abs(w.T/73.68-1) > 0.02 || math.Abs(w.CohensD/17.61-1) > 0.02 {
		t.Errorf("t %.2f, d %.2f; printed 73.68 and 17.61", w.T, w.CohensD)
	}
	if back := w.CohensD * math.Sqrt(35.0/2); math.Abs(back/w.T-1) > 1e-12 {
		t.Errorf("for equal n, d*sqrt(n/2) = %v must be t = %v", back, w.T)
	}
}

func TestDescribeSmall(t *testing.T) {
	if _, ok := Describe(nil, 0.95); ok {
		t.Error("an empty sample was described")
	}
	s, ok := Describe([]float64{3}, 0.95)
	if !ok || s.SD != nil || s.CI != nil || s.Half != nil || s.CVPct != nil || s.Mean != 3 || len(s.Warnings) != 1 {
		t.Errorf("one value: %+v", s)
	}
	if s, _ := Describe([]float64{1, 2, 3}, 0.95); len(s.Warnings) != 1 {
		t.Errorf("three values: warnings %q", s.Warnings)
	}
	if s, _ := Describe([]float64{1, 2, 3, 4, 5}, 0.95); len(s.Warnings) != 0 {
		t.Errorf("five values: warnings %q", s.Warnings)
	}
	// 1..5: mean 3, sd sqrt(2.5), half t(0.975,4)=2.7764451051977987 * sd/sqrt(5).
	s, _ = Describe([]float64{5, 3, 1, 4, 2}, 0.95)
	if want := 2.7764451051977987 * math.Sqrt(2.5/5); math.Abs(*s.Half-want) > 1e-12 || s.Median != 3 || s.P05 != 1.2 || s.P95 != 4.8 {
		t.Errorf("1..5: %+v (half %v, want %v)", s, *s.Half, want)
	}
}

func TestNaNPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("NaN accepted")
		}
	}()
	Describe([]float64{1, math.NaN()}, 0.95)
}

func TestPercentiles(t *testing.T) {
	// Values from NumPy's default (linear) method, which this definition is.
	got := Percentiles([]float64{15, 20, 35, 40, 50}, 0, 5, 40, 50, 95, 100)
	if want := []float64{15, 16, 29, 35, 48, 50}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOutliers(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want []int
	}{
		{[]float64{10, 11, 9, 10.5, 9.5, 30}, []int{5}},
		{[]float64{10, 11, 9, 10.5, 9.5, 10}, nil},
		{[]float64{1, 1, 1, 1, 9}, nil},    // no spread to measure by
		{[]float64{10, 11, 10.5, 90}, nil}, // too few to judge by
	} {
		if got := Outliers(c.x); !slices.Equal(got, c.want) {
			t.Errorf("%v: flagged %v, want %v", c.x, got, c.want)
		}
	}
}

func TestWelchRefuses(t *testing.T) {
	if _, err := Welch(Moments{1, 1, 0}, Moments{5, 1, 1}); err == nil {
		t.Error("a sample of one accepted")
	}
	if _, err := Welch(Moments{3, 1, 0}, Moments{3, 2, 0}); !errors.Is(err, ErrNoSpread) {
		t.Errorf("two constants: %v", err)
	}
}

func TestHolm(t *testing.T) {
	// Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04, then made monotone.
	got := Holm([]float64{0.03, 0.01, 0.04, 0.02})
	for i, want := range []float64{0.06, 0.04, 0.06, 0.06} {
		if math.Abs(got[i]-want) > 1e-15 {
			t.Errorf("got %v", got)
			break
		}
	}
	if got := Holm([]float64{0.5, 0.9}); got[0] != 1 || got[1] != 1 {
		t.Errorf("not capped at 1: %v", got)
	}
}

func TestRatios(t *testing.T) {
	a, b := []float64{20, 22, 18, 21, 19}, []float64{10, 11, 9, 10.5, 9.5}
	r, err := StratifiedRatio([][]float64{a}, [][]float64{b}, 0.95)
	if err != nil || math.Abs(r.Value-2) > 1e-12 || r.CI.Lo >= 2 || r.CI.Hi <= 2 || math.Abs(r.CI.Lo*r.CI.Hi-4) > 1e-9 {
		t.Errorf("independent: %+v, %v", r, err)
	}
	// Every pair has ratio 2, so no resample can differ.
	value, ci, err := PairedRatio(a, b, 0.95, 500, 1)
	if err != nil || math.Abs(value-2) > 1e-12 || math.Abs(ci.Lo-2) > 1e-12 || math.Abs(ci.Hi-2) > 1e-12 {
		t.Errorf("paired: %v %+v, %v", value, ci, err)
	}
	noisy := []float64{10.5, 10.6, 9.2, 10.1, 9.9}
	value, ci, err = PairedRatio(a, noisy, 0.95, 2000, 1)
	_, again, _ := PairedRatio(a, noisy, 0.95, 2000, 1)
	if err != nil || !(ci.Lo < value && value < ci.Hi) || ci != again {
		t.Errorf("paired, noisy: %v %+v %+v, %v", value, ci, again, err)
	}
	if _, err := StratifiedRatio([][]float64{{1, 0}}, [][]float64{b}, 0.95); err == nil {
		t.Error("a zero accepted in a ratio")
	}
	if _, _, err := PairedRatio(a, b[:3], 0.95, 10, 1); err == nil {
		t.Error("unpaired values accepted")
	}
}

func TestMedianCI(t *testing.T) {
	// Ranks of the 95 % interval as tabulated by Conover, Practical
	// Nonparametric Statistics, 3.2, for sorted values 1 to n.
	for n, want := range map[int]*Range{1: nil, 5: nil, 6: {1, 6}, 7: {1, 7}, 8: {1, 8}, 9: {2, 8}, 10: {2, 9}, 15: {4, 12}, 20: {6, 15}, 25: {8, 18}} {
		var x []float64
		for i := range n {
			x = append(x, float64(n-i))
		}
		s, _ := Describe(x, 0.95)
		if (s.MedianCI == nil) != (want == nil) || want != nil && *s.MedianCI != *want {
			t.Errorf("n=%d: %v, want %v", n, s.MedianCI, want)
		}
	}
}

func TestRatioOfSums(t *testing.T) {
	// Deviations from the ratio 0.5 are 0.5, -1 and 0.5: √(3/2·1.5)/12 = 0.125.
	ratio, half, ok := RatioOfSums([]float64{1.5, 1, 3.5}, []float64{2, 4, 6}, 0.95)
	if want := 4.302652729749464 * 0.125; !ok || ratio != 0.5 || math.Abs(half-want) > 1e-12 {
		t.Errorf("%v ± %v, %v; want 0.5 ± %v", ratio, half, ok, want)
	}
	for _, bad := range [][2][]float64{{{1}, {1}}, {{1, 2}, {1}}, {{1, 2}, {1, -1}}, {nil, nil}} {
		if _, _, ok := RatioOfSums(bad[0], bad[1], 0.95); ok {
			t.Errorf("%v gives a ratio", bad)
		}
	}
}
