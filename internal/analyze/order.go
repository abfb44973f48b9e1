package analyze

import (
	"cmp"
	"slices"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// order says which cell comes before which. Tables and sums follow it, so that
// they do not depend on how rows lie in their file: shards may be put together
// in any order.
type order struct {
	cells  map[string]int // by ID
	models map[string]int
}

// newOrder returns the order of the plan; cells that it lacks come after those,
// in the order in which their first rows were measured, as far as rows say when.
func newOrder(planned []string, rows []record.Record) order {
	o := order{cells: map[string]int{}, models: map[string]int{}}
	for i, id := range planned {
		o.cells[id] = i
	}
	first := map[string]time.Time{}
	var others []string
	for i := range rows {
		r := &rows[i]
		if _, known := o.cells[r.CellID]; known {
			continue
		}
		at, seen := first[r.CellID]
		if !seen {
			others = append(others, r.CellID)
		}
		if !seen || r.Timestamp.Before(at) {
			first[r.CellID] = r.Timestamp
		}
	}
	slices.SortStableFunc(others, func(a, b string) int { return first[a].Compare(first[b]) })
	for _, id := range others {
		o.cells[id] = len(o.cells)
	}
	for i := range rows {
		r := &rows[i]
		if at, seen := o.models[r.Model]; !seen || o.cells[r.CellID] < at {
			o.models[r.Model] = o.cells[r.CellID]
		}
	}
	return o
}

// rows returns the rows as a run measures them: launch by launch, cell by cell,
// pool by pool, warm-ups first.
func (o order) rows(rows []record.Record) []record.Record {
	warm := func(r *record.Record) int {
		if r.Warmup {
			return 0
		}
		return 1
	}
	return sorted(rows, func(a, b *record.Record) int {
		return cmp.Or(cmp.Compare(a.Launch, b.Launch), cmp.Compare(o.cells[a.CellID], o.cells[b.CellID]), cmp.Compare(a.Pool, b.Pool), cmp.Compare(warm(a), warm(b)), cmp.Compare(a.Rep, b.Rep))
	})
}

func (o order) windows(windows []record.WindowRecord) []record.WindowRecord {
	return sorted(windows, func(a, b *record.WindowRecord) int {
		return cmp.Or(cmp.Compare(a.Launch, b.Launch), cmp.Compare(o.cells[a.CellID], o.cells[b.CellID]), cmp.Compare(a.Pool, b.Pool), -cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Window, b.Window))
	})
}

func (o order) kv(points []record.KVRecord) []record.KVRecord {
	return sorted(points, func(a, b *record.KVRecord) int {
		return cmp.Or(cmp.Compare(o.models[a.Model], o.models[b.Model]), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Pool, b.Pool),
			cmp.Compare(a.KVTypeK, b.KVTypeK), cmp.Compare(a.KVTypeV, b.KVTypeV), cmp.Compare(a.Asked, b.Asked))
	})
}

func (o order) quality(records []record.QualityRecord) []record.QualityRecord {
	return sorted(records, func(a, b *record.QualityRecord) int {
		return cmp.Or(cmp.Compare(o.models[a.Model], o.models[b.Model]), cmp.Compare(a.Model, b.Model), cmp.Compare(a.DeviceKind, b.DeviceKind), cmp.Compare(a.Pool, b.Pool),
			cmp.Compare(a.KVTypeK, b.KVTypeK), cmp.Compare(a.KVTypeV, b.KVTypeV))
	})
}

func (order) devices(devices []record.DeviceRecord) []record.DeviceRecord {
	return sorted(devices, func(a, b *record.DeviceRecord) int {
		return cmp.Or(a.Timestamp.Compare(b.Timestamp), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Device, b.Device))
	})
}

// sorted returns a sorted copy. A record is large: it is moved once.
func sorted[T any](in []T, compare func(a, b *T) int) []T {
	at := make([]*T, len(in))
	for i := range in {
		at[i] = &in[i]
	}
	slices.SortStableFunc(at, compare)
	out := make([]T, len(in))
	for i, p := range at {
		out[i] = *p
	}
	return out
}
