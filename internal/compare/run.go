// Package compare holds runs against each other, cell by cell. It reads the
// rows of finished runs, tests what both sides measured with internal/stats by
// the rules internal/analyze goes by, and gives plain tables. Where a verdict
// would rest on more than the data says, it is "~" and the notes say why.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
)

// Run is one run as it lies on the disk.
type Run struct {
	Path string // as it was given
	Name string // to tell it from others

	Setup *rundir.Setup        // nil for a file of rows
	Env   *environ.Environment // nil when not recorded

	// Problems says what of the files could not be read.
	Problems []error

	rows    []record.Record
	windows []record.WindowRecord
}

// Read reads a run's folder, or a file of rows by itself.
func Read(path string) (*Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	named, err := filepath.Abs(path) // "." and ".." are no names
	if err != nil {
		return nil, err
	}
	r := &Run{Path: path, Name: filepath.Base(named)}
	file := path
	if info.IsDir() {
		file = filepath.Join(path, record.File)
		if err := r.readBeside(path); err != nil {
			return nil, err
		}
	}
	rows, problems, err := record.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no run: there is no %s", path, record.File)
	}
	if err != nil {
		return nil, err
	}
	var doubles []error
	r.rows, doubles = record.Latest(rows)
	r.Problems = append(append(r.Problems, problems...), doubles...)
	if len(r.rows) == 0 {
		return nil, errors.Join(append([]error{fmt.Errorf("%s holds no rows", file)}, r.Problems...)...)
	}
	return r, nil
}

// readBeside reads what a run's folder has besides its rows.
func (r *Run) readBeside(dir string) error {
	setup, err := rundir.Read(dir)
	if err == nil {
		r.Setup = &setup
	} else {
		r.Problems = append(r.Problems, err)
	}
	env, err := environ.Read(dir)
	switch {
	case err == nil:
		r.Env = &env
	case !errors.Is(err, fs.ErrNotExist):
		r.Problems = append(r.Problems, err)
	}
	windows, problems, err := record.ReadWindows(filepath.Join(dir, record.WindowFile))
	r.windows, r.Problems = windows, append(r.Problems, problems...)
	return err
}

// Measured returns how many rows of the run can be compared.
func (r *Run) Measured() int {
	n := 0
	for i := range r.rows {
		if r.rows[i].Status == record.StatusOK && !r.rows[i].Warmup {
			n++
		}
	}
	return n
}

// analyze groups and prices the rows.
func (r *Run) analyze(opts analyze.Options) (*analyze.Analysis, error) {
	opts.Windows = r.windows
	a, err := analyze.Analyze(r.rows, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Path, err)
	}
	return a, nil
}

// whyNot says how the rows of a cell ended that was not measured; "" when the
// run has none.
func (r *Run) whyNot(k analyze.Key) string {
	for i := range r.rows {
		row := &r.rows[i]
		if row.Warmup || row.Status == record.StatusOK || row.Model != k.Model || row.Backend != k.Backend || row.Scenario != k.Scenario ||
			row.KVTypeK != k.KVTypeK || row.KVTypeV != k.KVTypeV || max(1, row.Batch) != k.Batch || row.DecodeMode != k.DecodeMode {
			continue
		}
		if row.Error != nil {
			return "error: " + row.Error.Message
		}
		return "skipped: " + cmp.Or(row.Reason, "no reason recorded")
	}
	return ""
}

// NameApart gives runs whose folders have the same name their whole paths.
func NameApart(runs []*Run) {
	count := map[string]int{}
	for _, r := range runs {
		count[r.Name]++
	}
	for _, r := range runs {
		if count[r.Name] > 1 {
			r.Name = r.Path
		}
	}
}
