package main

import (
	"bytes"
	"strings"
	"testing"
)

const input = `pair,metric,side,position,rep,tokens,ms
1,decode,ours,1,1,128,1000
1,decode,peer,2,1,128,800
1,prefill,ours,1,1,512,500
1,prefill,ours,1,2,512,1500
1,prefill,peer,2,1,512,1000
1,prefill,peer,2,2,512,1000
2,decode,peer,1,1,128,1000
2,decode,ours,2,1,128,800
2,prefill,peer,1,1,512,1000
2,prefill,ours,2,1,512,1000
3,decode,peer,1,1,128,1000
`

func TestRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(nil, strings.NewReader(input), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	// Prefill by hand: 1024 tokens in 2000 ms on both sides, though the mean
	// of our two rates is 682.67. Pair 3 has one side only. Of two pairs a
	// quarter of the resamples holds the first twice and a quarter the second,
	// so the interval of decode is its two ratios; their geometric mean is 1,
	// where the arithmetic one would be 1.025.
	want := `+--------+-------+------------+------------+-----------+
| DECODE | FIRST | OURS TOK/S | PEER TOK/S | OURS/PEER |
+--------+-------+------------+------------+-----------+
|      1 | ours  | 128.00     | 160.00     | 0.8000    |
|      2 | peer  | 160.00     | 128.00     | 1.2500    |
+--------+-------+------------+------------+-----------+
decode: ours/peer 1.0000, 95 % interval 0.8000 to 1.2500 (geometric mean, bootstrap over pairs, n = 2); median 1.0250

+---------+-------+------------+------------+-----------+
| PREFILL | FIRST | OURS TOK/S | PEER TOK/S | OURS/PEER |
+---------+-------+------------+------------+-----------+
|       1 | ours  | 512.00     | 512.00     | 1.0000    |
|       2 | peer  | 512.00     | 512.00     | 1.0000    |
+---------+-------+------------+------------+-----------+
prefill: ours/peer 1.0000, 95 % interval 1.0000 to 1.0000 (geometric mean, bootstrap over pairs, n = 2); median 1.0000

`
	if stdout.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", stdout.String(), want)
	}
}

func TestMarkdown(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-format", "markdown"}, strings.NewReader(input), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	want := `| measured | ratio | 95 % | median | 95 % | pairs |
|:--- | ---:|:--- | ---:|:--- | ---:|
| decode | 1.000 | 0.800 to 1.250 | 1.025 |  | 2 |
| prefill | 1.000 | 1.000 to 1.000 | 1.000 |  | 2 |
`
	if stdout.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", stdout.String(), want)
	}
	for _, args := range [][]string{{"-format", "html"}, {"-frob"}, {"file"}} {
		if code := run(args, strings.NewReader(input), &stdout, &stderr); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	head := strings.Join(header, ",") + "\n"
	for _, tc := range []struct{ name, input, want string }{
		{"empty", "", "line 1: want the header"},
		{"another file", "a,b\n1,2\n", "line 1: want the header"},
		{"no rows", head, "no pair has both sides"},
		{"one side", head + "1,decode,ours,1,1,128,10\n", "no pair has both sides"},
		{"one pair", head + "1,decode,ours,1,1,128,10\n1,decode,peer,2,1,128,10\n", "need equally many, at least 2"},
		{"short line", head + "1,decode\n", "line 2"},
		{"zero time", head + "1,decode,ours,1,1,128,0\n", "line 2: want a pair"},
		{"no number", head + "1,decode,ours,1,1,128,NaN\n", "line 2: want a pair"},
		{"unknown side", head + "1,decode,theirs,1,1,128,5\n", "line 2: want a pair"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(nil, strings.NewReader(tc.input), &stdout, &stderr)
			if code != 2 || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q, want 2 and %q", code, stdout.String(), stderr.String(), tc.want)
			}
		})
	}
}
