// Package models finds the files of a plan's models, or makes stand-ins.
package models

import (
	"cmp"
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
	// Making is told each stand-in that has to be written; it may be nil.
	Making func(path string, bytes int64)
}

// MissingError lists the models whose files are not there and how to get them.
type MissingError struct{ Models []matrix.Model }

func (e *MissingError) Error() string {
	var b strings.Builder
	b.WriteString("model files are missing:\n")
	synthetic := true
	for _, m := range e.Models {
		fmt.Fprintf(&b, "  %s: %s; get it by: %s\n", m.Name, m.Path, HowToGet(m))
		synthetic = synthetic && m.Synth != ""
	}
	if synthetic {
		b.WriteString("or add --synthetic: models of the same shapes with random weights, as fast and as large, labelled as such")
	}
	return strings.TrimRight(b.String(), "\n")
}

// HowToGet is a command that gets the file of a model.
func HowToGet(m matrix.Model) string {
	if m.Type == "" || m.Type == "f16" {
		return "scripts/fetch-models.sh " + m.Name
	}
	return "./bench quantize F16-FILE --type " + m.Type + " -o " + m.Path
}

// ShapeError is a model that no stand-in can be made for.
type ShapeError struct {
	Model string
	Shape string // that the matrix gives it and nobody knows; empty if it gives none
}

func (e *ShapeError) Error() string {
	if e.Shape == "" {
		return fmt.Sprintf("model %s has no synth shape in the matrix, so --synthetic cannot stand in for it", e.Model)
	}
	var known []string
	for _, a := range llama.SynthArchs() {
		known = append(known, a.Name)
	}
	return fmt.Sprintf("model %s: no shape is called %q; known are %s", e.Model, e.Shape, strings.Join(known, ", "))
}

// Seed is what the weights of stand-ins are drawn from.
const Seed = 42

// Found says where the files of a plan's models are.
type Found struct {
	Missing  []matrix.Model // that have to be got first
	StandIns []StandIn      // that Make makes or checks
}

// StandIn is a model file with random weights.
type StandIn struct {
	Path    string
	There   bool // a file of that name, whatever it holds
	shape   llama.SynthArch
	weights string
}

// Bytes is the size of the file's weights, in F16 as they are drawn; there is a
// header of some MB besides.
func (s StandIn) Bytes() int64 { return s.shape.WeightBytes(s.shape.Layers) }

// RoomBytes is what making the file takes on disk: where it is quantized, at most
// as much again.
func (s StandIn) RoomBytes() int64 {
	if s.weights == "f16" {
		return s.Bytes()
	}
	return 2 * s.Bytes()
}

// Find gives every cell of the plan the path that its model file has or will
// have, and writes nothing. Of cells that are not needed no more is asked. A
// stand-in that the matrix does not describe is a *ShapeError.
func Find(plan *matrix.Plan, needed func(matrix.Cell) bool, opt Options) (Found, error) {
	var found Found
	seen := map[string]bool{}
	for i := range plan.Cells {
		c := &plan.Cells[i]
		model, what := c.Model, c.Model.Name
		weights := cmp.Or(model.Type, "f16")
		synthetic := opt.Synthetic || model.Path == ""
		if synthetic {
			c.Model.Path = filepath.Join(opt.Dir, fmt.Sprintf("%s-seed%d-%s.gguf", model.Synth, Seed, weights))
			what = c.Model.Path // which models may share
		}
		if seen[what] || !needed(*c) {
			continue
		}
		seen[what] = true
		_, err := os.Stat(c.Model.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
		switch {
		case synthetic:
			arch, known := shape(model.Synth)
			if !known {
				return found, &ShapeError{model.Name, model.Synth}
			}
			found.StandIns = append(found.StandIns, StandIn{c.Model.Path, err == nil, arch, weights})
		case err != nil:
			found.Missing = append(found.Missing, model)
		}
	}
	return found, nil
}

func shape(name string) (llama.SynthArch, bool) {
	for _, a := range llama.SynthArchs() {
		if a.Name == name {
			return a, true
		}
	}
	return llama.SynthArch{}, false
}

// Make writes the stand-ins that are not there yet. One that is there must be
// the very file that would be written.
func (f Found) Make(ctx context.Context, opt Options) error {
	for _, s := range f.StandIns {
		if !s.There && opt.Making != nil {
			opt.Making(s.Path, s.Bytes())
		}
		_, err := llama.Synth(ctx, s.shape.Name, s.Path, llama.SynthOptions{Seed: Seed, Type: s.weights, VocabDir: opt.VocabDir})
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is another file than the stand-in for %s: move it away: %w", s.Path, s.shape.Name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WeightBytes returns the size of the weights of each model of a plan, to tell
// how long it takes beside others: of those with a published shape in F16, so that
// it is known where no file is, else of the file. Quantized weights take as many
// operations.
func WeightBytes(plan *matrix.Plan) (map[string]int64, error) {
	out := map[string]int64{}
	for _, m := range plan.Spec.Models {
		if arch, known := shape(m.Synth); known {
			out[m.Name] = arch.WeightBytes(arch.Layers)
			continue
		}
		info, err := os.Stat(m.Path)
		if err != nil {
			return nil, fmt.Errorf("the size of model %s is not known, which shards are balanced by: give it a synth shape, or have its file on every machine: %w", m.Name, err)
		}
		out[m.Name] = info.Size()
	}
	return out, nil
}
