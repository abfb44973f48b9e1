package analyze

import (
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// clockDropPct is how far the SM clock of a row may lie below the run's own
// median on the device.
const clockDropPct = 5

// Degraded is a row whose device was not at its best. It stays in every
// statistic.
type Degraded struct {
	Row       *record.Record
	Why       string   // what the run flagged it for; "" when it was only slow
	MedianMHz *float64 // SM clock of the run's rows on the device; nil unless the row's is known
	DropPct   *float64 // of the row's clock below it; nil with MedianMHz
}

// clockDropped reports whether the row's clock lies too far below the median.
func (d Degraded) clockDropped() bool { return d.DropPct != nil && *d.DropPct > clockDropPct }

// reasons says what is wrong with the row.
func (d Degraded) reasons() string {
	var out []string
	if d.Row.Degraded {
		out = append(out, d.Why)
	}
	if d.clockDropped() {
		out = append(out, fmt.Sprintf("SM clock %.0f MHz, %.0f %% below the run's median", *d.Row.GPUClockMHz, *d.DropPct))
	}
	return strings.Join(out, "; ")
}

// degraded returns the rows that ran degraded, in order of the groups, and
// counts them in those.
func degraded(groups []*Group, w *warnings) []Degraded {
	type place struct{ run, device string }
	clocks := map[place][]float64{}
	onGPU := func(r *record.Record) bool { return r.GPUClockMHz != nil && r.DeviceKind != "cpu" }
	for _, g := range groups {
		for _, r := range g.Rows {
			if onGPU(r) {
				at := place{r.RunID, r.Device}
				clocks[at] = append(clocks[at], *r.GPUClockMHz)
			}
		}
	}
	medians := map[place]float64{}
	for at, list := range clocks {
		medians[at], _ = stats.Percentile(list, 50)
	}
	var out []Degraded
	for _, g := range groups {
		for _, r := range g.Rows {
			d := Degraded{Row: r, Why: why(r)}
			if median := medians[place{r.RunID, r.Device}]; onGPU(r) && median > 0 {
				drop := 100 * (1 - *r.GPUClockMHz/median)
				d.MedianMHz, d.DropPct = &median, &drop
			}
			if d.clockDropped() {
				g.ClockDrops++
				w.add(g.Key.String(), "the SM clock of a row was more than %d %% below the run's median on the device (kept)", clockDropPct)
			}
			if r.Degraded || d.clockDropped() {
				g.Degraded++
				out = append(out, d)
			}
		}
	}
	return out
}

// why returns what the run flagged a row for.
func why(r *record.Record) string {
	for _, text := range r.Warnings {
		if reason, ok := strings.CutPrefix(text, record.DegradedWarning); ok {
			return reason
		}
	}
	return "no reason recorded"
}

func degradedTable() definition {
	return definition{
		name: studies + "degraded", title: "Rows that ran degraded", needs: "a row that was hot, held back or below the run's clock; there is none",
		columns: append(groupColumns(), col("launch", "launch", ""), col("rep", "repetition", ""),
			Column{Name: "gpu_temp_c", Title: "GPU", Unit: "°C", Blank: true}, Column{Name: "gpu_clock_mhz", Title: "SM clock", Unit: "MHz", Blank: true},
			Column{Name: "median_clock_mhz", Title: "median of the run", Unit: "MHz", Blank: true}, Column{Name: "drop_pct", Title: "below it", Unit: "%", Blank: true},
			blank("throttle", "held back by"), col("why", "why", "")),
		fill: func(a *Analysis, t *Table) error {
			for _, d := range a.Degraded {
				r := d.Row
				t.Add(append(groupCells(keyOf(r)), r.Launch, r.Rep, r.GPUTempC, r.GPUClockMHz, d.MedianMHz, d.DropPct, strings.Join(r.Throttle, ", "), d.reasons())...)
			}
			return nil
		},
		notes: []string{"Flagged and counted, and in every statistic."},
	}
}
