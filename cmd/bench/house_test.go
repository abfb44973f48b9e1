package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// importsOf returns what each package of the program imports, tests left out, by
// path below the module.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./cmd/...", "./econ", "./internal/...", "./llama")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		all[strings.TrimPrefix(words[0], thisModule)] = words[1:]
	}
	return all
}

const thisModule = "github.com/phasebench/phasebench/"

// A command that is never given to a shell cannot be changed by what is in it.
func TestFaultNoShell(t *testing.T) {
	promise.Of(t, "names and paths with words for a shell", "the imports of all packages of the program",
		"only internal/runner starts processes, and only this program itself")
	all := importsOf(t)
	for pkg, imported := range all {
		for _, name := range []string{"os/exec", "plugin"} {
			if slices.Contains(imported, name) && pkg != "internal/runner" {
				t.Errorf("%s imports %s", pkg, name)
			}
		}
	}
	if !slices.Contains(all["internal/runner"], "os/exec") {
		t.Errorf("internal/runner imports %q: what starts workers?", all["internal/runner"])
	}
}

// The two packages for others to use stand alone.
func TestPublicPackagesStandAlone(t *testing.T) {
	all := importsOf(t)
	for _, pkg := range []string{"llama", "econ"} {
		for _, name := range all[pkg] {
			if strings.HasPrefix(name, thisModule) {
				t.Errorf("%s imports %s", pkg, name)
			}
		}
		if len(all[pkg]) == 0 {
			t.Errorf("%s imports nothing", pkg)
		}
	}
}
