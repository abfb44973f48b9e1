package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml/token"

	"github.com/phasebench/phasebench/internal/plainyaml"
)

// Load reads the matrix file at path, checks it and fills in defaults.
//
// If the content is wrong the error is an *Error with every problem found;
// only a file that is not YAML at all stops at its first. A pricing file or a
// text that is named but not there is such a problem too. A file that cannot be read is
// reported as the operating system puts it.
func Load(path string) (*Spec, error) {
	data, err := plainyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("matrix file %s: %w", path, err)
	}
	return parse(path, data, func(file string) error {
		file = filepath.Join(filepath.Dir(path), file)
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("there is no file %s; the path is relative to the matrix file", file)
		}
		return nil
	})
}

// Parse is Load for content that is in memory already. The path is used in
// messages only, and whether the files it names exist is not checked.
func Parse(path string, data []byte) (*Spec, error) {
	return parse(path, data, func(string) error { return nil })
}

func parse(path string, data []byte, checkFile func(string) error) (*Spec, error) {
	r := reader{checkFile: checkFile, names: map[string]map[string]int{}, referred: map[string]*token.Token{}}
	var spec Spec
	if root := r.root(data); root != nil {
		spec = r.spec(root)
	}
	if len(r.problems) > 0 {
		return nil, newError(path, r.problems)
	}
	hash := sha256.Sum256(data)
	spec.Path, spec.Hash = path, hex.EncodeToString(hash[:])
	return &spec, nil
}
