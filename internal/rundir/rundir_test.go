package rundir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// A folder with a setup is taken as complete, so there is none where the matrix
// could not be written.
func TestWriteSetupLast(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, matrixFile), 0o755); err != nil {
		t.Fatal(err)
	}
	s := Setup{RunID: "r", Matrix: []byte("name: x\n")}
	if err := s.Write(dir); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(dir, SetupFile)); !os.IsNotExist(err) {
		t.Errorf("%s: %v", SetupFile, err)
	}
	if err := os.Remove(filepath.Join(dir, matrixFile)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(dir); err != nil || got.RunID != "r" || string(got.Matrix) != string(s.Matrix) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A run starts in no folder with files of others, and again where a start was killed.
func TestVacant(t *testing.T) {
	for _, c := range []struct {
		files  []string
		vacant bool
	}{
		{nil, true},
		{[]string{record.LockFile}, true},
		{[]string{record.LockFile, matrixFile, pricingFile}, true},
		{[]string{record.LockFile, matrixFile, SetupFile}, true},
		{[]string{matrixFile}, false},
		{[]string{record.LockFile, matrixFile, "report.md"}, false},
		{[]string{"notes.txt"}, false},
		{[]string{record.File, "report.md"}, true}, // a run, which record.Create refuses
	} {
		dir := t.TempDir()
		for _, name := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := Vacant(dir); (err == nil) != c.vacant {
			t.Errorf("%v: %v", c.files, err)
		}
	}
	if err := Vacant(filepath.Join(t.TempDir(), "new")); err != nil {
		t.Error(err)
	}
}
