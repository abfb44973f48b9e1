package models

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
)

// A fingerprint is of fingerprintBlocks blocks of fingerprintBytes, spread evenly
// over the file from its first byte to its last: 16 MiB, which a disk reads in a
// moment, while the hash of a file of many GB would take longer than its cells.
// Weights that were trained on differ nearly everywhere.
const (
	fingerprintBlocks = 256
	fingerprintBytes  = 64 << 10
)

// Fingerprint tells files of models apart: the SHA-256, in hex, of the size and
// of parts of the file at path. It is no proof against someone who means to
// deceive.
func Fingerprint(path string) (bytes int64, fingerprint string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, "", err
	}
	size := info.Size()
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", size)
	if size <= fingerprintBlocks*fingerprintBytes {
		_, err = io.Copy(h, f)
		return size, hex.EncodeToString(h.Sum(nil)), err
	}
	for i := range int64(fingerprintBlocks) {
		at := (size - fingerprintBytes) / (fingerprintBlocks - 1) * i
		if i == fingerprintBlocks-1 {
			at = size - fingerprintBytes
		}
		if _, err := io.Copy(h, io.NewSectionReader(f, at, fingerprintBytes)); err != nil {
			return size, "", err
		}
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// Files describes the model files of the cells that are needed, each once. One
// that cannot be read is left out: whoever opens it next says so.
func Files(plan *matrix.Plan, needed func(matrix.Cell) bool) []environ.ModelFile {
	var out []environ.ModelFile
	for _, c := range plan.Cells {
		if !needed(c) || slices.ContainsFunc(out, func(f environ.ModelFile) bool { return f.Name == c.Model.Name }) {
			continue
		}
		if bytes, fingerprint, err := Fingerprint(c.Model.Path); err == nil {
			out = append(out, environ.ModelFile{Name: c.Model.Name, Bytes: bytes, Fingerprint: fingerprint})
		}
	}
	return out
}
