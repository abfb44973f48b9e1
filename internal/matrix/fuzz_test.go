package matrix

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// Whatever the input, the result is a spec that can be planned or an error
// whose every line begins with a place inside the file.
func FuzzLoad(f *testing.F) {
	promise.Of(f, "any bytes as a matrix", "fuzzing of the matrix reader",
		"a matrix whose plan has cells of unique names that are file names, or an error at file:line:column")
	for _, pattern := range []string{"testdata/bad/*.yaml", "../../configs/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	place := regexp.MustCompile(`^m\.yaml:[1-9][0-9]*:[1-9][0-9]*: .`)
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Parse("m.yaml", data)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(e.Problems) == 0 || !place.MatchString(err.Error()) || spec != nil {
				t.Fatalf("spec %v, error %q", spec, err)
			}
			return
		}
		// Planning is quadratic in names at worst; sizes are not the point here.
		if len(spec.Models)*len(spec.Backends)*len(spec.KVTypes)*len(spec.Scenarios) > 10_000 {
			return
		}
		p, err := spec.Plan(Narrow{})
		if err != nil || p.Rows() < 1 {
			t.Fatalf("plan of a valid spec: %v, error %v", p, err)
		}
		ids := map[string]bool{}
		for _, c := range p.Cells {
			if ids[c.ID] || c.ID != filepath.Base(c.ID) {
				t.Fatalf("cell ID %q is not unique or not a file name", c.ID)
			}
			ids[c.ID] = true
		}
	})
}
