// Package merge joins the runs of several machines into one study. It takes no
// row for another: runs of other work are refused, what two runs measured is
// taken once, and what none measured is named.
package merge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/rundir"
)

// ErrNoRun says that a folder is not that of a run which can be merged.
var ErrNoRun = errors.New("cannot be merged")

// part is a run that is merged.
type part struct {
	dir   string // as it was given
	file  fs.FileInfo
	name  string // in the merged run
	setup rundir.Setup
	envs  []environ.Environment // of all its machines; none when not recorded
	rows  int                   // taken from it
}

// readParts reads what the runs say of themselves.
func readParts(dirs []string) ([]*part, error) {
	var out []*part
	names := map[string]bool{}
	for _, dir := range dirs {
		dir = filepath.Clean(dir)
		p := &part{dir: dir, name: freeName(names, filepath.Base(dir))}
		var err error
		if p.setup, err = rundir.Read(dir); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoRun, err)
		}
		if p.file, err = os.Stat(dir); err != nil {
			return nil, err
		}
		if len(p.setup.Parts) > 0 {
			return nil, fmt.Errorf("%w: %s was merged from %d runs; name those instead", ErrNoRun, dir, len(p.setup.Parts))
		}
		env, err := environ.Read(dir)
		switch {
		case err == nil:
			p.envs = append(env.Earlier, env)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		for _, other := range out {
			if os.SameFile(other.file, p.file) {
				return nil, fmt.Errorf("%w: %s is named twice, as %s and as %s", ErrNoRun, other.name, other.dir, dir)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// freeName returns a name that no other part has.
func freeName(taken map[string]bool, base string) string {
	name := strings.TrimLeft(base, ".")
	for n := 2; name == "" || taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	taken[name] = true
	return name
}
