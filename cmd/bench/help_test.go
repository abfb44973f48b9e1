package main

import (
	"regexp"
	"strings"
	"testing"
)

// Each command shows examples, and each flag in them is one of its own.
func TestExamples(t *testing.T) {
	for _, c := range commands() {
		if c.about == "" {
			continue
		}
		help := bench(t, t.TempDir(), []string{"help", c.name}, 0)
		_, examples, ok := strings.Cut(help, "\nExamples:\n")
		examples, flags, hasFlags := strings.Cut(examples, "\nFlags:\n")
		if c.name == "devices" { // nothing to tell beside its only flag
			continue
		}
		if !ok || !hasFlags {
			t.Errorf("help %s has no examples", c.name)
			continue
		}
		for line := range strings.Lines(examples) {
			if !strings.Contains(line, "bench ") {
				continue
			}
			for _, m := range regexp.MustCompile(` --?([a-z][a-z-]*)`).FindAllStringSubmatch(line, -1) {
				if !regexp.MustCompile(`(?m)(^| |, )--?` + m[1] + `\b`).MatchString(flags) {
					t.Errorf("help %s: %q: no flag %s", c.name, strings.TrimSpace(line), m[1])
				}
			}
		}
	}
}
