package models

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
)

// Files differ wherever their bytes differ widely, and by their size.
func TestFingerprint(t *testing.T) {
	of := func(data []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		size, fingerprint, err := Fingerprint(path)
		if err != nil || size != int64(len(data)) || len(fingerprint) != 64 {
			t.Fatal(size, fingerprint, err)
		}
		return fingerprint
	}
	for _, size := range []int{100, 40 << 20} {
		data := bytes.Repeat([]byte{7}, size)
		seen := map[string]string{of(data): "itself", of(data[:size-1]): "one byte less"}
		for name, at := range map[string]int{"the first byte": 0, "the last byte": size - 1} {
			other := bytes.Clone(data)
			other[at] = 8
			seen[of(other)] = name
		}
		seen[of(bytes.Repeat([]byte{8}, size))] = "all bytes"
		if len(seen) != 5 {
			t.Errorf("%d bytes: the same fingerprint for several of: %v", size, seen)
		}
		if of(data) != of(bytes.Clone(data)) {
			t.Errorf("%d bytes: two fingerprints of one content", size)
		}
	}
}

// A shape is known without a file; a file is asked only where there is no shape.
func TestWeightBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(file, make([]byte, 1234), 0o644); err != nil {
		t.Fatal(err)
	}
	plan := &matrix.Plan{Spec: &matrix.Spec{Models: []matrix.Model{{Name: "a", Path: "nowhere", Synth: "gpt2"}, {Name: "b", Path: file}}}}
	got, err := WeightBytes(plan)
	if err != nil || got["a"] < 200e6 || got["b"] != 1234 {
		t.Errorf("%v, %v", got, err)
	}
	plan.Spec.Models[1].Path = file + "x"
	if got, err := WeightBytes(plan); err == nil {
		t.Errorf("%v of a file that is not there", got)
	}
}
