package power

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// File is the name of the samples' file in a run's folder: one Sample a line.
const File = "power_samples.jsonl"

// MaxFileBytes is how large the file gets: about two and a half hours of one
// GPU that is sampled every 20 ms.
const MaxFileBytes = 64 << 20

// sampleLog keeps samples in a file of bounded size. Losing the last of them
// with the machine costs no row, so they are buffered between rows. The
// sources share it.
type sampleLog struct {
	path string
	f    *os.File

	mu    sync.Mutex
	w     *bufio.Writer
	left  int64
	ended bool
}

// openLog appends to the file in dir, after what an earlier session wrote.
func openLog(dir string, limit int64) (*sampleLog, error) {
	path := filepath.Join(dir, File)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	l := &sampleLog{path: path, f: f, w: bufio.NewWriterSize(f, 64<<10)}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size > 0 {
		// A session that was killed may have left a part of a line.
		last := []byte{0}
		if _, err = f.ReadAt(last, size-1); last[0] != '\n' {
			l.w.WriteByte('\n') // an error stays in the Writer until Flush
			size++
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.left = limit - size
	return l, nil
}

// add writes a sample. The error, of which there is at most one, says why no
// more will be written.
func (l *sampleLog) add(s Sample) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	line, err := json.Marshal(s)
	if err == nil {
		l.left -= int64(len(line)) + 1
		if l.left < 0 {
			full := fmt.Errorf("%s is as large as it may get: later samples are in the rows' means only", l.path)
			err = errors.Join(full, l.w.Flush())
		} else {
			_, err = l.w.Write(append(line, '\n'))
		}
	}
	l.ended = err != nil
	return err
}

// flush hands what was added to the operating system.
func (l *sampleLog) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	err := l.w.Flush()
	l.ended = err != nil
	return err
}

func (l *sampleLog) close() error { return errors.Join(l.flush(), l.f.Close()) }
