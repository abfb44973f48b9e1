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
)

// The files of a run's folder that this package writes.
const (
	setupFile   = "run.json"
	matrixFile  = "matrix.yaml"
	pricingFile = "pricing.yaml"
)

// Setup is what a run was asked for.
type Setup struct {
	RunID          string        `json:"run_id"`
	MatrixPath     string        `json:"matrix_path"` // as it was given; a copy lies in the folder
	PricingPath    string        `json:"pricing_path,omitempty"`
	Narrow         matrix.Narrow `json:"narrow"`
	Synthetic      bool          `json:"synthetic"` // stand-ins for every model
	RateUSDPerHour *float64      `json:"rate_usd_per_hour,omitempty"`
	Blend          string        `json:"blend,omitempty"`
	PlannedRows    int           `json:"planned_rows"`

	Matrix  []byte `json:"-"` // the files' bytes
	Pricing []byte `json:"-"`
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
	// Last, since a folder with a setup is taken as complete.
	return errors.Join(err, write(filepath.Join(dir, setupFile), append(data, '\n')))
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
	path := filepath.Join(dir, setupFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s holds no run: there is no %s", dir, setupFile)
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

// Plan returns the plan of the run, from the copy of its matrix.
func (s Setup) Plan() (*matrix.Plan, error) {
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
