package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/rundir"
)

// selection is the flags that say what to run; run and plan share them.
type selection struct {
	matrix    string
	narrow    matrix.Narrow
	shard     string
	pool      string
	synthetic bool
}

func (s *selection) flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.matrix, "matrix", "", "matrix file, e.g. configs/matrix.yaml")
	fs.StringSliceVar(&s.narrow.Models, "models", nil, "only these models of the matrix")
	fs.StringSliceVar(&s.narrow.Backends, "backends", nil, "only these backends")
	fs.StringSliceVar(&s.narrow.Scenarios, "scenarios", nil, "only these scenarios")
	fs.IntVar(&s.narrow.Reps, "reps", 0, "repetitions instead of the matrix's")
	fs.IntVar(&s.narrow.Launches, "launches", 0, "launches instead of the matrix's")
	fs.StringVar(&s.shard, "shard", "", "only part i of n, e.g. 2/4: pairs of model and backend, balanced by estimated time; "+program+" merge joins the parts")
	fs.StringVar(&s.pool, "pool", "", "name of the kind of machines this run is for, e.g. h100: merge keeps what different pools measured apart")
	fs.BoolVar(&s.synthetic, "synthetic", false, "use random weights of the published shapes instead of model files")
}

// check refuses numbers that could be taken for "as the matrix says".
func (s *selection) check(fs *pflag.FlagSet) error {
	for name, n := range map[string]int{"reps": s.narrow.Reps, "launches": s.narrow.Launches} {
		if fs.Changed(name) && n < 1 {
			return usagef("--%s %d: need at least 1", name, n)
		}
	}
	if fs.Changed("shard") {
		if _, err := matrix.ParseShard(s.shard); err != nil {
			return usagef("--shard %v", err)
		}
	}
	if fs.Changed("pool") && !poolName.MatchString(s.pool) {
		return usagef("--pool %q: need letters, digits, dots, dashes and underlines", s.pool)
	}
	return nil
}

// poolName is what tables, folders and job scripts can hold as it is.
var poolName = regexp.MustCompile(`^[\w.-]{1,64}$`)

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
		{"shard", s.shard == shardOf(setup)},
		{"pool", s.pool == setup.Pool},
		{"synthetic", s.synthetic == setup.Synthetic},
		{"out", filepath.Clean(out) == filepath.Clean(dir)},
	} {
		if fs.Changed(f.name) && !f.same {
			return f.name
		}
	}
	return ""
}

// runID makes that of a run its own among shards that were started in the same
// second.
func (s *selection) runID(started string) string {
	for _, part := range []string{s.pool, strings.Replace(s.shard, "/", "of", 1)} {
		if part != "" {
			started += "-" + part
		}
	}
	return started
}

func shardOf(setup rundir.Setup) string {
	if setup.Shard == nil {
		return ""
	}
	return setup.Shard.String()
}

// plan returns what to run, and the shard that it is; nil for the whole.
func (s *selection) plan() (*matrix.Plan, *matrix.Shard, error) {
	if s.matrix == "" {
		return nil, nil, usagef("need -matrix FILE, e.g. -matrix configs/demo.yaml")
	}
	spec, err := matrix.Load(s.matrix)
	if err != nil {
		return nil, nil, usageError{err}
	}
	plan, err := spec.Plan(s.narrow)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if s.shard == "" {
		return plan, nil, nil
	}
	shard, err := matrix.ParseShard(s.shard)
	if err == nil {
		err = divide(plan, &shard)
	}
	if err != nil {
		return nil, nil, usagef("--shard %s: %w", s.shard, err)
	}
	return plan.Only(shard.Pairs), &shard, nil
}

// divide finds out which pairs of a plan a shard has.
func divide(plan *matrix.Plan, shard *matrix.Shard) error {
	bytes, err := models.WeightBytes(plan)
	if err != nil {
		return err
	}
	shards, err := plan.Divide(shard.Of, plan.NominalSeconds(bytes))
	if err == nil {
		shard.Pairs = shards[shard.Index-1]
	}
	return err
}
