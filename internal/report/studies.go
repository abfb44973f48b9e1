package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/compare"
	"github.com/phasebench/phasebench/internal/record"
)

// statistics compares backends by tests.
func (w *author) statistics(s *Section) {
	if !w.table(s, "tables/backend_tests") {
		return
	}
	told, not, untested := 0, 0, 0
	for _, t := range w.a.Tests {
		switch {
		case t.Ratio == nil:
			untested++
		case t.Significant():
			told++
		default:
			not++
		}
	}
	s.textf("Of %s between backends of one model, %d are significant at %g after Holm's correction, %d are not significant (~), %d could not be tested.",
		count(len(w.a.Tests), "comparison"), told, analyze.Significance, not, untested)
}

// kv shows what the cache takes, against the formula.
func (w *author) kv(s *Section) {
	checked, exact := 0, 0
	see := func(is *bool) {
		if is == nil {
			return
		}
		checked++
		if *is {
			exact++
		}
	}
	for _, k := range w.a.KV {
		see(k.Exact)
	}
	for _, p := range w.a.KVPoints {
		see(p.Exact)
	}
	if checked > 0 {
		s.textf("Payload equals the formula exactly in %d of %d caches checked, filled by cells or length by length.", exact, checked)
	} else {
		s.text("No cache was checked against the formula.")
	}
	w.table(s, "kv_cache_analysis/kv_memory_empirical")
	if w.table(s, "tables/mha_vs_gqa") {
		s.text(w.effectOfAttention())
	}
	if w.table(s, crossoverTable) {
		s.text(w.crossovers())
	}
	w.figure(s, "kv_memory_scaling")
	w.figure(s, "kv_crossover")
	if len(w.rows("tables/kv_types")) > 0 {
		w.caches(s)
	}
}

// graphs shows what CUDA graphs gain and cost once.
func (w *author) graphs(s *Section) {
	if w.table(s, "tables/graphs_speedup") {
		s.text(w.effectOfGraphs())
		s.items(w.amortisation()...)
		w.table(s, "tables/graphs_speedup_by_scenario")
		w.table(s, "tables/graphs_capture")
	}
	w.table(s, "tables/one_time")
	w.table(s, "tables/roofline")
	w.figure(s, "roofline")
	if len(w.rows("tables/device_time")) > 0 {
		w.table(s, "tables/device_time")
	}
}

// amortisation says for each pair what graphs cost once and after how many
// tokens they have won that back.
func (w *author) amortisation() []string {
	var out []string
	for _, e := range cached(w.rows("tables/graphs_speedup")) {
		ms, known := e.number("first_capture_ms")
		if !known {
			out = append(out, fmt.Sprintf("%s: what the first captures cost is not known; it takes two warm-ups a launch.", e.config()))
			continue
		}
		var s strings.Builder
		fmt.Fprintf(&s, "%s: the first captures cost %s ms once", e.text("model"), significant(ms, 3))
		if ms <= 0 {
			s.WriteString(", which is within noise")
		}
		won(&s, e, "tokens_to_amortize_capture", ", won back")
		won(&s, e, "tokens_to_amortize_extra", "; all that they cost more than no graphs, warm-ups included, is won back")
		out = append(out, s.String()+".")
	}
	return out
}

func won(s *strings.Builder, e entry, column, what string) {
	if n, ok := e.number(column); ok {
		fmt.Fprintf(s, "%s after %s", what, count(int(n), "decoded token"))
	} else {
		fmt.Fprintf(s, "%s never, or it is not known when", what)
	}
}

// tiers shows the blend at every price.
func (w *author) tiers(s *Section) {
	if w.table(s, tierTable) {
		s.text(w.tierSpread())
		w.figure(s, "cost_tier_comparison")
	}
	w.table(s, "tables/provider_cost")
	if _, ok := w.view("tables/tier_hardware"); ok {
		w.table(s, "tables/tier_hardware")
	}
}

