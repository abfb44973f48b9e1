package analyze

import (
	"math"

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

// Rate is how fast a phase ran and what it drew, over the rows of a group or
// the groups of a configuration.
type Rate struct {
	Tokens  int64     // over all rows and sequences
	Seconds float64   // over all rows
	SPerTok Estimate  // Seconds / Tokens
	PowerW  *Estimate // mean over the seconds of the rows that have it; nil when none has
	Powered int       // rows with power

	PoweredShare float64 // of Seconds, in cells with power

	perRound map[round]float64 // seconds per token of each round of a group
}

// TokPerS returns tokens over seconds.
func (r Rate) TokPerS() float64 { return 1 / r.SPerTok.Value }

// JPerTok returns mean power times time per token; nil without power.
func (r Rate) JPerTok() *float64 {
	if r.PowerW == nil {
		return nil
	}
	j := r.PowerW.Value * r.SPerTok.Value
	return &j
}

func (r Rate) withoutPower() Rate {
	r.PowerW = nil
	return r
}

func (r Rate) phase() econ.Phase { return econ.Phase{TokPerS: r.TokPerS(), JPerTok: r.JPerTok()} }

// interval returns the rate for propagation; ok is false when an interval that
// enters is not known.
func (r Rate) interval() (p econ.PhaseInterval, ok bool) {
	if r.SPerTok.Half == nil || r.PowerW != nil && r.PowerW.Half == nil {
		return p, false
	}
	p.SPerTok = econ.Interval{Value: r.SPerTok.Value, Half: *r.SPerTok.Half}
	if r.PowerW != nil {
		p.PowerW = &econ.Interval{Value: r.PowerW.Value, Half: *r.PowerW.Half}
	}
	return p, true
}

// phaseRow is one phase of one row.
type phaseRow struct {
	tokens int // per sequence
	ms     float64
	powerW *float64
}

// rate sums one phase over the rows of g.
func (g *Group) rate(phase func(*record.Record) phaseRow) Rate {
	var out Rate
	var perTok, power []float64
	var joules, poweredS float64
	for _, r := range g.Rows {
		p := phase(r)
		tokens, s := int64(p.tokens)*int64(g.Batch), p.ms/1000
		out.Tokens += tokens
		out.Seconds += s
		perTok = append(perTok, s/float64(tokens))
		if p.powerW != nil && *p.powerW > 0 {
			power = append(power, *p.powerW)
			joules += *p.powerW * s
			poweredS += s
		}
	}
	over, _ := stats.Describe(g.replicates(perTok), Confidence)
	out.SPerTok = Estimate{out.Seconds / float64(out.Tokens), over.Half}
	out.perRound = g.byRound(perTok)
	if out.Powered = len(power); out.Powered > 0 {
		out.PoweredShare = poweredS / out.Seconds
		over, _ := stats.Describe(power, Confidence)
		out.PowerW = &Estimate{joules / poweredS, over.Half}
	}
	return out
}

// minPowered is the share of a configuration's seconds that cells with power
// must cover for their mean to stand for all of it.
const minPowered = 0.5

// pool joins the rates of several groups. The pooled time per token is the mean
// of the groups' weighted by tokens, and the pooled power that of the groups
// which have it weighted by seconds, nil when those cover less than minPowered
// of all. The interval of the time is over rounds; where scenarios were not
// measured in the same rounds, and for power, they count as independent and
// their half-widths add in quadrature.
func pool(rates []Rate) Rate {
	var out Rate
	for _, r := range rates {
		out.Tokens += r.Tokens
		out.Seconds += r.Seconds
		out.Powered += r.Powered
	}
	var times, powers []Estimate
	var byTokens, bySeconds []float64
	var powered float64
	for _, r := range rates {
		if r.PowerW != nil {
			powered += r.Seconds
		}
	}
	for _, r := range rates {
		times = append(times, r.SPerTok)
		byTokens = append(byTokens, float64(r.Tokens)/float64(out.Tokens))
		if r.PowerW != nil {
			powers = append(powers, *r.PowerW)
			bySeconds = append(bySeconds, r.Seconds/powered)
		}
	}
	out.SPerTok = weighted(times, byTokens)
	if half := overRounds(rates, byTokens); half != nil {
		out.SPerTok.Half = half
	}
	if out.PoweredShare = powered / out.Seconds; out.PoweredShare >= minPowered {
		power := weighted(powers, bySeconds)
		out.PowerW = &power
	}
	return out
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
