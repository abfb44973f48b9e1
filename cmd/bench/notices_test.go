package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// module is what `go list` says about a module.
type module struct{ Path, Version, Dir string }

// modules returns, by path, the modules of the packages that args name, without
// our own.
func modules(t *testing.T, args ...string) map[string]module {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, args...)...)
	cmd.Dir, cmd.Stderr = root(t), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]module{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct {
				module
				Main bool
			}
		}
		if err := dec.Decode(&p); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if m := p.Module; m != nil && !m.Main {
			found[m.Path] = m.module
		}
	}
}

// notices returns the modules in the table of THIRD_PARTY.md below a heading:
// version and licence by path.
func notices(t *testing.T, heading string) map[string][2]string {
	t.Helper()
	_, section, ok := strings.Cut(document(t, "THIRD_PARTY.md"), "## "+heading+"\n")
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	out := map[string][2]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| (v.+?) \\| (.+?) \\| .+ \\|$").FindAllStringSubmatch(section, -1) {
		out[m[1]] = [2]string{m[2], m[3]}
	}
	return out
}

// Every module that is linked, or needed by tests, has its notice with the
// licence that lies in it.
func TestNotices(t *testing.T) {
	promise.Of(t, "a dependency that nobody chose", "the modules that are linked, and those of the tests, against THIRD_PARTY.md",
		"each is there with its pinned version, its licence and why it is needed")
	linked, all := modules(t, "./cmd/bench"), modules(t, "-test", "./...", "tool")
	testOnly := maps.Clone(all)
	maps.DeleteFunc(testOnly, func(path string, _ module) bool { _, ok := linked[path]; return ok })
	for heading, want := range map[string]map[string]module{
		"Go modules linked into `bench`": linked,
		"Go modules used by tests only":  testOnly,
	} {
		got := notices(t, heading)
		for path, m := range want {
			if n, ok := got[path]; !ok {
				t.Errorf("THIRD_PARTY.md, %s: %s is missing", heading, path)
			} else if licence := licenceOf(t, m); n != [2]string{m.Version, licence} {
				t.Errorf("THIRD_PARTY.md, %s: %s is %v, want %s %s", heading, path, n, m.Version, licence)
			}
		}
		for path := range got {
			if _, ok := want[path]; !ok {
				t.Errorf("THIRD_PARTY.md, %s: %s does not belong there", heading, path)
			}
		}
	}
}

// licenceOf names the licences in a module's folder by phrases that only each
// has.
func licenceOf(t *testing.T, m module) string {
	t.Helper()
	dir := m.Dir
	if dir == "" { // vendored, as in an offline bundle
		dir = filepath.Join(root(t), "vendor", m.Path)
	}
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no licence file (%v)", m.Path, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[licenceIn(t, file, strings.Join(strings.Fields(string(data)), " "))] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), " and ")
}

func licenceIn(t *testing.T, file, text string) string {
	t.Helper()
	for name, phrase := range map[string]string{
		"MIT":          "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated",
		"Apache-2.0":   "Apache License Version 2.0, January 2004",
		"BSD-3-Clause": "may be used to endorse or promote products derived from this software without specific prior written permission",
		"BSD-2-Clause": "other materials provided with the distribution. THIS SOFTWARE",
		"OFL-1.1":      "SIL OPEN FONT LICENSE Version 1.1",
		"CC-BY-4.0":    "Creative Commons Attribution 4.0 International",
		"FTL":          "your choice of exactly one of the following two licenses: * The FreeType License",
	} {
		if strings.Contains(text, phrase) {
			return name
		}
	}
	t.Fatalf("unknown licence in %s", file)
	return ""
}
