package main

import (
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	var stderr strings.Builder
	if code := guard(&stderr, func() int { return exitUsage }); code != exitUsage || stderr.Len() > 0 {
		t.Errorf("exit code %d, want %d; said %q", code, exitUsage, stderr.String())
	}
	code := guard(&stderr, func() int { panic("it broke") })
	if code != exitFailed {
		t.Errorf("a panic: exit code %d, want %d", code, exitFailed)
	}
	for _, want := range []string{"panic: it broke", "guard_test.go"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in:\n%s", want, stderr.String())
		}
	}
}
