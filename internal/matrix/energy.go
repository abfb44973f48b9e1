package matrix

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Energy says how the energy of the phases is measured, what is measured of the
// devices themselves and what is watched meanwhile. It is no part of the work that a cell's ID stands for.
type Energy struct {
	WindowS   float64  // seconds that a window is open at least; default 3
	Windows   int      // separated windows of each phase of a cell; default 3, 0 for none
	Scenarios []string // that have windows; nil (default) for all
	IdleS     float64  // seconds that a device is watched at rest before the run; default 5, 0 for not
	Roofline  bool     // measure how fast a device copies, reads and multiplies; default true
	// AssumedCPUW is what the user says the CPU draws in W, for machines that
	// do not tell; nil (default) if nothing is said. It is no measurement.
	AssumedCPUW *float64
	MaxTempC    float64 // above it a row counts as degraded; default 80
	Foreign     Foreign // default warn
}

// Foreign says what to do when other processes compute on the GPU.
type Foreign string

// What can be done: tell it with the rows, measure only when they have gone, or
// measure nothing.
const (
	ForeignWarn Foreign = "warn"
	ForeignWait Foreign = "wait"
	ForeignFail Foreign = "fail"
)

// Covers reports whether cells of a scenario have windows.
func (e Energy) Covers(scenario string) bool {
	return e.Windows > 0 && (e.Scenarios == nil || slices.Contains(e.Scenarios, scenario))
}

// Bounds that catch slips of the keyboard. A sensor that is slow for windowS is
// no matter: a window is as long as the sensor needs.
const (
	minWindowS = 0.1
	maxWindowS = 600
	maxWindows = 100
	maxWatts   = 10_000
	maxTempC   = 150
)

// energy reads the block, which may be absent. Scenarios must have been read.
func (r *reader) energy(n ast.Node) Energy {
	t := &table{} // in which every key is absent
	if n != nil {
		t = r.table(n, "energy")
	}
	e := Energy{
		WindowS:     t.numberOr("window_s", minWindowS, maxWindowS, 3),
		Windows:     t.int("windows", 0, maxWindows, 3),
		IdleS:       t.numberOr("idle_s", 0, maxWindowS, 5),
		Roofline:    *t.bool("roofline", true),
		AssumedCPUW: t.number("assumed_cpu_w", 0.1, maxWatts),
		MaxTempC:    t.numberOr("max_temp_c", 1, maxTempC, 80),
		Foreign:     Foreign(t.choice("foreign", string(ForeignWarn), string(ForeignWait), string(ForeignFail))),
	}
	seen := map[string]bool{}
	e.Scenarios = list(t, "scenarios", func(n ast.Node) string {
		name, ok := stringOf(n)
		switch unknown := r.unknown("scenario", name); {
		case !ok:
			r.errorf(start(n), "a scenario's name must be text, not %s", describe(n))
		case unknown != "":
			r.errorf(start(n), "%s", unknown)
		case seen[name]:
			r.errorf(start(n), "scenario %q is named twice", name)
		}
		seen[name] = true
		return name
	})
	t.end()
	return e
}
