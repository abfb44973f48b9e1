package merge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
)

// Result is what was merged.
type Result struct {
	Parts, Rows int // rows without warm-ups, each once
	Planned     int
	Doubles     []Double
	Gaps        []Gap
	Notes       []string // what readers of the merged run should know; in its setup too
	Unread      []error  // lines of the parts that are no rows
}

// Double is rows that two runs measured; those of the first are taken.
type Double struct {
	Place       string // "MODEL on BACKEND", with its pool
	Rows        int
	Taken, Left string // folders
}

// Merge joins the runs in dirs into a new one in out, which must not exist or be
// empty. Rows are copied as they are. The differences of allowed kinds, see
// Kinds, are no reason to refuse. A *DifferError and an error that wraps
// fs.ErrExist or ErrNoRun are about what was asked for; after an error
// there is no out.
func Merge(dirs []string, out string, allowed []string) (*Result, error) {
	parts, err := readParts(dirs)
	if err != nil {
		return nil, err
	}
	planned, err := plan(parts)
	if err != nil {
		return nil, err
	}
	var differ differences
	for _, p := range parts {
		differ.setup(p)
	}
	if err := differ.err(allowed); err != nil {
		return nil, err // before hours of rows are read
	}
	if left, err := os.ReadDir(out); err == nil && len(left) > 0 {
		return nil, fmt.Errorf("%s is not empty; choose another folder: %w", out, fs.ErrExist)
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(out)), 0o755); err != nil {
		return nil, err
	}
	// What is there under its name is whole.
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), "."+filepath.Base(out)+".*")
	if err != nil {
		return nil, err
	}
	m := &merger{parts: parts, planned: planned, differ: &differ, tmp: tmp}
	err = m.write(allowed)
	if err == nil {
		err = errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, out))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return &m.result, nil
}

type merger struct {
	parts   []*part
	planned *planned
	differ  *differences
	tmp     string
	result  Result
}

// write fills the folder.
func (m *merger) write(allowed []string) error {
	if err := m.copyRows(); err != nil {
		return err
	}
	if err := m.differ.err(allowed); err != nil {
		return err
	}
	m.result.Parts, m.result.Planned, m.result.Notes = len(m.parts), len(m.planned.keys), m.differ.list
	for _, p := range m.parts {
		if err := m.keep(p); err != nil {
			return err
		}
	}
	return m.setup().Write(m.tmp)
}

// copyRows copies the rows and what lies beside them.
func (m *merger) copyRows() error {
	to := record.NewCopier(m.tmp)
	ended := map[record.Key]record.Status{}
	taken := map[record.Key]*part{} // the ok rows
	windows := map[record.WindowKey]*part{}
	type double struct {
		place
		taken, left *part
	}
	doubles := map[double]int{}
	var order []double
	for _, p := range m.parts {
		bad, err := to.Rows(p.dir, func(h *record.Head) bool {
			m.differ.row(p, h)
			k := h.Key()
			if first := taken[k]; first != nil && first != p {
				if h.Status == record.StatusOK && !h.Warmup {
					d := double{place{h.Pool, matrix.Pair{Model: h.Model, Backend: h.Backend}}, first, p}
					if doubles[d] == 0 {
						order = append(order, d)
					}
					doubles[d]++
				}
				return false
			}
			if h.Status == record.StatusOK {
				taken[k] = p
			}
			if was := ended[k]; !h.Warmup && was != record.StatusOK {
				ended[k] = h.Status
			}
			p.rows++
			return true
		})
		m.result.Unread = append(m.result.Unread, bad...)
		if err != nil {
			return err
		}
		bad, err = to.Windows(p.dir, func(k record.WindowKey) bool {
			if windows[k] == nil {
				windows[k] = p
			}
			return windows[k] == p
		})
		m.result.Unread = append(m.result.Unread, bad...)
		if err != nil {
			return err
		}
		bad, err = to.Others(p.dir)
		m.result.Unread = append(m.result.Unread, bad...)
		if err != nil {
			return err
		}
	}
	for _, d := range order {
		m.result.Doubles = append(m.result.Doubles, Double{d.place.String(), doubles[d], d.taken.dir, d.left.dir})
	}
	m.result.Rows, m.result.Gaps = len(ended), m.planned.gaps(ended)
	if len(ended) == 0 {
		return errors.Join(errors.New("these runs have no rows"), to.Close())
	}
	return to.Close()
}

// keep copies what a part says of itself and its sensors: files that belong to
// one machine and its clock.
func (m *merger) keep(p *part) error {
	dir := filepath.Join(m.tmp, rundir.PartsDir, p.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range []string{rundir.SetupFile, environ.File, power.File} {
		data, err := os.ReadFile(filepath.Join(p.dir, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), data, 0o644)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// setup is what the merged run was asked for.
func (m *merger) setup() rundir.Setup {
	s := m.parts[0].setup
	s.RunID = "merged-" + time.Now().UTC().Format("20060102-150405")
	s.Shard, s.Pool, s.PlannedRows = nil, "", m.result.Planned
	for _, p := range m.parts {
		s.Parts = append(s.Parts, rundir.Part{Name: p.name, Path: p.dir, RunID: p.setup.RunID, Pool: p.setup.Pool, Shard: p.setup.Shard, Rows: p.rows})
		if string(p.setup.Pricing) != string(s.Pricing) {
			m.note("%s was started with another pricing file than %s, whose prices count", p.dir, m.parts[0].dir)
		}
		if !same(p.setup.RateUSDPerHour, m.parts[0].setup.RateUSDPerHour) {
			s.RateUSDPerHour = nil
			m.note("%s was started with another --rate than %s; none counts, give each device its own tier in the pricing file", p.dir, m.parts[0].dir)
		}
	}
	s.Differ = m.result.Notes
	return s
}

func same(x, y *float64) bool { return x == y || x != nil && y != nil && *x == *y }

func (m *merger) note(format string, args ...any) {
	m.result.Notes = append(m.result.Notes, fmt.Sprintf(format, args...))
}
