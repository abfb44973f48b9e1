package report

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/plots"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/rundir"
)

// folders returns those that say of what machines the rows of dir come: itself, or
// those of the parts that were merged into it.
func folders(dir string, parts []rundir.Part) []string {
	if len(parts) == 0 {
		return []string{dir}
	}
	var out []string
	for _, p := range parts {
		out = append(out, filepath.Join(dir, rundir.PartsDir, p.Name))
	}
	return out
}

// environments reads the environment of each run that has one.
func environments(dirs []string) (out []environ.Environment, problems []error) {
	for _, dir := range dirs {
		env, err := environ.Read(dir)
		switch {
		case err == nil:
			out = append(out, env)
		case !errors.Is(err, fs.ErrNotExist):
			problems = append(problems, err)
		}
	}
	return out, problems
}

// powerOf reads the samples of the first run that has any: each is on the clock of
// its machine, so that those of two cannot be in one picture.
func powerOf(dirs []string, parts []rundir.Part) (samples []plots.PowerSample, runID string, problems []error) {
	for i, dir := range dirs {
		samples, err := plots.ReadPower(filepath.Join(dir, power.File))
		if err != nil {
			problems = append(problems, err)
		}
		if len(samples) == 0 {
			continue
		}
		if len(parts) > 0 {
			runID = parts[i].RunID
		}
		return samples, runID, problems
	}
	return nil, "", problems
}

// powerReads says when power was read.
func powerReads(from Origin) analyze.PowerReads {
	reads := analyze.PowerReads{RunID: from.PowerRunID, AtNs: map[string][]int64{}}
	for _, s := range from.Power {
		kind := "cpu"
		if s.GPU != "" {
			kind = "gpu"
		}
		reads.AtNs[kind] = append(reads.AtNs[kind], s.TimeNs)
	}
	return reads
}

// deviceBytes returns the memory of the devices by the name rows give them.
func deviceBytes(hosts []environ.Environment) map[string]int64 {
	out := map[string]int64{}
	for _, e := range hosts {
		for _, d := range e.Engine.Devices {
			out[d.Description] = d.TotalBytes
		}
	}
	return out
}
