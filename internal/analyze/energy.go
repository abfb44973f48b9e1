package analyze

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Windows is what repeating one phase of a cell for seconds says of its energy.
type Windows struct {
	All   []*record.WindowRecord // in order
	Valid int                    // how many of them count

	JPerTok Estimate // mean over the valid ones; its Half needs minWindows of them. Without a valid one it means nothing
	Method  string   // "counter" or "integral", joined where windows differ
	TokPerS float64  // mean over the valid ones
	CVPct   *float64 // of their J/token; nil for one
	// Consistency is the energy counter over the integral of power, less 1, in
	// percent: the mean over the valid windows that have both. It is of one
	// sensor read in two ways, so no accuracy.
	Consistency *float64
	Reasons     []string // why others do not count, each with how many, most frequent first
	Notes       []string // what some count in spite of, likewise
}

// minWindows is how many windows it takes for an interval.
const minWindows = 3

// addWindows gives the groups the energy windows of their cells.
func addWindows(groups map[Key]*Group, records []record.WindowRecord, w *warnings) {
	for i := range records {
		r := &records[i]
		g := groups[windowKey(r)]
		if g == nil {
			w.add(windowKey(r).String(), "energy windows of a cell without a measured row are left out")
			continue
		}
		at := &g.PrefillWindows
		if r.Phase == "decode" {
			at = &g.DecodeWindows
		}
		if *at == nil {
			*at = &Windows{}
		}
		(*at).All = append((*at).All, r)
	}
	for _, g := range groups {
		g.PrefillWindows.describe()
		g.DecodeWindows.describe()
	}
}

func windowKey(r *record.WindowRecord) Key {
	return Key{
		ConfigKey: ConfigKey{
			Model: r.Model, Backend: backendOf(r.Backend, r.Origin), Batch: max(1, r.Batch),
			KVTypeK: r.KVTypeK, KVTypeV: r.KVTypeV, DecodeMode: r.DecodeMode,
		},
		Scenario: r.Scenario,
	}
}

// describe computes the statistics of windows that are there.
func (x *Windows) describe() {
	if x == nil {
		return
	}
	var joules, rates, consistency []float64
	var methods set
	reasons, notes := map[string]int{}, map[string]int{}
	for _, r := range x.All {
		why := invalid(r)
		for _, reason := range why {
			reasons[reason]++
		}
		if len(why) > 0 {
			continue
		}
		for _, note := range record.Names(r.Notes) {
			notes[note]++
		}
		joules, rates = append(joules, *r.JPerToken), append(rates, r.TokPerS)
		methods.add(r.Method)
		if c := consistencyPct(r); c != nil {
			consistency = append(consistency, *c)
		}
	}
	x.Valid, x.Method, x.Reasons = len(joules), strings.Join(methods.list, "+"), frequent(reasons)
	x.Notes = frequent(notes)
	if c, ok := stats.Describe(consistency, Confidence); ok {
		x.Consistency = &c.Mean
	}
	if x.Valid == 0 {
		return
	}
	j, _ := stats.Describe(joules, Confidence)
	t, _ := stats.Describe(rates, Confidence)
	x.JPerTok, x.CVPct, x.TokPerS = Estimate{Value: j.Mean}, j.CVPct, t.Mean
	if x.Valid >= minWindows {
		x.JPerTok.Half = j.Half
	}
}

// invalid returns why a window does not count; nothing when it does.
func invalid(r *record.WindowRecord) []string {
	why := record.Names(r.Reasons)
	switch {
	case r.Error != nil:
		why = append(why, "error")
	case !r.Valid && len(why) == 0:
		why = append(why, "no reason recorded")
	case r.Valid && (r.JPerToken == nil || !(*r.JPerToken > 0) || math.IsInf(*r.JPerToken, 0) || !(r.TokPerS > 0)):
		why = append(why, "no energy recorded")
	}
	return why
}

// consistencyPct compares the two powers of a window; nil unless it has both.
func consistencyPct(r *record.WindowRecord) *float64 {
	if r.IntegralW == nil || !(*r.IntegralW > 0) {
		return nil
	}
	return lessOne(r.CounterW, r.IntegralW)
}

// frequent names what was counted, "2 too_short", most frequent first.
func frequent(counts map[string]int) []string {
	var out []string
	for name, n := range counts {
		out = append(out, fmt.Sprintf("%d %s", n, name))
	}
	slices.SortFunc(out, func(a, b string) int {
		na, nb := counts[name(a)], counts[name(b)]
		if na != nb {
			return nb - na
		}
		return strings.Compare(name(a), name(b))
	})
	return out
}

