package compare

import (
	"slices"

	"github.com/phasebench/phasebench/internal/analyze"
)

// Side is what is compared: the cells of a run, or of one of its backends.
type Side struct {
	*Run
	Backend string // only this one, as the matrix names it; "" for all

	groups []*analyze.Group
	blend  string
	input  float64 // share of input of the blend
	price  map[*analyze.Group]analyze.Cost
}

// Label names the side.
func (s *Side) Label() string {
	if s.Backend == "" {
		return s.Name
	}
	return s.Name + " " + s.Backend
}

// load analyses the rows and keeps the groups of the backend.
func (s *Side) load(opts analyze.Options) error {
	a, err := s.analyze(opts)
	if err != nil {
		return err
	}
	s.blend, s.input = a.Blend.Name, a.Blend.Input
	for _, g := range a.Groups {
		if s.Backend == "" || s.Backend == g.Backend || s.Backend == g.Rows[0].Backend {
			s.groups = append(s.groups, g)
		}
	}
	return nil
}

// find returns the group of a key, or nil.
func (s *Side) find(k analyze.Key, sameBackend bool) *analyze.Group {
	i := slices.IndexFunc(s.groups, func(g *analyze.Group) bool { return matching(g.Key, sameBackend) == matching(k, sameBackend) })
	if i < 0 {
		return nil
	}
	return s.groups[i]
}

// matching is what groups of two sides have in common that are compared.
func matching(k analyze.Key, sameBackend bool) analyze.Key {
	if !sameBackend {
		k.Backend = ""
	}
	return k
}
