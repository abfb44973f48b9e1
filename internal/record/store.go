package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is the name of the rows' file in a run directory, and TornFile that of
// the copy of what a killed run left half written at its end.
const (
	File     = "raw_measurements.jsonl"
	TornFile = "raw_measurements.torn"
)

// Store appends rows to the file of one run. It is used by one goroutine at a
// time, and by one process at a time: it holds the run directory's lock.
type Store struct {
	// Warnings says what was found and repaired when the file was opened.
	Warnings []error

	dir  string
	rows *lines
	kv   *lines // nil until AppendKV
	lock *os.File
}

// Create starts a run in dir, which is made when missing. It fails with a
// *LockedError when another process writes there and with an error that wraps
// fs.ErrExist when dir already holds rows.
func Create(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := open(dir, os.O_CREATE|os.O_EXCL)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s already holds a run; resume it, or choose another directory: %w", dir, err)
	}
	if err != nil {
		return nil, err
	}
	// The names of the file and of its directory must outlive a power cut as
	// the rows do.
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(filepath.Clean(dir)))); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Open continues the run in dir. It fails with a *LockedError when another
// process writes there and with an error that wraps fs.ErrNotExist when dir
// holds no rows. What a killed run left half written at the end of the file is
// moved to TornFile and told in Warnings.
func Open(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, File)); err != nil {
		return nil, fmt.Errorf("no run to continue: %w", err) // and no lock file left in a mistyped directory
	}
	s, err := open(dir, 0)
	if err != nil {
		return nil, err
	}
	torn, err := s.rows.repair(filepath.Join(dir, TornFile))
	s.warn(torn)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func open(dir string, flag int) (*Store, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	rows, err := openLines(filepath.Join(dir, File), flag)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Store{dir: dir, rows: rows, lock: lock}, nil
}

func (s *Store) warn(err error) {
	if err != nil {
		s.Warnings = append(s.Warnings, err)
	}
}

// Append writes r as one line and returns when it is on the disk. It sets
// r.Schema. After an error the file ends with the row before.
func (s *Store) Append(r *Record) error {
	r.Schema = Schema
	return wrapf(s.rows.append(r), "row %+v", r.Key())
}

// AppendKV writes r to the run's KVFile as Append does.
func (s *Store) AppendKV(r *KVRecord) error {
	if s.kv == nil {
		kv, err := openLines(filepath.Join(s.dir, KVFile), os.O_CREATE)
		if err != nil {
			return err
		}
		s.kv = kv
		torn, err := kv.repair(filepath.Join(s.dir, KVTornFile))
		s.warn(torn)
		if err := errors.Join(err, syncDir(s.dir)); err != nil {
			return err
		}
	}
	r.Schema = Schema
	return wrapf(s.kv.append(r), "KV of %s at %d tokens", r.Model, r.Asked)
}

func wrapf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// Close releases the run directory. Rows are safe without it.
func (s *Store) Close() error {
	err := s.rows.f.Close()
	if s.kv != nil {
		err = errors.Join(err, s.kv.f.Close())
	}
	return errors.Join(err, s.lock.Truncate(0), s.lock.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
