package rundir

import (
	"os"
	"path/filepath"
	"testing"
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
