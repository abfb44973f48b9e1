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

// find returns the group that did what a group of another side did, or nil: the
// one of the same key or, since other programs name their work in their own way,
// the only one of another program with as many tokens.
func (s *Side) find(of *analyze.Group, sameBackend bool) *analyze.Group {
	want := matching(of.Key, sameBackend)
	i := slices.IndexFunc(s.groups, func(g *analyze.Group) bool { return matching(g.Key, sameBackend) == want })
	if i >= 0 {
		return s.groups[i]
	}
	var alike []*analyze.Group
	for _, g := range s.groups {
		k := matching(g.Key, sameBackend)
		k.Scenario = want.Scenario
		if k == want && g.PromptTokens == of.PromptTokens && g.GenTokens == of.GenTokens && g.Rows[0].Origin != of.Rows[0].Origin {
			alike = append(alike, g)
		}
	}
	if len(alike) != 1 {
		return nil
	}
	return alike[0]
}

// matching is what groups of two sides have in common that are compared.
func matching(k analyze.Key, sameBackend bool) analyze.Key {
	if !sameBackend {
		k.Backend = ""
	}
	return k
}