// capacity shows what machines serve and when buying one pays.
func (w *author) capacity(s *Section) {
	if len(w.rows("tables/batch")) > 0 {
		w.batches(s)
	}
	if len(w.rows("tables/quality")) > 0 {
		w.quality(s)
	}
	if w.table(s, "tables/capacity") {
		rows := w.rows("tables/capacity")
		if least, most, ok := extremes(rows, "req_per_s"); ok && len(rows) > 1 {
			s.textf("One worker serves from %s (%s) to %s (%s) such requests a second.", least.shown("req_per_s"), least.config(), most.shown("req_per_s"), most.config())
		}
	}
	w.table(s, "tables/workers")
	w.table(s, "tables/scenario_packs")
	if w.table(s, "tables/break_even") {
		s.text(w.payback())
		w.figure(s, "break_even")
	}
}

// caches shows what other types of the cache take and gain, and which pay.
func (w *author) caches(s *Section) {
	w.table(s, "tables/kv_types")
	rows := w.rows("tables/kv_types")
	for i, e := range rows {
		if i > 0 && sameStudy(e, rows[i-1]) {
			continue
		}
		study := rows[i:]
		if end := slices.IndexFunc(study, func(x entry) bool { return !sameStudy(e, x) }); end >= 0 {
			study = study[:end]
		}
		s.text(w.whichCache(study))
	}
	w.figure(s, "kv_types")
}

func sameStudy(a, b entry) bool {
	return !slices.ContainsFunc([]string{"model", "backend", "batch", "scenario"}, func(c string) bool { return a.shown(c) != b.shown(c) })
}

// whichCache says in words which of the types of one study pays.
func (w *author) whichCache(study []entry) string {
	where := study[0].text("model") + " on " + study[0].text("backend") + ", " + study[0].text("scenario")
	if batch, ok := study[0].number("batch"); ok && batch > 1 {
		where += ", batch " + study[0].shown("batch")
	}
	smallest := func(pays string) (entry, bool) {
		some := slices.DeleteFunc(slices.Clone(study), func(e entry) bool { return e.text("pays") != pays })
		least, _, ok := extremes(some, "times_f16_bytes")
		return least, ok
	}
	beside := func(e entry) string {
		return fmt.Sprintf("K %s with V %s takes %s of the memory of f16 and decodes %s times as fast [%s, %s]", e.text("kv_type_k"), e.text("kv_type_v"),
			e.shown("times_f16_bytes"), e.shown("decode_vs_f16"), e.shown("decode_vs_f16_lo"), e.shown("decode_vs_f16_hi"))
	}
	if e, ok := smallest("yes"); ok {
		out := where + ": " + beside(e) + ": it pays, as far as the quality of the text allows."
		longest, known := e.number("longest_tokens")
		if with16, _ := study[0].number("longest_tokens"); known && longest > with16 {
			out += fmt.Sprintf(" A context of %s tokens fits, with f16 one of %s.", e.shown("longest_tokens"), study[0].shown("longest_tokens"))
		}
		return out
	}
	if e, ok := smallest("unclear"); ok {
		return where + ": " + beside(e) + ": too wide an interval to say whether it pays; more repetitions, or a quieter machine."
	}
	if e, ok := smallest("for memory only"); ok {
		return where + ": no smaller type decodes as fast as f16. " + strings.ToUpper(beside(e)[:1]) + beside(e)[1:] + ": it pays only where memory ends the context or the batch."
	}
	return where + ": no type is known to pay beside f16."
}

