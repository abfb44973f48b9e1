package merge

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
)

// place is a pair of model and backend in a pool.
type place struct {
	pool string
	matrix.Pair
}

func (p place) String() string {
	if p.pool == "" {
		return p.Pair.String()
	}
	return p.Pair.String() + " in pool " + p.pool
}

// planned is what the runs were to measure together.
type planned struct {
	keys   map[record.Key]place
	places []place
	of     map[place]*owner
}

// owner is who was to measure a place.
type owner struct {
	part  *part        // nil when no part was
	shard matrix.Shard // that it is in, where parts are shards
	rows  int
}

// plan adds up the plans that the parts are or are shards of.
func plan(parts []*part) (*planned, error) {
	out := &planned{keys: map[record.Key]place{}, of: map[place]*owner{}}
	for _, p := range parts {
		whole, err := p.setup.Whole()
		if err != nil {
			return nil, fmt.Errorf("%w: the matrix of %s gives no plan: %w", ErrNoRun, p.dir, err)
		}
		for i := range whole.Cells {
			c := &whole.Cells[i]
			at := place{p.setup.Pool, c.Pair()}
			o := out.of[at]
			if o == nil {
				o = &owner{}
				out.of[at], out.places = o, append(out.places, at)
			}
			if s := p.setup.Shard; s == nil || slices.Contains(s.Pairs, c.Pair()) {
				o.part = p
			} else if o.part == nil {
				o.shard = *s
			}
			for launch := range whole.Spec.Launches {
				for rep := range whole.Spec.Repetitions {
					k := record.Key{Pool: at.pool, CellID: c.ID, Launch: launch, Rep: rep}
					if _, seen := out.keys[k]; !seen {
						out.keys[k] = at
						o.rows++
					}
				}
			}
		}
	}
	return out, nil
}

// Gap is rows of a model on a backend that are planned and not there, or failed.
type Gap struct {
	Place  string // "MODEL on BACKEND", with its pool
	Rows   int
	Of     int    // planned
	Failed bool   // they are there as errors; else nothing is
	Dir    string // of the run that was to measure them; empty when it is not among the parts
	Shards int    // that the plan was divided into, where that run was one of them; 0 for none
}

// gaps returns what is missing and what failed, given how each row ended.
func (p *planned) gaps(ended map[record.Key]record.Status) []Gap {
	missing, failed := map[place]int{}, map[place]int{}
	for k, at := range p.keys {
		switch ended[k] {
		case "":
			missing[at]++
		case record.StatusError:
			failed[at]++
		}
	}
	var out []Gap
	for _, at := range p.places {
		o := p.of[at]
		g := Gap{Place: at.String(), Of: o.rows, Shards: o.shard.Of}
		if o.part != nil {
			g.Dir = o.part.dir
		}
		if g.Rows = missing[at]; g.Rows > 0 {
			out = append(out, g)
		}
		if g.Rows, g.Failed = failed[at], true; g.Rows > 0 {
			out = append(out, g)
		}
	}
	return out
}
