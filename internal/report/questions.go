package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// questions answers the research questions of TR123 1.1 from this run, and says
// of the others what they would take.
func (w *author) questions(s *Section) {
	for i, q := range []struct {
		text   string
		answer func() string
	}{
		{"What is the real $/1M tokens with the KV cache, split by prefill and decode?", w.costOfPhases},
		{"How does compilation change the cost? Compiled here means CUDA graphs: decode steps replayed instead of launched kernel by kernel.", w.effectOfGraphs},
		{"How does the attention architecture (MHA or GQA) affect the memory of the KV cache and the economics?", w.effectOfAttention},
		{"At what context length does the KV cache exceed the weights?", w.crossovers},
		{"How do price tiers compare?", w.tierSpread},
		{"Does energy change cost rankings, or does throughput decide?", w.effectOfEnergy},
		{"What does a request of 256 prompt and 128 generated tokens cost?", w.requestCosts},
	} {
		s.heading(fmt.Sprintf("%d. %s", i+1, q.text))
		s.text(q.answer())
	}
}

// ranking returns the ranking that the report goes by: at own rates when any
// configuration has one, else in the scenario; nil when nothing has a price.
func (w *author) ranking() *analyze.Ranking {
	if len(w.a.Rankings) == 0 {
		return nil
	}
	return w.a.Rankings[0]
}

// part is what of a cost configurations are compared by: the total when all have
// energy, else machine time, since a sum that some lack a part of compares
// nothing.
func (w *author) part() string {
	if w.ranking().ByTotal {
		return "total"
	}
	return "infra"
}

// atPrice says at which price the ranking is, to begin a sentence.
func (w *author) atPrice() string {
	if r := w.ranking(); !r.Own {
		return fmt.Sprintf("Scenario, at the %s rate of other hardware, $%g/h", r.Price.Tier, r.Price.USDPerHour)
	}
	return "At the devices' own rates"
}

// deciding returns the rows at the prices of the ranking, without those of
// decoding without the cache.
func (w *author) deciding(table string) []entry {
	r := w.ranking()
	return slices.DeleteFunc(cached(w.rows(table)), func(e entry) bool {
		return r == nil || strings.HasPrefix(e.text("price"), "own ") != r.Own
	})
}

// cached leaves out the rows of decoding without the cache.
func cached(rows []entry) []entry {
	return slices.DeleteFunc(rows, func(e entry) bool { return strings.Contains(e.text("variant"), "uncached") })
}

func (w *author) costOfPhases() string {
	r := w.ranking()
	if len(w.a.Groups) == 0 {
		return notTestable("needs a measured row")
	}
	if r == nil {
		return notTestable(w.needs("tables/phase_cost")) + " " + w.phaseRatio()
	}
	best := r.Entries[0]
	what := "machine time"
	if r.ByTotal {
		what = "machine time and energy"
	}
	out := fmt.Sprintf("%s, %s is the cheapest: %s for a million prompt tokens, %s for a million generated ones, %s for the %s blend (%s).",
		w.atPrice(), best.ConfigKey, dollars(best.Cost.Prefill.TotalUSD()), dollars(best.Cost.Decode.TotalUSD()), dollars(best.USDPerM), w.a.Blend.Name, what)
	if prefill, decode := w.deciding("tables/prefill_cost"), w.deciding("tables/decode_cost"); len(prefill) > 1 {
		out += fmt.Sprintf(" Over the %d configurations with the cache, prefill costs $%s and decode $%s.",
			len(prefill), between(prefill, w.part()+"_usd_per_m", ""), between(decode, w.part()+"_usd_per_m", ""))
	}
	return out + " " + w.phaseRatio()
}

