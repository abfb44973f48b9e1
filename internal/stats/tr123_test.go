package stats

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// lines reads a table of Technical Report 123 as printed, without its header.
func lines(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "tr123", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

// printed returns the value of a printed number and half a unit of its last
// digit.
func printed(t *testing.T, s string) (v, half float64) {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	_, decimals, _ := strings.Cut(s, ".")
	return v, 0.5 * math.Pow10(-len(decimals))
}

// TestTR123Section7 recomputes every pair of section 7 from the groups it
// prints. Their means and deviations are rounded, so each cell must lie where
// the corners of that rounding put it.
func TestTR123Section7(t *testing.T) {
	groups := map[string][]string{}
	for _, l := range lines(t, "stats_groups.csv") {
		groups[l[0]+"/"+l[1]] = l
	}
	cells := 0
	for _, l := range lines(t, "stats_pairs.csv") {
		a, b := groups[l[0]+"/"+l[1]], groups[l[0]+"/"+l[2]]
		lo, hi := [4]float64{}, [4]float64{}
		for i := range lo {
			lo[i], hi[i] = math.Inf(1), math.Inf(-1)
		}
		for corner := range 16 {
			sign := func(bit int) float64 { return float64(corner>>bit&1)*2 - 1 }
			moments := func(g []string, bit int) Moments {
				mean, dm := printed(t, g[2])
				sd, ds := printed(t, g[3])
				n, err := strconv.Atoi(g[4])
				if err != nil {
					t.Fatal(err)
				}
				return Moments{N: n, Mean: mean + sign(bit)*dm, SD: sd + sign(bit+1)*ds}
			}
			ma, mb := moments(a, 0), moments(b, 2)
			w, err := Welch(ma, mb)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range []float64{w.Diff, 100 * w.Diff / mb.Mean, w.T, w.CohensD} {
				lo[i], hi[i] = min(lo[i], v), max(hi[i], v)
			}
			if w.P >= 0.001 {
				t.Errorf("%v: p = %v, the report says < 0.001", l, w.P)
			}
		}
		for i, cell := range l[3:7] {
			v, half := printed(t, cell)
			if v < lo[i]-half || v > hi[i]+half {
				t.Errorf("%s %s/%s column %d: printed %s, can be %v to %v", l[0], l[1], l[2], i, cell, lo[i], hi[i])
			}
			cells++
		}
	}
	if cells != 40 {
		t.Errorf("%d cells compared, want 40", cells)
	}
}
