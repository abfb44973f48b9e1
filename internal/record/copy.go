package record

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Head is what a row says about which it is and where it comes from: enough to
// join runs by, and read faster than a whole row.
type Head struct {
	Schema int `json:"schema"`
	Place
	CellID   string `json:"cell_id"`
	Model    string `json:"model"`
	Backend  string `json:"backend"`
	Scenario string `json:"scenario"`
	Launch   int    `json:"launch"`
	Rep      int    `json:"rep"`
	Warmup   bool   `json:"warmup"`
	Status   Status `json:"status"`

	PromptHash    string     `json:"prompt_hash"`
	Synthetic     bool       `json:"synthetic"`
	WeightsBytes  *int64     `json:"weights_bytes"`
	ModelInfo     *ModelInfo `json:"model_info"`
	EngineVersion string     `json:"engine_version"`
}

// Key returns the identity of the planned row.
func (h *Head) Key() Key {
	return Key{Pool: h.Pool, CellID: h.CellID, Launch: h.Launch, Rep: h.Rep, Warmup: h.Warmup}
}

// Copier puts the lines of other runs together in the folder of a new one. Lines
// are copied as they are. They are safe when Close has returned.
type Copier struct {
	dir   string
	files map[string]*copied
}

type copied struct {
	f *os.File
	w *bufio.Writer
}

// NewCopier makes the files of a run in dir, which nobody else writes to.
func NewCopier(dir string) *Copier { return &Copier{dir: dir, files: map[string]*copied{}} }

// Rows copies the rows of the run in dir that keep wants, in their order.
// Warnings are for lines that are no rows, as those of Read.
func (c *Copier) Rows(dir string, keep func(*Head) bool) (warnings []error, err error) {
	return copyLines(c, dir, File, func(line []byte, h *Head) error {
		if err := decode(line, h, &h.Schema); err != nil {
			return err
		}
		return wellFormed(h.Status, h.CellID)
	}, keep)
}

// Windows copies the energy windows of the run in dir that keep wants.
func (c *Copier) Windows(dir string, keep func(WindowKey) bool) (warnings []error, err error) {
	return copyLines(c, dir, WindowFile, func(line []byte, w *WindowRecord) error {
		return decode(line, w, &w.Schema)
	}, func(w *WindowRecord) bool { return keep(w.Key()) })
}

// Others copies what caches held, what was measured of devices, and how models
// predict a text.
func (c *Copier) Others(dir string) (warnings []error, err error) {
	type any struct{ Schema int }
	for _, file := range []string{KVFile, DeviceFile, QualityFile} {
		bad, err := copyLines(c, dir, file, func(line []byte, v *any) error { return decode(line, v, &v.Schema) }, func(*any) bool { return true })
		warnings = append(warnings, bad...)
		if err != nil {
			return warnings, err
		}
	}
	return warnings, nil
}

// copyLines copies the lines of a file of dir, which may lack it.
func copyLines[T any](c *Copier, dir, file string, parse func([]byte, *T) error, keep func(*T) bool) (warnings []error, err error) {
	var failed error // of writing
	_, warnings, err = readFile(filepath.Join(dir, file), func(line []byte, _ *struct{}) error {
		v := new(T)
		if err := parse(line, v); err != nil {
			return err
		}
		if failed == nil && keep(v) {
			failed = c.write(file, line)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return warnings, errors.Join(err, failed)
}

func (c *Copier) write(file string, line []byte) error {
	to := c.files[file]
	if to == nil {
		f, err := os.OpenFile(filepath.Join(c.dir, file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		to = &copied{f, bufio.NewWriterSize(f, 1<<20)}
		c.files[file] = to
	}
	_, err := to.w.Write(bytes.TrimRight(line, "\r\n"))
	if err == nil {
		err = to.w.WriteByte('\n')
	}
	return err
}

// Close ends the files.
func (c *Copier) Close() error {
	var err error
	for _, to := range c.files {
		err = errors.Join(err, to.w.Flush(), to.f.Sync(), to.f.Close())
	}
	return errors.Join(err, syncDir(c.dir))
}