func (w *author) effectOfGraphs() string {
	const table = "tables/graphs_speedup"
	rows := w.rows(table)
	if len(rows) == 0 {
		return notTestable(w.needs(table))
	}
	// Steps without the cache evaluate a whole sequence, as a prefill does.
	if rows = cached(rows); len(rows) == 0 {
		return notTestable("needs decode with the cache, with graphs and without")
	}
	var out []string
	byRows := false
	for _, phase := range []string{"decode", "prefill"} {
		told, tested := 0, 0
		for _, t := range w.a.Tests {
			if t.Phase != phase || t.Ratio == nil || !slices.ContainsFunc(w.a.Graphs, func(g analyze.Graphs) bool {
				return g.With.DecodeMode != "uncached" && (g.With == t.A && g.Without == t.B || g.With == t.B && g.Without == t.A)
			}) {
				continue
			}
			tested++
			byRows = byRows || !t.ByLaunch
			if t.Significant() {
				told++
			}
		}
		least, most, ok := extremes(rows, phase+"_speedup")
		if !ok {
			out = append(out, sentence(phase)+": too few repetitions to say.")
			continue
		}
		out = append(out, fmt.Sprintf("%s is %s as fast with graphs (%s%s); the two are told apart in %d of %d comparisons (p < %g, Holm).",
			sentence(phase), between(rows, phase+"_speedup", " times"), extreme("least", least, phase), other(least, most, phase), told, tested, analyze.Significance))
	}
	if byRows {
		out = append(out, "Sides of fewer than 3 launches are among them, and a new launch may differ by more than their intervals.")
	}
	return strings.Join(append(out, "Machine time of a decoded token, and so its cost, is that of no graphs divided by its factor."), " ")
}

// extreme names the row of an extreme with its interval.
func extreme(which string, e entry, phase string) string {
	return fmt.Sprintf("%s %s, %s to %s", which, e.text("model"), e.shown(phase+"_ci95_lo"), e.shown(phase+"_ci95_hi"))
}

func other(least, most entry, phase string) string {
	if least.row == most.row {
		return ""
	}
	return "; " + extreme("most", most, phase)
}

func (w *author) effectOfAttention() string {
	const table = "tables/mha_vs_gqa"
	rows := w.rows(table)
	if len(rows) == 0 {
		return notTestable(w.needs(table))
	}
	byKind := map[string][]entry{}
	var kinds []string
	for _, e := range rows {
		kind := e.text("attention")
		if byKind[kind] == nil {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], e)
	}
	slices.Sort(kinds)
	var parts []string
	for _, kind := range kinds {
		parts = append(parts, fmt.Sprintf("with %s (%s) a token takes %s", kind, modelNames(byKind[kind]), between(byKind[kind], "bytes_per_token", " B")))
	}
	out := sentence(strings.Join(parts, ", ")) + "."
	if len(kinds) < 2 {
		return notTestable("needs models with MHA and with GQA; "+count(len(rows), "model")+" here, all with "+kinds[0]) + " " + out
	}
	least, most, _ := extremes(rows, "bytes_per_token")
	return out + fmt.Sprintf(" The cache of %s is %s times that of %s.%s",
		most.text("model"), most.shown("times_smallest"), least.text("model"), ofTheWeights(rows))
}

// ofTheWeights compares caches with the weights; "" when those are not known.
func ofTheWeights(rows []entry) string {
	span := between(rows, "weights_pct", " %")
	if span == "" {
		return ""
	}
	return " At 2,048 tokens the cache takes " + span + " of what the weights do."
}

func modelNames(rows []entry) string {
	var names []string
	for _, e := range rows {
		names = append(names, e.text("model"))
	}
	return strings.Join(names, ", ")
}

const crossoverTable = "kv_cache_analysis/kv_crossover_points"

func (w *author) crossovers() string {
	rows := w.rows(crossoverTable)
	if len(rows) == 0 {
		return notTestable(w.needs(crossoverTable))
	}
	var parts []string
	for _, e := range rows {
		part := fmt.Sprintf("%s, %s cache, at %s tokens", e.text("model"), cacheTypes(e), e.shown("crossover_tokens"))
		if !e.is("reachable") {
			part += fmt.Sprintf(", which its %s positions do not reach", e.shown("positions"))
		}
		parts = append(parts, part)
	}
	return "The cache of one sequence outgrows the weights: " + strings.Join(parts, "; ") + "."
}

