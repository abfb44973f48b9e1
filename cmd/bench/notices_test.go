package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	linked, all := modules(t, "./cmd/bench"), modules(t, "-test", "./...")
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

// licenceOf names the licence in a module's folder by phrases that only it has.
func licenceOf(t *testing.T, m module) string {
	t.Helper()
	dir := m.Dir
	if dir == "" { // vendored, as in an offline bundle
		dir = filepath.Join(root(t), "vendor", m.Path)
	}
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %d licence files (%v)", m.Path, len(files), err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(data)), " ")
	for name, phrase := range map[string]string{
		"MIT":          "Permission is hereby granted, free of charge, to any person obtaining a copy",
		"Apache-2.0":   "Apache License Version 2.0, January 2004",
		"BSD-3-Clause": "may be used to endorse or promote products derived from this software without specific prior written permission",
	} {
		if strings.Contains(text, phrase) {
			return name
		}
	}
	t.Fatalf("%s: unknown licence in %s", m.Path, files[0])
	return ""
}
