package analyze

import (
	"math"
	"strings"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Estimate is a value with the half-width of its interval at Confidence; Half
// is nil when too few rows give none.
type Estimate struct {
	Value float64
	Half  *float64
}

// Rate is how fast a phase ran and what it took, over the rows of a group or
// the groups of a configuration.
type Rate struct {
	Rows    int
	Tokens  int64    // over all rows and sequences
	Seconds float64  // over all rows
	SPerTok Estimate // Seconds / Tokens

	Energy *Energy // gross: what the device draws idle is in it; nil when not known
	// Samples is energy by the rows' own power, and Powered how many rows have
	// one, whether or not windows give Energy; both of groups only.
	Samples *Energy
	Powered int
	// Scenarios are those of a configuration, EnergyOf the ones of them in which
	// the phase's energy is known, and EnergyShare their part of its seconds.
	Scenarios, EnergyOf []string
	EnergyShare         float64

	perRound map[round]float64 // seconds per token of each round of a group
}

// Energy is what a token took:
//
//	JPerTok + PowerW × seconds per token
//
// Of a group it is one of the two, of a configuration either or both.
type Energy struct {
	PowerW  *Estimate // mean over the seconds of the rows that have it
	JPerTok *Estimate // measured by itself, in windows
	MeanW   float64   // what the device drew while energy was measured: in rows, or in windows, whose pace may be another
	Method  string    // how it was measured; see the Method constants
}

// The methods of Energy. Windows add "counter" and "integral"; see
// record.WindowRecord. What rests on several joins their names.
const (
	MethodSamples = "samples" // power sampled while the rows ran
	MethodAssumed = "assumed" // watts the user gave
)

// TokPerS returns tokens over seconds.
func (r Rate) TokPerS() float64 { return 1 / r.SPerTok.Value }

// JPerTok returns joules per token; nil when energy is not known.
func (r Rate) JPerTok() *float64 {
	if r.Energy == nil {
		return nil
	}
	j := r.Energy.joules(r.SPerTok.Value)
	return &j
}

func (e *Energy) joules(sPerTok float64) float64 {
	j := 0.0
	if e.PowerW != nil {
		j += e.PowerW.Value * sPerTok
	}
	if e.JPerTok != nil {
		j += e.JPerTok.Value
	}
	return j
}

// watts returns what the device drew; nil when energy is not known.
func (r Rate) watts() *float64 {
	if r.Energy == nil {
		return nil
	}
	return &r.Energy.MeanW
}

// joules returns joules per token with their half-width, nil where that is not
// known.
func (r Rate) joules() (*Estimate, error) {
	if r.Energy == nil {
		return nil, nil
	}
	p, ok := r.interval()
	if !ok {
		return &Estimate{Value: *r.JPerTok()}, nil
	}
	j, _, err := p.Energy()
	return &Estimate{j.Value, &j.Half}, err
}

func (r Rate) withoutEnergy() Rate {
	r.Energy = nil
	return r
}

func (r Rate) phase() econ.Phase { return econ.Phase{TokPerS: r.TokPerS(), JPerTok: r.JPerTok()} }

// interval returns the rate for propagation; ok is false when an interval that
// enters is not known.
func (r Rate) interval() (p econ.PhaseInterval, ok bool) {
	s, ok := r.SPerTok.interval()
	if !ok {
		return p, false
	}
	p.SPerTok = *s
	if r.Energy == nil {
		return p, true
	}
	var power, joules bool
	p.PowerW, power = r.Energy.PowerW.interval()
	p.JPerTok, joules = r.Energy.JPerTok.interval()
	return p, power && joules
}

// interval returns the estimate for propagation, nil for nil; ok is false when
// its half-width is not known.
func (e *Estimate) interval() (i *econ.Interval, ok bool) {
	switch {
	case e == nil:
		return nil, true
	case e.Half == nil:
		return nil, false
	}
	return &econ.Interval{Value: e.Value, Half: *e.Half}, true
}

// scaled returns f times the estimate; known is false when its half-width is
// not.
func (e *Estimate) scaled(f float64) (v econ.Interval, known bool) {
	v.Value = f * e.Value
	if e.Half != nil {
		v.Half = f * *e.Half
	}
	return v, e.Half != nil
}

// phaseRow is one phase of one row.
type phaseRow struct {
	tokens int // per sequence
	ms     float64
	power  power
}

// rate sums one phase over the rows of g.
func (g *Group) rate(phase func(*record.Record) phaseRow) Rate {
	var out Rate
	var perTok []float64
	var rows []phaseRow
	for _, r := range g.Rows {
		p := phase(r)
		tokens, s := int64(p.tokens)*int64(g.Batch), p.ms/1000
		out.Tokens += tokens
		out.Seconds += s
		perTok = append(perTok, s/float64(tokens))
		rows = append(rows, p)
	}
	out.Rows = len(g.Rows)
	spread, _ := stats.Describe(g.replicates(perTok), Confidence)
	out.SPerTok = Estimate{out.Seconds / float64(out.Tokens), spread.Half}
	out.perRound = g.byRound(perTok)
	out.Samples, out.Powered = energyOf(rows)
	out.Energy = out.Samples
	return out
}

// energyOf returns the energy by the power of rows, and how many have one.
// Assumed watts count only where no row has others; they are exact, as prices
// are.
func energyOf(rows []phaseRow) (*Energy, int) {
	for _, method := range []string{MethodSamples, MethodAssumed} {
		var watts []float64
		var joules, seconds float64
		for _, r := range rows {
			if r.power.method == method {
				watts = append(watts, r.power.watts)
				joules += r.power.watts * r.ms
				seconds += r.ms
			}
		}
		if len(watts) == 0 {
			continue
		}
		spread, _ := stats.Describe(watts, Confidence)
		half := spread.Half
		if method == MethodAssumed {
			half = new(float64)
		}
		return &Energy{PowerW: &Estimate{joules / seconds, half}, MeanW: joules / seconds, Method: method}, len(watts)
	}
	return nil, 0
}

// minPowered is the share of a configuration's seconds that scenarios must cover
// whose energy is known by the power of their rows. It is known where phases are
// long, so below that the slow would stand for the fast. Windows measure what
// they were asked to, long or short: scenarios with those stand for the others
// whatever their share, which every cost made with it says.
const minPowered = 0.5

// pool joins the rates of several scenarios. The pooled time per token is their
// mean weighted by the tokens of a row, so that a scenario which was cut short
// counts as the others do; its interval is over rounds, and where scenarios were
// not measured in the same rounds, they count as independent and their
// half-widths add in quadrature. Energy is pooled by poolEnergy.
func pool(scenarios []string, rates []Rate) Rate {
	var out Rate
	for _, r := range rates {
		out.Tokens += r.Tokens
		out.Seconds += r.Seconds
		out.Powered += r.Powered
	}
	var times []Estimate
	var byTokens []float64
	sum := 0.0
	for _, r := range rates {
		out.Rows += r.Rows
		sum += float64(r.Tokens) / float64(r.Rows)
	}
	for _, r := range rates {
		times = append(times, r.SPerTok)
		byTokens = append(byTokens, float64(r.Tokens)/float64(r.Rows)/sum)
	}
	out.SPerTok = weighted(times, byTokens)
	if half := overRounds(rates, byTokens); half != nil {
		out.SPerTok.Half = half
	}
	out.poolEnergy(scenarios, rates)
	return out
}

// poolEnergy gives a pooled rate the energy of the scenarios that have it. Each
// adds the joules of its tokens; the seconds of the others count at the mean
// power of those, see minPowered. The shares of seconds are taken as exact,
// half-widths add in quadrature.
func (r *Rate) poolEnergy(scenarios []string, rates []Rate) {
	r.Scenarios = scenarios
	var covered, meanW float64
	var methods set
	windowed := false
	for i, x := range rates {
		if x.Energy == nil {
			continue
		}
		covered += x.Seconds
		meanW += x.Seconds * x.Energy.MeanW
		r.EnergyOf = append(r.EnergyOf, scenarios[i])
		methods.add(x.Energy.Method)
		windowed = windowed || x.Energy.JPerTok != nil
	}
	if r.EnergyShare = covered / r.Seconds; r.EnergyShare < minPowered && !windowed {
		return
	}
	var powers, joules []Estimate
	var bySeconds, byTokens []float64
	for _, x := range rates {
		if x.Energy == nil {
			continue
		}
		if p := x.Energy.PowerW; p != nil {
			powers, bySeconds = append(powers, *p), append(bySeconds, x.Seconds/covered)
		}
		if j := x.Energy.JPerTok; j != nil {
			joules, byTokens = append(joules, *j), append(byTokens, float64(x.Tokens)/float64(r.Tokens)/r.EnergyShare)
		}
	}
	r.Energy = &Energy{MeanW: meanW / covered, Method: strings.Join(methods.list, "+")}
	if len(powers) > 0 {
		p := weighted(powers, bySeconds)
		r.Energy.PowerW = &p
	}
	if len(joules) > 0 {
		j := weighted(joules, byTokens)
		r.Energy.JPerTok = &j
	}
}

// overRounds returns the half-width of the weighted mean time per token over
// rounds; nil when there are no rounds in common, or too few.
func overRounds(rates []Rate, weight []float64) *float64 {
	var scenarios []map[round]float64
	for _, r := range rates {
		scenarios = append(scenarios, r.perRound)
	}
	var means []float64
	for _, values := range inRounds(scenarios) {
		mean := 0.0
		for i, v := range values {
			mean += weight[i] * v
		}
		means = append(means, mean)
	}
	over, _ := stats.Describe(means, Confidence)
	return over.Half
}

func weighted(x []Estimate, weight []float64) Estimate {
	var value, square float64
	known := true
	for i, e := range x {
		value += weight[i] * e.Value
		if e.Half == nil {
			known = false
			continue
		}
		square += weight[i] * weight[i] * *e.Half * *e.Half
	}
	if !known {
		return Estimate{Value: value}
	}
	half := math.Sqrt(square)
	return Estimate{value, &half}
}
