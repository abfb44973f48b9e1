// Package rundir keeps what a run was asked for in its own folder, so that it
// can be continued and analysed again without the files it was started from.
package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
)

// SetupFile is the name of the file that holds a Setup.
const SetupFile = "run.json"

// The copies beside it.
const (
	matrixFile  = "matrix.yaml"
	pricingFile = "pricing.yaml"
)

// Setup is what a run was asked for.
type Setup struct {
	RunID          string        `json:"run_id"`
	MatrixPath     string        `json:"matrix_path"` // as it was given; a copy lies in the folder
	PricingPath    string        `json:"pricing_path,omitempty"`
	Narrow         matrix.Narrow `json:"narrow"`
	Shard          *matrix.Shard `json:"shard,omitempty"` // which part of the plan the run is; nil for all of it
	Pool           string        `json:"pool,omitempty"`  // see record.Place
	Synthetic      bool          `json:"synthetic"`       // stand-ins for every model
	RateUSDPerHour *float64      `json:"rate_usd_per_hour,omitempty"`
	Blend          string        `json:"blend,omitempty"`
	PlannedRows    int           `json:"planned_rows"`

	// Parts are the runs that were merged into this one; empty for a run that
	// measured something itself.
	Parts []Part `json:"parts,omitempty"`
	// Differ says in what they differ that were merged all the same.
	Differ []string `json:"differ,omitempty"`

	Matrix  []byte `json:"-"` // the files' bytes
	Pricing []byte `json:"-"`
}

// Part is a run that was merged into another.
type Part struct {
	Name  string        `json:"name"` // of its folder below PartsDir
	Path  string        `json:"path"` // of its folder, as it was given
	RunID string        `json:"run_id"`
	Pool  string        `json:"pool,omitempty"`
	Shard *matrix.Shard `json:"shard,omitempty"`
	Rows  int           `json:"rows"` // taken from it, warm-ups included
}

// PartsDir is the folder of a merged run that keeps what each part says of itself.
const PartsDir = "parts"

// Vacant refuses a folder that a new run would write over: with files of others,
// which the report's may be named like. One that does not exist is vacant, and
// so is what a start leaves that was killed. Whether there is a run is for
// record.Create to say.
func Vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	if names[record.File] {
		return nil
	}
	for _, e := range entries {
		switch e.Name() {
		case record.LockFile, SetupFile:
			continue
		case matrixFile, pricingFile:
			if names[record.LockFile] {
				continue
			}
		}
		return fmt.Errorf("%s is not empty: it has %s, and what a run writes could take its place; choose another folder", dir, e.Name())
	}
	return nil
}

// Write stores s in dir, which must exist.
func (s Setup) Write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	err = write(filepath.Join(dir, matrixFile), s.Matrix)
	if s.Pricing != nil {
		err = errors.Join(err, write(filepath.Join(dir, pricingFile), s.Pricing))
	}
	if err != nil {
		return err
	}
	// Last, since a folder with a setup is taken as complete.
	return write(filepath.Join(dir, SetupFile), append(data, '\n'))
}

// write returns when the file is on the disk: rows that outlive a power cut are
// worth nothing without what they were measured for.
func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// Read reads the setup of the run in dir.
func Read(dir string) (Setup, error) {
	var s Setup
	path := filepath.Join(dir, SetupFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s holds no run: there is no %s; name the folder of one, such as results/20260101-120000", dir, SetupFile)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	s.Matrix, err = os.ReadFile(filepath.Join(dir, matrixFile))
	if err != nil {
		return s, err
	}
	s.Pricing, err = os.ReadFile(filepath.Join(dir, pricingFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return s, err
}

// Plan returns the plan of the run, from the copy of its matrix. A shard has the
// pairs that it was given when it was started, whatever they would be now.
func (s Setup) Plan() (*matrix.Plan, error) {
	plan, err := s.Whole()
	if err == nil && s.Shard != nil {
		plan = plan.Only(s.Shard.Pairs)
	}
	return plan, err
}

// Whole returns the plan that the run is a shard of, or its own.
func (s Setup) Whole() (*matrix.Plan, error) {
	spec, err := matrix.Parse(s.MatrixPath, s.Matrix)
	if err != nil {
		return nil, err
	}
	return spec.Plan(s.Narrow)
}

// Cells returns the IDs of the cells in the order of the plan; nil for a run
// without one, as those that were imported.
func (s Setup) Cells() []string {
	plan, err := s.Plan()
	if err != nil {
		return nil
	}
	var ids []string
	for _, c := range plan.Cells {
		ids = append(ids, c.ID)
	}
	return ids
}

// PricingFile returns the path of dir's copy of the prices the run was started
// with, or nothing if it had none.
func (s Setup) PricingFile(dir string) string {
	if s.Pricing == nil {
		return ""
	}
	return filepath.Join(dir, pricingFile)
}