func cacheTypes(e entry) string {
	k, v := e.text("kv_type_k"), e.text("kv_type_v")
	if k == v {
		return k
	}
	return "K " + k + " and V " + v
}

const tierTable = "tables/tier_cost"

// tiersOf returns the tiers of a configuration, as the tier table has them.
func (w *author) tiersOf(config string) []entry {
	return slices.DeleteFunc(w.rows(tierTable), func(e entry) bool { return e.config() != config })
}

func (w *author) tierSpread() string {
	if len(w.rows(tierTable)) == 0 || w.ranking() == nil {
		return notTestable(w.needs(tierTable))
	}
	best := w.ranking().Entries[0].ConfigKey.String()
	rows := w.tiersOf(best)
	least, most, ok := extremes(rows, "blend_usd_per_m")
	if !ok || len(rows) < 2 {
		return notTestable("needs two tiers for one device")
	}
	lo, _ := least.number("blend_usd_per_m")
	hi, _ := most.number("blend_usd_per_m")
	return fmt.Sprintf("At the speed measured here, a million tokens of the %s blend by %s cost $%s at %s (%s) and $%s at %s (%s), %s times as much (%s). "+
		"What is called a scenario prices this device's speed at another machine's rate and says nothing about that machine.",
		w.a.Blend.Name, best, least.shown("blend_usd_per_m"), least.text("tier"), least.text("kind"),
		most.shown("blend_usd_per_m"), most.text("tier"), most.text("kind"), ratioOf(hi, lo), most.text("total_is"))
}

func ratioOf(a, b float64) string {
	if b == 0 {
		return "infinitely many"
	}
	return significant(a/b, 3)
}

func (w *author) effectOfEnergy() string {
	r := w.ranking()
	if r == nil {
		return notTestable(w.needs("tables/cost_breakdown"))
	}
	if !r.ByTotal {
		return notTestable("needs the energy of both phases of every configuration with the cache, and a price of electricity")
	}
	byInfra := slices.Clone(r.Entries)
	slices.SortStableFunc(byInfra, func(x, y analyze.Ranked) int { return cmp.Compare(x.Cost.Blend.InfraUSD, y.Cost.Blend.InfraUSD) })
	moved := 0
	for i := range byInfra {
		if byInfra[i].Config != r.Entries[i].Config {
			moved++
		}
	}
	share := between(w.deciding("tables/cost_breakdown"), "energy_pct", " %")
	out := fmt.Sprintf("%s, energy is %s of what the blend costs.", w.atPrice(), cmp.Or(share, "an unknown part"))
	switch {
	case len(byInfra) == 1:
		out += " With one configuration there is no ranking to change."
	case moved == 0:
		out += fmt.Sprintf(" It does not change the order: by machine time alone the %d configurations rank the same, so throughput decides.", len(byInfra))
	case byInfra[0].Config == r.Entries[0].Config:
		out += fmt.Sprintf(" By machine time alone the same configuration is the cheapest, and %d of %d places differ.", moved, len(byInfra))
	default:
		out += fmt.Sprintf(" It changes the order: by machine time alone %s would be the cheapest, and %d of %d places differ.", byInfra[0].ConfigKey, moved, len(byInfra))
	}
	return out
}

func (w *author) requestCosts() string {
	const table = "tables/request_cost"
	rows := w.deciding(table)
	if len(rows) == 0 {
		return notTestable(w.needs(table))
	}
	column, what := w.part()+"_usd", "machine time only"
	if w.ranking().ByTotal {
		what = "machine time and energy"
	}
	least, most, _ := extremes(rows, column)
	out := fmt.Sprintf("%s, $%s by %s (%s).", w.atPrice(), least.shown(column), least.config(), what)
	if len(rows) > 1 {
		lo, _ := least.number(column)
		hi, _ := most.number(column)
		out += fmt.Sprintf(" Of %d configurations with the cache %s is the dearest: $%s, %s times as much.", len(rows), most.config(), most.shown(column), ratioOf(hi, lo))
	}
	return out
}