func name(counted string) string { _, name, _ := strings.Cut(counted, " "); return name }

// use makes windows the energy of a rate where one of them is valid: they were
// made for it, while the rows' own samples see little of a short phase.
func (r *Rate) use(x *Windows) {
	if x != nil && x.Valid > 0 {
		r.Energy = &Energy{JPerTok: &x.JPerTok, MeanW: x.JPerTok.Value * x.TokPerS, Method: x.Method}
	}
}

// phaseEnergy is one phase of a group with all that is known of its energy.
type phaseEnergy struct {
	name    string
	rate    Rate
	windows *Windows // never nil
	samples int      // power samples inside the phase, all rows
}

func (g *Group) energies() []phaseEnergy {
	out := []phaseEnergy{
		{"prefill", g.Prefill, g.PrefillWindows, 0},
		{"decode", g.Decode, g.DecodeWindows, 0},
	}
	for i := range out {
		if out[i].windows == nil {
			out[i].windows = &Windows{}
		}
	}
	for _, r := range g.Rows {
		if p := r.PhasePower; p != nil {
			out[0].samples += p.Prefill.NSamples
			out[1].samples += p.Decode.NSamples
		}
	}
	return out
}

// netJPerTok returns joules per token beyond what the device draws idle in the
// same time:
//
//	gross - idleW / tok/s
//
// with tok/s of the windows where gross is theirs. Nil where gross was not
// measured, or idle power was not.
func (p phaseEnergy) netJPerTok(idleW *float64) *float64 {
	if idleW == nil || p.rate.Energy == nil || p.rate.Energy.Method == MethodAssumed {
		return nil
	}
	seconds := p.rate.SPerTok.Value
	if p.windows.Valid > 0 {
		seconds = 1 / p.windows.TokPerS
	}
	net := *p.rate.JPerTok() - *idleW*seconds
	return &net
}

// device returns the record of that kind of the device that ran a group; nil when
// there is none.
func (a *Analysis) device(kind string, g *Group) *record.DeviceRecord {
	return a.deviceAt(kind, g.Rows[0].Place, g.DeviceKind)
}

// deviceAt returns the record of a kind of device of a host, which uses one.
func (a *Analysis) deviceAt(kind string, at record.Place, deviceKind string) *record.DeviceRecord {
	key := record.DeviceKey{Place: at, Kind: kind, DeviceKind: deviceKind}
	i := slices.IndexFunc(a.DeviceRecords, func(d record.DeviceRecord) bool { return d.Key() == key })
	if i < 0 {
		return nil
	}
	return &a.DeviceRecords[i]
}

// idleW returns what the device of a group draws idle; nil when not measured.
func (a *Analysis) idleW(g *Group) *float64 {
	if d := a.device(record.DeviceIdle, g); d != nil {
		return d.PowerMeanW
	}
	return nil
}

// Basis says on which scenarios the energy in a configuration's cost rests; ""
// when that is all of them, or there is none.
func (c *Config) Basis() string {
	if c.Prefill.Energy == nil || c.Decode.Energy == nil {
		return ""
	}
	p, d := c.Prefill.EnergyOf, c.Decode.EnergyOf
	switch {
	case len(p) == len(c.Scenarios) && len(d) == len(c.Scenarios):
		return ""
	case slices.Equal(p, d):
		return strings.Join(p, ", ")
	}
	return "prefill: " + strings.Join(p, ", ") + "; decode: " + strings.Join(d, ", ")
}

// warnEnergy notes what the energy of configurations does not rest on.
func (a *Analysis) warnEnergy(w *warnings) {
	for _, c := range a.Configs {
		for _, p := range []struct {
			name string
			Rate
		}{{"prefill", c.Prefill}, {"decode", c.Decode}} {
			switch n, of := len(p.EnergyOf), strings.Join(p.EnergyOf, ", "); {
			case n == 0 || n == len(p.Scenarios):
			case p.Energy == nil:
				w.add(c.ConfigKey.String(), "energy of %s is known by samples of %s only, less than %.0f %% of its time: none in the cost of the configuration; measure energy windows", p.name, of, 100*minPowered)
			default:
				w.add(c.ConfigKey.String(), "energy of %s was measured in %s; the other scenarios count at the mean power of those", p.name, of)
			}
		}
	}
}
