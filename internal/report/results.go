package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
)

// results shows speed, spread and what tokens cost by phase.
func (w *author) results(s *Section) {
	s.heading("5.1 Over scenarios")
	w.table(s, "tables/latency_summary")
	s.heading("5.2 By scenario")
	w.table(s, "tables/latency_by_scenario")
	s.text(w.replicates())
	w.figure(s, "decode_tok_s")
	w.figure(s, "latency_cdf")
	if w.table(s, "tables/step_latency") {
		s.text(w.slowSteps())
	}
	w.figure(s, "step_timeline")
	s.heading("5.3 Dollars by phase and blend")
	if w.table(s, "tables/phase_cost") {
		s.items(w.priceSources()...)
		w.table(s, "tables/blend_cost")
		s.text(w.blendSpread())
		w.figure(s, "phase_cost_bar")
	}
	s.heading("5.4 Prefill")
	w.phaseRank(s, "tables/prefill_cost", "prefill")
	s.heading("5.5 Decode")
	w.phaseRank(s, "tables/decode_cost", "decode")
	w.uncached(s)
	if w.ranking() != nil {
		s.heading("5.6 Ranking")
		s.text("The ranking by cost of the blend is at the top, in the [summary](#summary).")
	}
	s.heading("5.7 Stability and warm-up")
	if w.table(s, "tables/warmup") {
		least, most, ok := extremes(w.rows("tables/warmup"), "worst_ratio")
		if ok {
			s.textf("Repetition 0 took between %s (%s) and %s (%s) times the mean of the others, each configuration at its worst.",
				least.shown("worst_ratio"), least.config(), most.shown("worst_ratio"), most.config())
		}
	}
	w.table(s, "tables/cv_bins")
	w.table(s, "tables/watching")
	if len(w.a.Degraded) > 0 {
		w.table(s, "tables/degraded")
	}
	if _, ok := w.view("tables/hardware"); ok {
		s.heading("5.8 By hardware")
		w.table(s, "tables/hardware", w.syntheticNotice())
	}
}

// replicates says what intervals are over.
func (w *author) replicates() string {
	byLaunch := 0
	for _, g := range w.a.Groups {
		if g.ByLaunch {
			byLaunch++
		}
	}
	switch byLaunch {
	case len(w.a.Groups):
		return "Intervals (±) are over the means of independent launches."
	case 0:
		return "Intervals (±) are over repetitions, of fewer than 3 launches; they do not show how much a new launch would differ."
	}
	return fmt.Sprintf("Intervals (±) are over the means of independent launches for %d of %d cells, else over repetitions.", byLaunch, len(w.a.Groups))
}

// slowSteps counts the steps that stand out.
func (w *author) slowSteps() string {
	first, boundary, other, all := 0, 0, 0, 0
	for _, s := range w.a.Steps {
		first, boundary, other, all = first+s.SlowFirst, boundary+s.SlowBoundary, other+s.SlowOther, all+s.Group.Steps
	}
	return fmt.Sprintf("Of %d decode steps %d took more than twice their cell's median: %d are among the first two of their decode, %d follow a multiple of 256 positions in its middle, %d are neither.",
		all, first+boundary+other, first, boundary, other)
}

// priceSources says where the prices of the cost tables come from.
func (w *author) priceSources() []string {
	items := []string{fmt.Sprintf("Blend: %s, %.0f %% input and %.0f %% output tokens.", w.a.Blend.Name, 100*w.a.Blend.Input, 100*w.a.Blend.Output())}
	var labels seen
	for _, g := range w.a.Groups {
		for _, c := range g.Costs {
			labels.add(c.Label() + ": " + c.Source + ".")
		}
	}
	items = append(items, labels...)
	prefill, decode := w.powered()
	if e := w.a.Prices.Energy; e != nil && prefill+decode > 0 {
		items = append(items, fmt.Sprintf("Electricity: $%g/kWh, %s.", e.USDPerKWh, e.Citation()))
	}
	if c := w.a.Carbon; c != nil && prefill+decode > 0 {
		items = append(items, fmt.Sprintf("Carbon: %g g CO2e/kWh (%s), %s.", c.GPerKWh, c.Name, c.Citation()))
	}
	return items
}

