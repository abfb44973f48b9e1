// Package models finds the files of a plan's models, or makes stand-ins.
package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/llama"
)

// Options says where files come from.
type Options struct {
	Synthetic bool   // use stand-ins of the same shape for every model
	Dir       string // where stand-ins are kept
	VocabDir  string // where the tokenizers for stand-ins lie
	// Making is told each stand-in that has to be written, and Progress how
	// far the writing is. Either may be nil.
	Making   func(path string, bytes int64)
	Progress func(done, total int64)
}

// MissingError lists the models whose files are not there and how to get them.
type MissingError struct{ Models []matrix.Model }

func (e *MissingError) Error() string {
	var b strings.Builder
	b.WriteString("model files are missing:\n")
	synthetic := true
	for _, m := range e.Models {
		fmt.Fprintf(&b, "  %s: %s; get it by: scripts/fetch-models.sh %s\n", m.Name, m.Path, m.Name)
		synthetic = synthetic && m.Synth != ""
	}
	if synthetic {
		b.WriteString("or add --synthetic: models of the same shapes with random weights, as fast and as large, labelled as such")
	}
	return strings.TrimRight(b.String(), "\n")
}

// ShapeError is a model that has no shape to make a stand-in of.
type ShapeError struct{ Model string }

func (e *ShapeError) Error() string {
	return fmt.Sprintf("model %s has no synth shape in the matrix, so --synthetic cannot stand in for it", e.Model)
}

// Resolve gives every cell of the plan that may run (needed says which) the
// path of its model file, making stand-ins where they are asked for or the
// model has no file of its own. Files that are not there are a *MissingError,
// stand-ins that the matrix does not describe a *ShapeError.
func Resolve(ctx context.Context, plan *matrix.Plan, needed func(matrix.Cell) bool, opt Options) error {
	missing := &MissingError{}
	paths := map[string]string{} // by model name
	for i := range plan.Cells {
		c := &plan.Cells[i]
		if !needed(*c) {
			continue
		}
		if _, done := paths[c.Model.Name]; !done {
			path, err := resolve(ctx, c.Model, opt)
			if err != nil {
				return err
			}
			if path == "" {
				missing.Models = append(missing.Models, c.Model)
			}
			paths[c.Model.Name] = path
		}
		c.Model.Path = paths[c.Model.Name]
	}
	if len(missing.Models) > 0 {
		return missing
	}
	return nil
}

// resolve returns the path of a model's file, or nothing when it is missing.
func resolve(ctx context.Context, m matrix.Model, opt Options) (string, error) {
	if !opt.Synthetic && m.Path != "" {
		if _, err := os.Stat(m.Path); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		return m.Path, nil
	}
	if m.Synth == "" {
		return "", &ShapeError{m.Name}
	}
	return standIn(ctx, m.Synth, opt)
}

// Seed is what the weights of stand-ins are drawn from.
const Seed = 42

func standInPath(dir, shape string) string {
	return filepath.Join(dir, fmt.Sprintf("%s-seed%d-f16.gguf", shape, Seed))
}

// Find gives every cell the path its model file has or would have, making
// none, and says for each model without a file what a run would do about it.
func Find(plan *matrix.Plan, synthetic bool, dir string) (missing map[string]string) {
	missing = map[string]string{}
	for i := range plan.Cells {
		m := &plan.Cells[i].Model
		note := "missing: scripts/fetch-models.sh " + m.Name + ", or --synthetic"
		if synthetic || m.Path == "" {
			m.Path, note = standInPath(dir, m.Synth), "random weights are made when the run starts"
			if m.Synth == "" {
				note = (&ShapeError{m.Name}).Error()
			}
		}
		if _, err := os.Stat(m.Path); errors.Is(err, fs.ErrNotExist) {
			missing[m.Name] = note
		}
	}
	return missing
}

func standIn(ctx context.Context, shape string, opt Options) (string, error) {
	path := standInPath(opt.Dir, shape)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && opt.Making != nil {
		for _, a := range llama.SynthArchs() {
			if a.Name == shape {
				opt.Making(path, a.WeightBytes(a.Layers))
			}
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	_, err := llama.Synth(ctx, shape, path, llama.SynthOptions{Seed: Seed, VocabDir: opt.VocabDir, Progress: opt.Progress})
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s is another file than the stand-in for %s: move it away and run again: %w", path, shape, err)
	}
	return path, err
}
