package runner

import (
	"cmp"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// A window is open for record.WindowPeriods of the sensor at least, after a ramp-in of
// rampPeriods and at least minRamp: until then the sensor tells of the time
// before, and clocks and power of the device settle.
const (
	rampPeriods = 3
	minRamp     = 500 * time.Millisecond
)

// phases in the order in which their windows alternate.
var phases = []string{"prefill", "decode"}

// lengths returns how long the ramp-in and the window last at least.
func lengths(e matrix.Energy, period time.Duration) (ramp, window time.Duration) {
	asked := time.Duration(e.WindowS * float64(time.Second))
	return max(minRamp, rampPeriods*period), max(asked, record.WindowPeriods*period)
}

// lasting returns how long a window takes at least, with the rows around it.
func lasting(e matrix.Energy, period time.Duration) time.Duration {
	ramp, window := lengths(e, period)
	return ramp + window + 2*wire.ReferencesFor
}

// WindowTime returns how long the energy windows of the cells of a group that
// can run take at least, in a place where the energy of their device is told.
func WindowTime(g *GroupCheck, e matrix.Energy) time.Duration {
	var sum time.Duration
	for _, c := range g.running() {
		if e.Covers(c.Scenario.Name) {
			sum += time.Duration(e.Windows*len(phases)) * lasting(e, 0)
		}
	}
	return sum
}

// sensor returns the period of what tells the energy of a cell's device. ok is
// false if the cell has no windows.
func (r *run) sensor(c *matrix.Cell) (period time.Duration, ok bool) {
	if r.Telemetry == nil || !r.plan.Spec.Energy.Covers(c.Scenario.Name) {
		return 0, false
	}
	return r.Telemetry.SensorPeriod(deviceKind(c.Backend))
}

// windowTime returns how long one window of a cell takes at least.
func (r *run) windowTime(c *matrix.Cell) time.Duration {
	period, _ := r.sensor(c)
	return lasting(r.plan.Spec.Energy, period)
}

// windowEnd is how a window ended.
type windowEnd int

const (
	windowFailed windowEnd = iota + 1
	windowMeasured
	windowSpoilt // measured, not valid, and may be another time
)

// endWindow takes note of a window that has ended.
func (r *run) endWindow(w *record.WindowRecord) {
	end := windowMeasured
	switch {
	case w.Error != nil:
		end = windowFailed
	case w.MayPass():
		end = windowSpoilt
	}
	r.windows[w.Key()] = end
}

// missingWindows returns the windows of a cell that were not measured yet, in
// the order in which they are to be: those of one phase are separated by those
// of the other. For each one that was spoilt there is one more, until there are
// twice as many as asked for.
func (r *run) missingWindows(c *matrix.Cell) []record.WindowKey {
	if _, ok := r.sensor(c); !ok {
		return nil
	}
	asked := r.plan.Spec.Energy.Windows
	wanted := map[string]int{}
	var keys []record.WindowKey
	for n := range 2 * asked {
		for _, phase := range phases {
			if n >= asked+wanted[phase] {
				continue
			}
			k := record.WindowKey{Pool: r.Place.Pool, CellID: c.ID, Phase: phase, Window: n}
			switch r.windows[k] {
			case windowMeasured:
			case windowSpoilt:
				wanted[phase]++
			default:
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// windowsMissing reports whether a cell of the group that was timed lacks
// windows.
func (r *run) windowsMissing(g *GroupCheck) bool {
	for i := range g.Cells {
		if c := &g.Cells[i].Cell; r.timed[c.ID] != nil && len(r.missingWindows(c)) > 0 {
			return true
		}
	}
	return false
}

// countWindows puts into the summary how the windows of the timed cells ended.
func (r *run) countWindows() {
	for i := range r.plan.Cells {
		c := &r.plan.Cells[i]
		if r.timed[c.ID] == nil {
			continue
		}
		for _, k := range r.missingWindows(c) {
			if r.windows[k] == windowFailed {
				r.sum.WindowErrors++
			} else {
				r.sum.WindowsMissing++
			}
		}
	}
}

// noteUnpowered tells once for each kind of device that cells which are to have
// windows get none, since nothing tells its energy.
func (r *run) noteUnpowered(groups []GroupCheck) {
	told := map[string]bool{}
	for i := range groups {
		for _, c := range groups[i].running() {
			kind := deviceKind(c.Backend)
			if _, ok := r.sensor(&c.Cell); ok || told[kind] || !r.plan.Spec.Energy.Covers(c.Scenario.Name) {
				continue
			}
			told[kind] = true
			why := "nothing here tells its energy"
			if r.Unpowered != nil {
				why = cmp.Or(r.Unpowered(kind), why)
			}
			r.Progress.Note("no energy windows on the " + deviceNames[kind] + ": " + why)
		}
	}
}
