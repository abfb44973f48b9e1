package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestSummarise(t *testing.T) {
	near := func(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }
	check := func(name string, ratios []float64, want summary, tolerance float64) {
		t.Helper()
		pairs := make([]pair, len(ratios))
		for i, r := range ratios {
			pairs[i] = pair{Ours: 100 * r, Peer: 100}
		}
		got := summarise(pairs)
		if !near(got.Ratio, want.Ratio, 1e-12) || !near(got.Lo, want.Lo, tolerance) || !near(got.Hi, want.Hi, tolerance) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if again := summarise(pairs); again != got {
			t.Errorf("%s: %+v the first time, %+v the second", name, got, again)
		}
	}
	check("one pair", []float64{0.9}, summary{0.9, 0.9, 0.9}, 1e-12)
	check("no spread", []float64{0.97, 0.97, 0.97}, summary{0.97, 0.97, 0.97}, 1e-12)
	// The arithmetic mean of these would be 1.025. Of two pairs a quarter of
	// the resamples holds the lower one twice, a quarter the upper one.
	check("two pairs", []float64{0.8, 1.25}, summary{1, 0.8, 1.25}, 1e-12)
	// Ten pairs of each of two ratios: the resampled mean of the logarithms is
	// (2B/20 - 1) ln 1.1 with B binomial(20, 1/2), whose 2.5 and 97.5
	// percentiles are 6 and 14.
	var many []float64
	for range 10 {
		many = append(many, 1.1, 1/1.1)
	}
	check("twenty pairs", many, summary{1, math.Pow(1.1, -0.4), math.Pow(1.1, 0.4)}, 1e-9)
}

const input = `pair,metric,side,position,rep,tokens,ms
1,decode,ours,1,1,128,1000
1,decode,peer,2,1,128,800
1,prefill,ours,1,1,512,500
1,prefill,ours,1,2,512,1500
1,prefill,peer,2,1,512,1000
1,prefill,peer,2,2,512,1000
2,decode,peer,1,1,128,1000
2,decode,ours,2,1,128,800
3,decode,peer,1,1,128,1000
`

func TestRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(strings.NewReader(input), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	// Prefill by hand: 1024 tokens in 2000 ms on both sides, though the mean
	// of our two rates is 682.67. Pair 3 has one side only.
	want := `+--------+-------+------------+------------+-----------+
| DECODE | FIRST | OURS TOK/S | PEER TOK/S | OURS/PEER |
+--------+-------+------------+------------+-----------+
|      1 | ours  | 128.00     | 160.00     | 0.8000    |
|      2 | peer  | 160.00     | 128.00     | 1.2500    |
+--------+-------+------------+------------+-----------+
decode: ours/peer 1.0000, 95 % interval 0.8000 to 1.2500 (geometric mean, bootstrap over pairs, n = 2)

+---------+-------+------------+------------+-----------+
| PREFILL | FIRST | OURS TOK/S | PEER TOK/S | OURS/PEER |
+---------+-------+------------+------------+-----------+
|       1 | ours  | 512.00     | 512.00     | 1.0000    |
+---------+-------+------------+------------+-----------+
prefill: ours/peer 1.0000, 95 % interval 1.0000 to 1.0000 (geometric mean, bootstrap over pairs, n = 1)

`
	if stdout.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", stdout.String(), want)
	}
}

func TestRunRefuses(t *testing.T) {
	head := strings.Join(header, ",") + "\n"
	for _, tc := range []struct{ name, input, want string }{
		{"empty", "", "line 1: want the header"},
		{"another file", "a,b\n1,2\n", "line 1: want the header"},
		{"no rows", head, "no pair has both sides"},
		{"one side", head + "1,decode,ours,1,1,128,10\n", "no pair has both sides"},
		{"short line", head + "1,decode\n", "line 2"},
		{"zero time", head + "1,decode,ours,1,1,128,0\n", "line 2: want a pair"},
		{"no number", head + "1,decode,ours,1,1,128,NaN\n", "line 2: want a pair"},
		{"unknown side", head + "1,decode,theirs,1,1,128,5\n", "line 2: want a pair"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.NewReader(tc.input), &stdout, &stderr)
			if code != 2 || stdout.Len() != 0 || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q, want 2 and %q", code, stdout.String(), stderr.String(), tc.want)
			}
		})
	}
}
