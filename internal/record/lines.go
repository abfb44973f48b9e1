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

	"golang.org/x/sys/unix"
)

// maxLine is the longest line in bytes that is written or read. A row of
// 100 000 decode steps takes about 4 MB.
const maxLine = 16 << 20

// lines is a file of JSON objects, one a line, that only grows.
type lines struct {
	f    *os.File
	size int64 // up to the last whole line
}

func openLines(path string, flag int) (*lines, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|flag, 0o644)
	if err != nil {
		return nil, err
	}
	return &lines{f: f}, nil
}

// append writes v and returns when it is on the disk. After an error the file
// ends with the line before.
func (l *lines) append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if line = append(line, '\n'); len(line) > maxLine {
		return fmt.Errorf("%d bytes, more than the %d a line may have", len(line), maxLine)
	}
	if _, err = l.f.Write(line); err == nil {
		err = l.f.Sync()
	}
	if err == nil {
		err = l.stillThere()
	}
	if err != nil {
		// Half a line would spoil the next one too.
		return errors.Join(fmt.Errorf("not kept: %w", err), l.f.Truncate(l.size))
	}
	l.size += int64(len(line))
	return nil
}

// stillThere finds out whether the file was deleted: what is written to it would
// be gone when it is closed.
func (l *lines) stillThere() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(l.f.Fd()), &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if st.Nlink == 0 {
		return fmt.Errorf("%s was deleted: %w", l.f.Name(), fs.ErrNotExist)
	}
	return nil
}

// repair makes the file end with a whole line. What a killed run left half
// written is moved to tornPath, which torn tells.
func (l *lines) repair(tornPath string) (torn, err error) {
	end, err := l.f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	l.size = end
	start, err := lastLine(l.f, end)
	if err != nil || start == end {
		return nil, err
	}
	if end-start <= maxLine {
		line := make([]byte, end-start)
		if _, err := l.f.ReadAt(line, start); err != nil {
			return nil, err
		}
		whole := json.Valid(line)
		switch {
		case whole && line[len(line)-1] == '\n':
			return nil, nil
		case whole: // only its newline is missing
			l.size++
			_, err := l.f.Write([]byte{'\n'})
			return nil, errors.Join(err, l.f.Sync())
		}
	}
	if err := l.cut(tornPath, start, end); err != nil {
		return nil, err
	}
	l.size = start
	torn = fmt.Errorf("%s: the last row was half written (%d bytes); moved to %s, its measurement is repeated",
		l.f.Name(), end-start, filepath.Base(tornPath))
	return torn, syncDir(filepath.Dir(tornPath))
}

// cut moves the bytes from start to end, which are the file's last, to the end
// of another file.
func (l *lines) cut(path string, start, end int64) error {
	torn, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(torn, io.NewSectionReader(l.f, start, end-start))
	if err := errors.Join(err, torn.Sync(), torn.Close()); err != nil {
		return err
	}
	return errors.Join(l.f.Truncate(start), l.f.Sync())
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
