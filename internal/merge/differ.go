package merge

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

// Kinds are what runs must have in common unless it is allowed that they do not.
var Kinds = []string{"matrix", "engine", "program", "models"}

// DifferError says that runs are of different work.
type DifferError struct {
	Differ []string // sentences
	Kinds  []string // that would have to be allowed
}

func (e *DifferError) Error() string {
	return fmt.Sprintf("these runs are no parts of one study:\n  %s\nmeasure the odd ones again, leave them out, or merge them all the same: --allow %s",
		strings.Join(e.Differ, "\n  "), strings.Join(e.Kinds, ","))
}

// differences finds what runs say differently that should be the same.
type differences struct {
	first map[[2]string]said // by kind and what
	list  []string
	kinds map[string]bool
	told  map[string]bool
}

// said is what a run said first.
type said struct {
	by    string
	value string
}

// say notes what a part says of something; nothing when it does not know.
func (d *differences) say(p *part, kind, what, value string) {
	if value == "" {
		return
	}
	at := [2]string{kind, what}
	first, seen := d.first[at]
	if !seen {
		if d.first == nil {
			d.first, d.kinds, d.told = map[[2]string]said{}, map[string]bool{}, map[string]bool{}
		}
		d.first[at] = said{p.dir, value}
		return
	}
	if first.value == value || d.told[p.dir+what] {
		return
	}
	d.told[p.dir+what] = true
	d.kinds[kind] = true
	d.list = append(d.list, fmt.Sprintf("%s: %s in %s, %s in %s", what, first.value, first.by, value, p.dir))
}

// setup notes what a part was asked for, and by which program.
func (d *differences) setup(p *part) {
	s := &p.setup
	d.say(p, "matrix", "matrix file (SHA-256)", fmt.Sprintf("%.12x", sha256.Sum256(s.Matrix)))
	d.say(p, "matrix", "--reps", fmt.Sprint(s.Narrow.Reps))
	d.say(p, "matrix", "--launches", fmt.Sprint(s.Narrow.Launches))
	for _, e := range p.envs {
		d.say(p, "engine", "engine", e.Engine.Version)
		d.say(p, "program", "program", e.Build.Revision)
		for _, m := range e.Models {
			d.say(p, "models", "file of "+m.Name, fmt.Sprintf("%d bytes %.12s", m.Bytes, m.Fingerprint))
		}
	}
}

// row notes what a row says of what made it.
func (d *differences) row(p *part, h *record.Head) {
	if h.Status != record.StatusOK {
		return
	}
	d.say(p, "engine", "engine", h.EngineVersion)
	d.say(p, "models", "weights of "+h.Model, map[bool]string{true: "random", false: "trained"}[h.Synthetic])
	if i := h.ModelInfo; i != nil {
		d.say(p, "models", "shape of "+h.Model, fmt.Sprintf("%s with %d layers, %d parameters, %s", i.Arch, i.Layers, i.Params, i.FileType))
	}
	if h.PromptHash != "" {
		d.say(p, "models", "prompt of "+h.Model+", "+h.Scenario, h.PromptHash)
	}
}

// err returns what is not allowed, or nil.
func (d *differences) err(allowed []string) error {
	var forbidden []string
	for _, kind := range Kinds {
		if d.kinds[kind] && !slices.Contains(allowed, kind) {
			forbidden = append(forbidden, kind)
		}
	}
	if forbidden == nil {
		return nil
	}
	return &DifferError{Differ: d.list, Kinds: forbidden}
}