// payback says where buying pays back soonest at ten million requests a month.
func (w *author) payback() string {
	rows := slices.DeleteFunc(w.rows("tables/break_even"), func(e entry) bool { return !strings.HasPrefix(e.text("bought"), "own ") })
	if len(rows) == 0 {
		return "What buying the measured device costs is not known (hardware or bought_usd of its own tier in the pricing file), so the table has scenarios only: other machines, taken to be as fast as this one."
	}
	never := 0
	for _, e := range rows {
		if _, ok := e.number("months_10m"); !ok {
			never++
		}
	}
	least, _, ok := extremes(rows, "months_10m")
	if !ok {
		return "At 10 million chat requests a month buying pays back in none of these."
	}
	out := fmt.Sprintf("At 10 million chat requests a month buying pays back soonest, in %s months, for %s: bought at %s, against renting at %s.",
		least.shown("months_10m"), least.config(), least.text("bought"), least.text("rented"))
	if never > 0 {
		out += fmt.Sprintf(" It never does in %d of %d comparisons.", never, len(rows))
	}
	return out
}

// crossCutting shows what holds over all of it: claims, uncertainty, invariants.
func (w *author) crossCutting(s *Section) {
	if len(w.a.Groups) > 0 {
		s.heading("12.1 The claims of TR123, tested on this run")
		w.table(s, "tables/claims")
		s.heading("12.2 Uncertainty")
		w.table(s, "tables/uncertainty")
	}
	s.heading("12.3 Validation")
	s.text(Verdict(w.a))
	w.table(s, "tables/invariants")
	if len(w.rows(compare.SystemsTable)) > 0 {
		s.heading("12.4 Side by side with other systems")
		w.table(s, compare.SystemsTable)
	}
}

// batches shows what more sequences at once cost and take.
func (w *author) batches(s *Section) {
	w.table(s, "tables/batch")
	w.table(s, "tables/batch_choice")
	for _, e := range w.rows("tables/batch_choice") {
		s.textf("%s, %s: the knee is batch %s at $%s per million tokens of the blend with a TPOT p95 of %s ms, %s times less than the smallest batch measured; the cheapest is batch %s at $%s.",
			e.config(), e.text("scenario"), e.shown("knee_batch"), e.shown("knee_usd_per_m"), e.shown("knee_tpot_ms"), e.shown("times_first"), e.shown("best_batch"), e.shown("best_usd_per_m"))
	}
	w.figure(s, "batches")
}

// knownQuality says what the run tells of the quality of the text.
func (w *author) knownQuality() string {
	scored := func(synthetic bool) bool {
		return slices.ContainsFunc(w.a.Quality, func(q record.QualityRecord) bool { return q.Status == record.StatusOK && q.Synthetic == synthetic })
	}
	switch {
	case scored(false):
		return "Of the quality of the text the perplexities in section 11 are known, and no more."
	case scored(true):
		return "The quality of the text is not known: the perplexities in section 11 are of random weights."
	}
	return "The quality of the text was not measured."
}

// quality shows what cheaper caches and weights lose.
func (w *author) quality(s *Section) {
	s.text("Speed and price say nothing of what a model still knows. Each model and cache was given the same text in chunks, and its perplexity is over the second half of each: e to the power of the mean negative log-likelihood of a token, as llama.cpp's perplexity tool has it. Perplexities of different tokenizers, texts or chunks cannot be compared.")
	var notice string
	if slices.ContainsFunc(w.a.Quality, func(q record.QualityRecord) bool { return q.Synthetic && q.Status == record.StatusOK }) {
		notice = "Synthetic weights: what random numbers make of a text says nothing of a model. They are shown to try out the way, and never ranked."
	}
	w.table(s, "tables/quality", notice)
	if !w.table(s, "tables/quality_cost", notice) {
		return
	}
	for _, e := range w.rows("tables/quality_cost") {
		if e.text("cheapest_within_1_pct") != "" {
			s.textf("%s: the cheapest whose perplexity is at most 1 %% above its reference's is %s with K %s, V %s at $%s per million tokens of the blend.",
				e.text("scenario"), e.config(), e.text("kv_type_k"), e.text("kv_type_v"), e.shown("blend_usd_per_m"))
		}
	}
	w.figure(s, "quality_cost")
}