// blendSpread says how much the blend matters to the cheapest configuration.
func (w *author) blendSpread() string {
	r := w.ranking()
	if r == nil {
		return ""
	}
	best := r.Entries[0].ConfigKey.String()
	for _, e := range w.deciding("tables/blend_cost") {
		if e.config() != best {
			continue
		}
		var low, high string
		var lo, hi float64
		for _, b := range w.a.Profiles() {
			v, _ := e.number(strings.ReplaceAll(b.Name, "-", "_") + "_usd_per_m")
			if low == "" || v < lo {
				low, lo = b.Name, v
			}
			if high == "" || v > hi {
				high, hi = b.Name, v
			}
		}
		return fmt.Sprintf("For %s the %s blend costs %s times the %s blend, so $/1M can be compared at one blend only.", best, high, ratioOf(hi, lo), low)
	}
	return ""
}

// phaseRank ranks configurations by one phase.
func (w *author) phaseRank(s *Section, table, phase string) {
	if !w.table(s, table) {
		return
	}
	rows := w.deciding(table)
	least, most, ok := extremes(rows, "infra_usd_per_m")
	if !ok || len(rows) < 2 {
		return
	}
	lo, _ := least.number("infra_usd_per_m")
	hi, _ := most.number("infra_usd_per_m")
	s.textf("%s, machine time of %s costs from $%s (%s) to $%s (%s) per million tokens, %s times as much.",
		w.atPrice(), phase, least.shown("infra_usd_per_m"), least.config(), most.shown("infra_usd_per_m"), most.config(), ratioOf(hi, lo))
}

// uncached says what decoding without the cache costs.
func (w *author) uncached(s *Section) {
	if len(w.a.Uncached) == 0 {
		w.lack(s, "tables/uncached")
		return
	}
	w.table(s, "tables/uncached")
	s.textf("Evaluating the whole sequence at every step costs %s as much as decoding with the cache.", between(w.rows("tables/uncached"), "cost_ratio", " times"))
	w.figure(s, "cached_vs_uncached")
}

// cost shows what costs are made of, and what tokens take in joules.
func (w *author) cost(s *Section) {
	notice, inCost := w.syntheticNotice(), ""
	if _, _, ok := extremes(w.rows("tables/cost_breakdown"), "energy_usd_per_m"); ok {
		inCost = notice
	}
	s.heading("6.1 Infra and energy")
	if w.table(s, "tables/cost_breakdown", inCost) {
		s.text(w.effectOfEnergy())
	}
	s.heading("6.2 Energy efficiency")
	w.table(s, "tables/energy_rank", notice)
	w.figure(s, "energy_heatmap")
	s.heading("6.3 Carbon")
	w.table(s, "tables/carbon", notice)
	s.heading("6.4 Joules per token")
	if w.table(s, "tables/energy_per_token", notice) {
		s.items(w.energyBasis()...)
	}
	w.figure(s, "power_timeline")
	s.heading("6.5 Return on tiers")
	w.table(s, "tables/roi")
	s.heading("6.6 A request")
	w.table(s, "tables/request_cost")
	s.heading("6.7 A month")
	if w.table(s, "tables/tco") {
		rows := w.deciding("tables/tco")
		if least, _, ok := extremes(rows, "used_usd_per_year"); ok {
			s.textf("%s, 1e9 tokens a month of the %s blend by %s cost $%s a year paid by the hour of work, %s h a month; %s held all the time, $%s a year.",
				w.atPrice(), w.a.Blend.Name, least.config(), least.shown("used_usd_per_year"), least.shown("hours_per_month"), machines(least.shown("gpus")), least.shown("held_usd_per_year"))
		}
	}
}

func machines(n string) string {
	if n == "1" {
		return "1 machine"
	}
	return n + " machines"
}

// energyBasis says what the joules rest on.
func (w *author) energyBasis() []string {
	var out []string
	valid, all := 0, 0
	for _, g := range w.a.Groups {
		for _, x := range []*analyze.Windows{g.PrefillWindows, g.DecodeWindows} {
			if x != nil {
				valid, all = valid+x.Valid, all+len(x.All)
			}
		}
	}
	if all > 0 {
		out = append(out, fmt.Sprintf("%d of %d energy windows are valid; each is in [tables/energy_windows.csv](tables/energy_windows.csv).", valid, all))
	}
	for _, r := range w.a.DeviceRecords {
		if r.Kind == record.DeviceIdle && r.PowerMeanW != nil {
			out = append(out, fmt.Sprintf("Idle, %s: %s W%s. It is part of gross, which costs are made with, and not of net.", cmp.Or(r.Device, r.DeviceKind), significant(*r.PowerMeanW, 3), idleDrift(r)))
		}
	}
	return out
}

func idleDrift(r record.DeviceRecord) string {
	if r.DurationS == nil || r.DriftW == nil {
		return ""
	}
	return fmt.Sprintf(" over %s s, drifting by %s W", significant(*r.DurationS, 2), significant(*r.DriftW, 2))
}
