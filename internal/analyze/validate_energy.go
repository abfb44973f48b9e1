package analyze

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

func (a *Analysis) checkPowerSamples() Check {
	var t tally
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.PhasePower == nil {
				continue
			}
			for _, p := range []struct {
				name string
				record.PowerStats
				ms float64
			}{{"prefill", r.PhasePower.Prefill, *r.PrefillMs}, {"decode", r.PhasePower.Decode, *r.DecodeMs}} {
				if watts, _ := phasePower(r.PhasePower, p.PowerStats, p.ms); watts == nil {
					continue
				}
				t.seen++
				if p.NSamples < fewSamples {
					t.find(Warn, fmt.Sprintf("%s, %s: %d samples", g.Key, p.name, p.NSamples))
				}
			}
		}
	}
	return t.check("power samples", fmt.Sprintf("every power figure rests on %d samples or more", fewSamples), "phases of rows", "rows carry no power, or only of phases too short for it")
}

// eachWindow calls f for each energy window of the groups.
func (a *Analysis) eachWindow(f func(r *record.WindowRecord, where string)) {
	for _, g := range a.Groups {
		for _, p := range g.energies() {
			for _, r := range p.windows.All {
				f(r, fmt.Sprintf("%s, %s window %d", g.Key, p.name, r.Window))
			}
		}
	}
}

// checkWindows passes when most windows count: a few that were disturbed are
// what their reasons are for.
func (a *Analysis) checkWindows() Check {
	var t tally
	a.eachWindow(func(r *record.WindowRecord, where string) {
		t.seen++
		if why := invalid(r); len(why) > 0 {
			t.find(Warn, where+": "+strings.Join(why, ", "))
		}
	})
	c := t.check("energy windows", fmt.Sprintf("%d %% of the energy windows or more are valid", windowsPct), "windows", "no energy windows")
	if valid := t.seen - t.bad; t.bad > 0 {
		c.Result = fmt.Sprintf("%d of %d windows are valid", valid, t.seen)
		if 100*valid >= windowsPct*t.seen {
			c.Outcome = Pass
		}
	}
	return c
}

func (a *Analysis) checkConsistency() Check {
	var t tally
	a.eachWindow(func(r *record.WindowRecord, where string) {
		if pct := consistencyPct(r); pct != nil && len(invalid(r)) == 0 {
			t.seen++
			if math.Abs(*pct) > consistentPct {
				t.find(Warn, fmt.Sprintf("%s: %+.1f %%", where, *pct))
			}
		}
	})
	return t.check("energy consistency", fmt.Sprintf("energy counter and integral of power of a valid window agree within %d %%", consistentPct), "windows", "no valid energy window has both")
}

// checkForeign looks at windows, during which other processes are watched for,
// and at rows that say they had one beside them.
func (a *Analysis) checkForeign() Check {
	var t tally
	a.eachWindow(func(r *record.WindowRecord, where string) {
		if r.DeviceKind != "gpu" {
			return
		}
		t.seen++
		if slices.Contains(r.Reasons, record.ForeignProcess) {
			t.find(Warn, where)
		}
	})
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			for _, text := range r.Warnings {
				if strings.HasPrefix(text, record.ForeignWarning) {
					t.seen++
					t.find(Warn, rowName(r)+": "+text)
					break
				}
			}
		}
	}
	return t.check("foreign processes", "nothing else computes on the GPU", "energy windows and rows", "no energy window on a GPU, and no row says so")
}

func (a *Analysis) checkIdle() Check {
	var t tally
	for _, d := range a.DeviceRecords {
		if d.Kind != record.DeviceIdle || d.PowerMeanW == nil || d.DriftW == nil {
			continue
		}
		t.seen++
		if math.Abs(*d.DriftW) > idleDriftPct/100.0**d.PowerMeanW {
			t.find(Warn, fmt.Sprintf("%s: %+.1f W on %.1f W", d.Device, *d.DriftW, *d.PowerMeanW))
		}
	}
	return t.check("idle drift", fmt.Sprintf("idle power changes by less than %d %% while it is watched", idleDriftPct), "devices", "idle power was not measured")
}
