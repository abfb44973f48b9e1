package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is the name of the rows' file in a run directory.
const File = "raw_measurements.jsonl"

// tornFile returns the name of the copy of what a killed run left half written
// at the end of a file.
func tornFile(file string) string { return strings.TrimSuffix(file, ".jsonl") + ".torn" }

// Store appends to the files of one run. It is used by one goroutine at a time,
// and by one process at a time: it holds the run directory's lock.
type Store struct {
	// Warnings says what was found and repaired when the files were opened.
	Warnings []error

	dir   string
	files map[string]*lines // by name; that of the rows from the start, others once they are written to
	lock  *os.File
}

// Create starts a run in dir, which is made when missing. It calls setUp once
// nobody else can write to dir and before the file of the rows is made, so that
// where there is one, everything is: a run that was killed on the way is not
// there at all, and can be started again. It fails with a *LockedError when
// another process writes there and with an error that wraps fs.ErrExist when dir
// already holds a run.
func Create(dir string, setUp func() error) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := open(dir, os.O_CREATE|os.O_EXCL, setUp)
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
// process writes there, and with an error that wraps fs.ErrNotExist, or
// ErrPacked, when dir holds no rows. What a killed run left half written at the
// end of a file is moved to one that ends in .torn and told in Warnings.
func Open(dir string) (*Store, error) {
	path := filepath.Join(dir, File)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no run to continue: %w", orPacked(path, err)) // and no lock file left in a mistyped directory
	}
	s, err := open(dir, 0, func() error { return nil })
	if err != nil {
		return nil, err
	}
	if err := s.repair(File); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func open(dir string, flag int, setUp func() error) (*Store, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, File)
	if _, there := os.Lstat(path); flag&os.O_EXCL != 0 && there == nil {
		err = &os.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else {
		err = setUp()
	}
	var rows *lines
	if err == nil {
		rows, err = openLines(path, flag)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Store{dir: dir, files: map[string]*lines{File: rows}, lock: lock}, nil
}

// repair makes an open file end with a whole line.
func (s *Store) repair(file string) error {
	torn, err := s.files[file].repair(filepath.Join(s.dir, tornFile(file)))
	if torn != nil {
		s.Warnings = append(s.Warnings, torn)
	}
	return err
}

// Append writes r as one line and returns when it is on the disk. It sets
// r.Schema. After an error the file ends with the row before.
func (s *Store) Append(r *Record) error {
	r.Schema = Schema
	return wrapf(s.append(File, r), "row %+v", r.Key())
}

// AppendKV writes r to the run's KVFile as Append does.
func (s *Store) AppendKV(r *KVRecord) error {
	r.Schema = Schema
	return wrapf(s.append(KVFile, r), "KV of %s at %d tokens", r.Model, r.Asked)
}

// AppendWindow writes r to the run's WindowFile as Append does.
func (s *Store) AppendWindow(r *WindowRecord) error {
	r.Schema = Schema
	return wrapf(s.append(WindowFile, r), "energy window %+v", r.Key())
}

// AppendDevice writes r to the run's DeviceFile as Append does.
func (s *Store) AppendDevice(r *DeviceRecord) error {
	r.Schema = Schema
	return wrapf(s.append(DeviceFile, r), "%s of %s", r.Kind, r.Device)
}

// AppendQuality writes r to the run's QualityFile as Append does.
func (s *Store) AppendQuality(r *QualityRecord) error {
	r.Schema = Schema
	return wrapf(s.append(QualityFile, r), "quality %+v", r.Key())
}

// append writes v to a file of the run, which is made when it is not there.
func (s *Store) append(file string, v any) error {
	if s.files[file] == nil {
		l, err := openLines(filepath.Join(s.dir, file), os.O_CREATE)
		if err != nil {
			return err
		}
		s.files[file] = l
		if err := errors.Join(s.repair(file), syncDir(s.dir)); err != nil {
			delete(s.files, file) // the next one repairs it, too
			return errors.Join(err, l.f.Close())
		}
	}
	return s.files[file].append(v)
}

func wrapf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// Close releases the run directory. Rows are safe without it.
func (s *Store) Close() error {
	var err error
	for _, l := range s.files {
		err = errors.Join(err, l.f.Close())
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
