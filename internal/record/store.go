package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// maxLine is the longest row in bytes that is written or read. A row of 100 000
// decode steps takes about 4 MB.
const maxLine = 16 << 20

// Store appends rows to the file of one run. It is used by one goroutine at a
// time, and by one process at a time: it holds the run directory's lock.
type Store struct {
	// Warnings says what was found and repaired when the file was opened.
	Warnings []error

	f, lock *os.File
	size    int64 // of the file up to its last whole row
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
	if err := s.repair(dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func open(dir string, flag int) (*Store, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_RDWR|os.O_APPEND|flag, 0o644)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Store{f: f, lock: lock}, nil
}

// Append writes r as one line and returns when it is on the disk. It sets
// r.Schema. After an error the file ends with the row before.
func (s *Store) Append(r *Record) error {
	r.Schema = Schema
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("row %+v: %w", r.Key(), err)
	}
	if line = append(line, '\n'); len(line) > maxLine {
		return fmt.Errorf("row %+v: %d bytes, more than the %d a row may have", r.Key(), len(line), maxLine)
	}
	if _, err = s.f.Write(line); err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		// Half a line would spoil the next row too.
		return errors.Join(fmt.Errorf("row %+v not kept: %w", r.Key(), err), s.f.Truncate(s.size))
	}
	s.size += int64(len(line))
	return nil
}

// Close releases the run directory. Rows are safe without it.
func (s *Store) Close() error {
	return errors.Join(s.f.Close(), s.lock.Truncate(0), s.lock.Close())
}

// repair makes the file end with a whole row.
func (s *Store) repair(dir string) error {
	end, err := s.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	s.size = end
	start, err := lastLine(s.f, end)
	if err != nil || start == end {
		return err
	}
	if end-start <= maxLine {
		line := make([]byte, end-start)
		if _, err := s.f.ReadAt(line, start); err != nil {
			return err
		}
		whole := json.Valid(line)
		switch {
		case whole && line[len(line)-1] == '\n':
			return nil
		case whole: // only its newline is missing
			s.size++
			_, err := s.f.Write([]byte{'\n'})
			return errors.Join(err, s.f.Sync())
		}
	}
	if err := s.cut(filepath.Join(dir, TornFile), start, end); err != nil {
		return err
	}
	s.size = start
	s.Warnings = append(s.Warnings, fmt.Errorf("%s: the last row was half written (%d bytes); moved to %s, its measurement is repeated", s.f.Name(), end-start, TornFile))
	return syncDir(dir)
}

// cut moves the bytes from start to end, which are the file's last, to the end
// of another file.
func (s *Store) cut(path string, start, end int64) error {
	torn, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(torn, io.NewSectionReader(s.f, start, end-start))
	if err := errors.Join(err, torn.Sync(), torn.Close()); err != nil {
		return err
	}
	return errors.Join(s.f.Truncate(start), s.f.Sync())
}

// lastLine returns where the last line of the first end bytes of r begins. A
// newline at the very end belongs to that line.
func lastLine(r io.ReaderAt, end int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for at := max(end-1, 0); at > 0; {
		n := min(at, int64(len(buf)))
		if _, err := r.ReadAt(buf[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return at - n + int64(i) + 1, nil
		}
		at -= n
	}
	return 0, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
