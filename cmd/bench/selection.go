package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/rundir"
)

// selection is the flags that say what to run; run and plan share them.
type selection struct {
	matrix    string
	narrow    matrix.Narrow
	synthetic bool
}

func (s *selection) flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.matrix, "matrix", "", "matrix file, e.g. configs/matrix.yaml")
	fs.StringSliceVar(&s.narrow.Models, "models", nil, "only these models of the matrix")
	fs.StringSliceVar(&s.narrow.Backends, "backends", nil, "only these backends")
	fs.StringSliceVar(&s.narrow.Scenarios, "scenarios", nil, "only these scenarios")
	fs.IntVar(&s.narrow.Reps, "reps", 0, "repetitions instead of the matrix's")
	fs.IntVar(&s.narrow.Launches, "launches", 0, "launches instead of the matrix's")
	fs.BoolVar(&s.synthetic, "synthetic", false, "use random weights of the published shapes instead of model files")
}

// check refuses numbers that could be taken for "as the matrix says".
func (s *selection) check(fs *pflag.FlagSet) error {
	for name, n := range map[string]int{"reps": s.narrow.Reps, "launches": s.narrow.Launches} {
		if fs.Changed(name) && n < 1 {
			return usagef("--%s %d: need at least 1", name, n)
		}
	}
	return nil
}

// differs returns the name of a flag that asks for another run than the one
// that was set up in dir, or nothing when the same command line was given again.
func (s *selection) differs(fs *pflag.FlagSet, out, dir string, setup rundir.Setup) string {
	data, err := os.ReadFile(s.matrix)
	for _, f := range []struct {
		name string
		same bool
	}{
		{"matrix", err == nil && bytes.Equal(data, setup.Matrix)},
		{"models", slices.Equal(s.narrow.Models, setup.Narrow.Models)},
		{"backends", slices.Equal(s.narrow.Backends, setup.Narrow.Backends)},
		{"scenarios", slices.Equal(s.narrow.Scenarios, setup.Narrow.Scenarios)},
		{"reps", s.narrow.Reps == setup.Narrow.Reps},
		{"launches", s.narrow.Launches == setup.Narrow.Launches},
		{"synthetic", s.synthetic == setup.Synthetic},
		{"out", filepath.Clean(out) == filepath.Clean(dir)},
	} {
		if fs.Changed(f.name) && !f.same {
			return f.name
		}
	}
	return ""
}

func (s *selection) plan() (*matrix.Plan, error) {
	if s.matrix == "" {
		return nil, usagef("need -matrix FILE, e.g. -matrix configs/demo.yaml")
	}
	spec, err := matrix.Load(s.matrix)
	if err != nil {
		return nil, usageError{err}
	}
	plan, err := spec.Plan(s.narrow)
	if err != nil {
		return nil, usageError{err}
	}
	return plan, nil
}
