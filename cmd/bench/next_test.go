package main

import (
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/analyze"
)

func TestNext(t *testing.T) {
	measured := []*analyze.Group{{ByLaunch: true}}
	own := []*analyze.Ranking{{Own: true}}
	planned := 9
	cut := analyze.Accounting{Planned: &planned, Missing: 2}
	for want, a := range map[string]*analyze.Analysis{
		"doctor, since nothing was measured": {},
		"--resume run, since 2 of 9 rows":    {Groups: measured, Rankings: own, Accounting: cut, RunIDs: []string{"a"}},
		"compare run ANOTHER":                {Groups: measured, Rankings: own, Accounting: cut, RunIDs: []string{"a", "b"}},
		"analyze run --rate USD_PER_HOUR":    {Groups: measured, Rankings: []*analyze.Ranking{{}}},
		"with --launches 3":                  {Groups: append(measured, &analyze.Group{}), Rankings: own},
		"compare run ANOTHER_RUN":            {Groups: measured, Rankings: own},
	} {
		if got := next("run", a); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDoubts(t *testing.T) {
	if got := doubts(&analyze.Analysis{}); got != "" {
		t.Errorf("without a warning: %q", got)
	}
	a := &analyze.Analysis{Warnings: []analyze.Warning{{Text: "one", Where: []string{"a"}}, {Text: "wide", Where: []string{"a", "b"}}}}
	if got := doubts(a); !strings.HasPrefix(got, "warnings: 2, ") || !strings.HasSuffix(got, ": wide") {
		t.Errorf("got %q", got)
	}
}
