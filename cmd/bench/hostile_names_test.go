package main

import (
	"encoding/csv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// Names that an imported file may give its model: a matrix refuses them.
var hostileNames = []string{"../../x", "/etc/x", "..", "a/../../../b", "$(touch pwned)", "`touch pwned`", "; touch pwned;", "| touch pwned", "-rf", "<img src=x onerror=alert(1)>", "[a](//b)", "a|b", "a,b", strings.Repeat("a", 1000)}

// What a file calls its model must not decide where anything is written.
func TestFaultImportedNames(t *testing.T) {
	promise.Of(t, "an imported model called ../../x or $(touch pwned)", "a CSV with such names, imported and analysed",
		"every file is inside the results folder, with mode 0644 in folders of 0755; no command runs")
	promise.Tries(t, len(hostileNames))
	dir := filepath.Join(t.TempDir(), "a", "b", "c") // room for ../..
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "in.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	w.Write([]string{"model", "backend", "scenario", "prompt_tokens", "gen_tokens", "prefill_ms", "decode_ms", "rep"})
	for _, name := range hostileNames {
		for _, rep := range []string{"0", "1", "2"} {
			w.Write([]string{name, name, name, "16", "8", "1.5", "2.5", rep})
		}
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
	before := tree(t, filepath.Dir(filepath.Dir(filepath.Dir(dir))))
	bench(t, dir, []string{"import", "in.csv", "-o", "out"}, 0)
	p := start(t, dir, "analyze", "out", "--rate", "1")
	p.Wait()
	if strings.ContainsRune(p.printed(), '\x1b') {
		t.Errorf("the terminal gets escape sequences: %q", p.printed())
	}
	if code := p.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d\n%s", code, p.printed())
	}
	out := filepath.Join(dir, "out")
	for path := range tree(t, filepath.Dir(filepath.Dir(filepath.Dir(dir)))) {
		if _, known := before[path]; !known && path != out && !strings.HasPrefix(path, out+"/") {
			t.Errorf("%s was written", path)
		}
	}
	if _, err := os.Stat("/etc/x"); err == nil {
		t.Error("/etc/x was written")
	}
	checkModes(t, out)
}

// tree returns the mode of all that is below dir.
func tree(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		all[path] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkModes checks that a results folder is for everyone to read and for its
// owner to write.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	all := tree(t, dir)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		want := fs.FileMode(0o644)
		if all[path].IsDir() {
			want = fs.ModeDir | 0o755
		}
		if all[path] != want {
			t.Errorf("%s has mode %v, want %v", path, all[path], want)
		}
	}
	if len(all) < 5 {
		t.Errorf("%d files in %s", len(all), dir)
	}
}

// Where a run writes.
func TestFaultFilesOfARun(t *testing.T) {
	promise.Of(t, "files where they do not belong", "a run under umask 0, with everything below its working folder and the folder for temporary files watched",
		"files are inside the results folder only, with mode 0644 in folders of 0755")
	dir := workspace(t)
	uninterrupted(t) // which makes the models
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	before := tree(t, dir)
	defer syscall.Umask(syscall.Umask(0)) // which the program inherits
	bench(t, dir, []string{"-matrix", "steady.yaml", "--models", "tiny-gpt2", "--scenarios", "short", "-o", "out", "-q"}, 0)
	out := filepath.Join(dir, "out")
	for path := range tree(t, dir) {
		if _, known := before[path]; !known && path != out && !strings.HasPrefix(path, out+"/") {
			t.Errorf("%s was written", path)
		}
	}
	checkModes(t, out)
}
