package matrix

import (
	"errors"
	"fmt"
	"slices"
)

// Plan is what a Spec expands to, narrowed by the user's flags. Each cell is
// repeated Spec.Repetitions times in each of Spec.Launches launches.
type Plan struct {
	Spec  *Spec  // a copy, holding only what the plan kept
	Cells []Cell // model outermost, then backend, kv type, scenario, batch
}

// Rows returns the number of rows the plan accounts for, measured or skipped,
// besides warm-ups: len(Cells) * Repetitions * Launches.
func (p *Plan) Rows() int { return len(p.Cells) * p.Spec.Repetitions * p.Spec.Launches }

// Narrow is what the user asks to keep of a matrix. A list that is empty and a
// number that is 0 leave the matrix as it is.
type Narrow struct {
	Models, Backends, Scenarios []string
	Reps, Launches              int // replace Spec.Repetitions and Spec.Launches
}

// Plan expands s, narrowed by n, into cells in the order of the file. It fails
// if n holds a name that is not in the matrix or a number out of range.
// Narrowing does not change the ID of a cell that stays.
func (s *Spec) Plan(n Narrow) (*Plan, error) {
	kept := *s
	var errs [5]error
	kept.Models, errs[0] = keep("model", s.Models, n.Models, func(m Model) string { return m.Name })
	kept.Backends, errs[1] = keep("backend", s.Backends, n.Backends, func(b Backend) string { return b.Name })
	kept.Scenarios, errs[2] = keep("scenario", s.Scenarios, n.Scenarios, func(c Scenario) string { return c.Name })
	kept.Repetitions, errs[3] = override("repetitions", s.Repetitions, n.Reps, maxRepetitions)
	kept.Launches, errs[4] = override("launches", s.Launches, n.Launches, maxLaunches)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	p := &Plan{Spec: &kept}
	for _, model := range kept.Models {
		for _, backend := range kept.Backends {
			for _, kv := range kept.KVTypes {
				for _, scenario := range kept.Scenarios {
					for _, batch := range scenario.batches() {
						c := Cell{Model: model, Backend: backend, Scenario: scenario, Batch: batch, KV: kv, Seed: s.Seed}
						c.ID = c.id()
						c.Skip = s.skip(c)
						p.Cells = append(p.Cells, c)
					}
				}
			}
		}
	}
	return p, nil
}

// skip returns the reason of the first rule that matches c.
func (s *Spec) skip(c Cell) string {
	matches := func(rule, name string) bool { return rule == "" || rule == name }
	for _, r := range s.Skip {
		if matches(r.Model, c.Model.Name) && matches(r.Backend, c.Backend.Name) && matches(r.Scenario, c.Scenario.Name) {
			return r.Reason
		}
	}
	return ""
}

// keep returns those of all whose name is wanted, or all if none is named.
func keep[T any](kind string, all []T, wanted []string, name func(T) string) ([]T, error) {
	var known []string
	for _, v := range all {
		known = append(known, name(v))
	}
	var errs []error
	for _, w := range wanted {
		if !slices.Contains(known, w) {
			errs = append(errs, fmt.Errorf("no %s of the matrix is called %q%s", kind, w, hint(w, known)))
		}
	}
	var out []T
	for _, v := range all {
		if len(wanted) == 0 || slices.Contains(wanted, name(v)) {
			out = append(out, v)
		}
	}
	return out, errors.Join(errs...)
}

func override(what string, file, asked, most int) (int, error) {
	switch {
	case asked == 0:
		return file, nil
	case asked < 0 || asked > most:
		return 0, fmt.Errorf("%s must be from 1 to %d, not %d", what, most, asked)
	}
	return asked, nil
}
