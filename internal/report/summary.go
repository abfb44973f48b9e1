package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// summary gives the answer first.
func (w *author) summary(s *Section) {
	a := w.a
	if len(a.Synthetic) > 0 {
		s.add(Block{Notice: fmt.Sprintf("**SYNTHETIC WEIGHTS.** The weights of %s are seeded random numbers in the model's shape: "+
			"the text is meaningless, and power may differ from that of real weights.", strings.Join(a.Synthetic, ", "))})
	}
	if a.Failed() {
		s.add(Block{Notice: "**The validation failed.** " + Verdict(a)})
	}
	if len(a.Groups) == 0 {
		s.text("No row was measured, so there is nothing to rank, and the sections on results are left out. Why is told in section 2.")
		return
	}
	if !slices.ContainsFunc(a.Rankings, func(r *analyze.Ranking) bool { return r.Own }) {
		s.text(noOwnRate)
	}
	for i, r := range a.Rankings {
		if i == 0 {
			s.add(Block{Lead: answer(r, a.Blend.Name)})
			s.text(caveats(r))
		} else {
			s.text(verdict(r, a.Blend.Name))
		}
		w.shown["tables/cost_rank"] = true
		w.show(s, &tableBlock{Table: r.Table(a.Blend.Name), CSV: "tables/cost_rank.csv", Folded: i > 0})
		if len(r.Unpriced) > 0 {
			s.textf("Without a price of this kind: %s.", configNames(r.Unpriced))
		}
	}
	if p := newPrices(a); p != nil {
		s.add(Block{Prices: p})
	}
	prefill, decode := w.powered()
	s.items(
		w.phaseRatio(),
		fmt.Sprintf("Energy was measured in the prefill of %d and in the decode of %d of %s; a total has it where both phases do.", prefill, decode, count(len(a.Groups), "cell")),
		w.accounting(),
		"Validation: "+Verdict(a),
	)
}

// phaseRatio says how the phases compare, which holds at any price of machine
// time.
func (w *author) phaseRatio() string {
	lo, hi := 0.0, 0.0
	for _, g := range w.a.Groups {
		if g.DecodeMode == "uncached" {
			continue
		}
		v := g.Decode.SPerTok.Value / g.Prefill.SPerTok.Value
		if lo == 0 || v < lo {
			lo = v
		}
		hi = max(hi, v)
	}
	switch {
	case lo == 0:
		return ""
	case significant(lo, 2) == significant(hi, 2):
		return fmt.Sprintf("A decoded token takes %s times as long as a prompt token, and so costs that much more machine time.", significant(lo, 2))
	}
	return fmt.Sprintf("A decoded token takes %s to %s times as long as a prompt token, cell by cell, and costs that much more machine time at any rate.", significant(lo, 2), significant(hi, 2))
}

// powered counts the cells whose energy is known, by phase.
func (w *author) powered() (prefill, decode int) {
	for _, g := range w.a.Groups {
		if g.Prefill.Energy != nil {
			prefill++
		}
		if g.Decode.Energy != nil {
			decode++
		}
	}
	return prefill, decode
}

// accounting says how every planned row ended.
func (w *author) accounting() string {
	a := w.a.Accounting
	s := fmt.Sprintf("%d rows recorded: ", a.Recorded())
	if a.Planned != nil {
		s = fmt.Sprintf("%d rows planned: ", *a.Planned)
	}
	s += fmt.Sprintf("ok %d, skipped %d, error %d", a.OK, a.Skipped, a.Errors)
	if a.Missing > 0 {
		s += fmt.Sprintf(", missing %d", a.Missing)
	}
	return s + fmt.Sprintf(". Warm-ups, in no statistic: %d.", a.Warmups)
}
