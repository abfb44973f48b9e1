package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/analyze"
)

// guidance turns the figures into advice on running these models on these
// devices, and on nothing else.
func (w *author) guidance(s *Section) {
	s.heading("13.1 What this run tells to do")
	s.items(w.habits()...)
	s.heading("13.2 Usage scenarios")
	s.items(w.usage()...)
	s.heading("13.3 Operational checklist")
	s.add(Block{Checklist: w.checklist()})
	s.heading("13.4 Decision tree")
	s.items(w.decisionTree()...)
}

func (w *author) habits() []string {
	out := []string{"Count prefill and decode apart. " + w.phaseRatio()}
	if span := between(w.rows("tables/uncached"), "cost_ratio", " times"); span != "" {
		out = append(out, fmt.Sprintf("Keep the KV cache: decoding without it costs %s as much here.", span))
	}
	if t := w.firstRequest(); t != "" {
		out = append(out, "Warm up before taking requests: "+t)
	}
	if t := w.blendSpread(); t != "" {
		out = append(out, "Name the blend with every $/1M. "+t)
	}
	if c, ok := w.check("temperature"); ok && c.Outcome != analyze.Untested {
		out = append(out, fmt.Sprintf("Watch the temperature: that %s %s.", c.Rule, c.Result))
	}
	return append(out, "Do not take these speeds to other hardware: a tier that belongs to another machine is a scenario here.")
}

// firstRequest says what the first request of a process pays; "" when that was
// not seen.
func (w *author) firstRequest() string {
	rows := w.rows("tables/one_time")
	var parts []string
	for _, phase := range []string{"prefill", "decode"} {
		if _, most, ok := extremes(rows, "first_"+phase+"_extra_ms"); ok {
			parts = append(parts, fmt.Sprintf("%s up to %s ms (%s)", phase, most.shown("first_"+phase+"_extra_ms"), most.config()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "beyond later ones of its kind, the first of a process took in " + strings.Join(parts, " and in ") + " more."
}

// check returns the check of that name.
func (w *author) check(name string) (c analyze.Check, ok bool) {
	i := slices.IndexFunc(w.a.Checks, func(c analyze.Check) bool { return c.Name == name })
	if i < 0 {
		return c, false
	}
	return w.a.Checks[i], true
}

// qa is a question with its answer, as an item of a list.
func qa(question, answer string) string { return "**" + question + "** " + answer }

// usage answers what reports like this one are opened for.
func (w *author) usage() []string {
	return []string{
		qa("Which model for a deployment that must be cheap?", w.cheapest()),
		qa("What does a month of 1e9 tokens cost?", w.month()),
		qa("Which attention for long contexts?", w.longContext()),
		qa("Buy or rent?", w.buyOrRent()),
		qa("Are CUDA graphs worth it?", w.graphsWorth()),
		qa("What is the carbon footprint?", w.footprint()),
	}
}

func (w *author) cheapest() string {
	r := w.ranking()
	if r == nil {
		return notTestable(w.needs("tables/phase_cost"))
	}
	return verdict(r, w.a.Blend.Name) + " " + w.knownQuality()
}

func (w *author) month() string {
	rows := w.deciding("tables/tco")
	least, most, ok := extremes(rows, "used_usd_per_month")
	if !ok {
		return notTestable(w.needs("tables/tco"))
	}
	out := fmt.Sprintf("%s, $%s by %s, paid by the hour of work (%s; %s h of it, %s).", w.atPrice(),
		least.shown("used_usd_per_month"), least.config(), least.text("total_is"), least.shown("hours_per_month"), machines(least.shown("gpus")))
	if most.row != least.row && most.text("total_is") == least.text("total_is") {
		out += fmt.Sprintf(" By %s, $%s.", most.config(), most.shown("used_usd_per_month"))
	}
	return out + " At other prices: section 10."
}

func (w *author) longContext() string {
	rows := w.rows("tables/mha_vs_gqa")
	least, _, ok := extremes(rows, "bytes_per_token")
	if !ok {
		return notTestable(w.needs("tables/mha_vs_gqa"))
	}
	out := fmt.Sprintf("The cache of %s (%s) grows slowest, by %s B a token.", least.text("model"), least.text("attention"), least.shown("bytes_per_token"))
	if len(rows) == 1 {
		out = fmt.Sprintf("With one model there is no choice: the cache of %s (%s) grows by %s B a token.", least.text("model"), least.text("attention"), least.shown("bytes_per_token"))
	}
	if _, most, ok := extremes(w.rows(crossoverTable), "longest_tokens"); ok {
		out += fmt.Sprintf(" The longest context that fits the device is that of %s with a %s cache: %s tokens, ended by %s.",
			most.text("model"), cacheTypes(most), most.shown("longest_tokens"), endedBy(most))
	}
	return out
}

// endedBy says what ends the longest context.
func endedBy(e entry) string {
	if e.text("limit") == string(econ.LimitPositions) {
		return "the model's positions"
	}
	return "the device's memory"
}

func (w *author) buyOrRent() string {
	if len(w.rows("tables/break_even")) == 0 {
		return notTestable(w.needs("tables/break_even"))
	}
	return w.payback()
}

func (w *author) graphsWorth() string {
	if len(w.a.Graphs) == 0 {
		return notTestable(w.needs("tables/graphs_speedup"))
	}
	return w.effectOfGraphs() + " What they cost once is in section 9."
}

func (w *author) footprint() string {
	rows := w.rows("tables/carbon")
	least, most, ok := extremes(rows, "gco2e_per_m")
	if !ok {
		return notTestable(w.needs("tables/carbon"))
	}
	out := fmt.Sprintf("%s g CO2e per million tokens of the %s blend by %s", least.shown("gco2e_per_m"), w.a.Blend.Name, least.config())
	if len(rows) > 1 {
		out += fmt.Sprintf(", %s g by %s", most.shown("gco2e_per_m"), most.config())
	}
	return out + fmt.Sprintf(", at %g g/kWh. Of the device alone, without the machine around it.", w.a.Carbon.GPerKWh)
}

// checklist is what to see to before deploying what was measured.
func (w *author) checklist() []string {
	memory := "Check that the weights and the cache at the longest context fit the device: its memory or the model's shape is not recorded here."
	if rows := w.rows(crossoverTable); len(rows) > 0 {
		var fits []string
		for _, e := range rows {
			if _, ok := e.number("longest_tokens"); ok {
				fits = append(fits, fmt.Sprintf("%s %s tokens (%s cache, ended by %s)", e.text("model"), e.shown("longest_tokens"), cacheTypes(e), endedBy(e)))
			}
		}
		if len(fits) > 0 {
			memory = "Set the longest context to what fits, one sequence: " + strings.Join(fits, "; ") + "."
		}
	}
	warm := "Warm up before taking requests: " + cmp.Or(w.firstRequest(), "what the first costs more was not measured here.")
	graphs := "Measure with CUDA graphs and without: no pair of backends shows their effect here."
	if rows := cached(w.rows("tables/graphs_speedup")); len(rows) > 0 {
		if span := between(rows, "decode_speedup", " times"); span != "" {
			graphs = fmt.Sprintf("See that CUDA graphs are on where they help: decode was %s as fast with them.", span)
		}
	}
	power := "Measure power on the machine that will serve: it was not measured here."
	if span := between(w.rows("tables/latency_summary"), "decode_power_w", " W"); span != "" {
		power = "Plan for the power: in decode the devices drew a mean of " + span + "."
	}
	price := "Put your own price in, with " + code("--rate") + " or a tier: no measured device has one."
	if r := w.ranking(); r != nil && r.Own {
		price = "Check the price that the costs are made with, " + r.Entries[0].Cost.Label() + ", against your contract, and the break-even in section 11 before buying."
	}
	return []string{memory, warm, graphs, power, price, "Judge the text by your own task. " + w.knownQuality(), "Read the validation: " + Verdict(w.a)}
}

// latencyLimitS is the limit of the decision tree's first question, as in TR123
// 13.4.
const latencyLimitS = 0.5

// longTokens is the context of its second question.
const longTokens = 4096

func (w *author) decisionTree() []string {
	return []string{
		qa(fmt.Sprintf("Must a request of 256+128 tokens be done within %g ms?", 1000*latencyLimitS), w.fastEnough()),
		qa(fmt.Sprintf("Else: is the context longer than %d tokens?", longTokens), w.longEnough()),
		qa("Else: is there no GPU?", w.withoutGPU()),
		qa("Else: is cost what counts?", w.recommended("lowest cost of the blend")),
		qa("Else: the largest model measured, since larger ones tend to write better?", w.recommended("largest model measured, cheapest way to run it")+" Whether it writes better was not measured."),
	}
}

func (w *author) fastEnough() string {
	rows := w.rows("tables/capacity")
	if len(rows) == 0 {
		return notTestable(w.needs("tables/capacity"))
	}
	fast := map[string]bool{}
	var names []string
	measured, fastest, fastestS := 0, "", math.Inf(1)
	for _, c := range w.a.Configs {
		if c.DecodeMode == "uncached" {
			continue
		}
		name := c.ConfigKey.String()
		s, known := requestS(c)
		if known {
			measured++
		}
		if s < fastestS {
			fastest, fastestS = name, s
		}
		if s <= latencyLimitS {
			fast[name] = true
			names = append(names, name)
		}
	}
	basis := fmt.Sprintf(" (such requests were measured on %d of %d; of the others it is by the rates of other scenarios)", measured, len(rows))
	if measured == len(rows) {
		basis = ""
	}
	if len(names) == 0 {
		return fmt.Sprintf("None of what was measured does%s; the fastest, %s, takes %s s.", basis, fastest, significant(fastestS, 4))
	}
	out := fmt.Sprintf("Yes: %d of %d configurations do%s: %s.", len(names), len(rows), basis, list(names))
	if r := w.ranking(); r != nil {
		for _, e := range r.Entries {
			if fast[e.ConfigKey.String()] {
				return out + fmt.Sprintf(" The cheapest of them is %s.", e.ConfigKey)
			}
		}
	}
	return out
}

// requestS returns the seconds from a request of 256+128 tokens to its last token:
// those of the scenario that is just that, or else by the rates of the others. In
// a batch every sequence waits for the steps of all.
func requestS(c *analyze.Config) (s float64, measured bool) {
	const prompt, gen = 256, 128
	for _, g := range c.Groups {
		if g.PromptTokens == prompt && g.GenTokens == gen {
			return (g.PrefillMs.Mean + g.DecodeMs.Mean) / 1000, true
		}
	}
	return float64(max(1, c.Batch)) * (prompt*c.Prefill.SPerTok.Value + gen*c.Decode.SPerTok.Value), false
}

func (w *author) longEnough() string {
	rows := w.rows("tables/mha_vs_gqa")
	if len(rows) == 0 {
		return notTestable(w.needs("tables/mha_vs_gqa"))
	}
	positions := map[string]float64{}
	for _, e := range w.rows("tables/models") {
		positions[e.text("model")], _ = e.number("positions")
	}
	var long, short []string
	for _, e := range rows { // least bytes a token first
		name := e.text("model")
		if positions[name] > longTokens {
			long = append(long, fmt.Sprintf("%s (%s B a token)", name, e.shown("bytes_per_token")))
		} else {
			short = append(short, name)
		}
	}
	if len(long) == 0 {
		return "No model measured has that many positions."
	}
	out := "Yes: by the memory of the cache, " + strings.Join(long, ", then ") + "."
	if len(short) > 0 {
		out += " Too few positions: " + strings.Join(short, ", ") + "."
	}
	return out
}

func (w *author) withoutGPU() string {
	if !slices.ContainsFunc(w.a.Groups, func(g *analyze.Group) bool { return g.DeviceKind == "cpu" }) {
		return "No CPU was measured."
	}
	if t := w.recommended("no GPU"); !strings.HasPrefix(t, "Not testable") {
		return t
	}
	_, most, _ := extremes(slices.DeleteFunc(w.rows("tables/capacity"), func(e entry) bool { return !w.onCPU(e.config()) }), "req_per_s")
	return fmt.Sprintf("By speed, %s: %s requests of 256+128 tokens a second. A CPU has no price here, so nothing can be said of $.", most.config(), most.shown("req_per_s"))
}

func (w *author) onCPU(config string) bool {
	return slices.ContainsFunc(w.a.Configs, func(c *analyze.Config) bool {
		return c.ConfigKey.String() == config && c.Groups[0].DeviceKind == "cpu"
	})
}

// recommended returns the choice of a use case or the winner of a factor.
func (w *author) recommended(what string) string {
	for _, e := range w.rows("tables/recommendations") {
		if e.text("use_case") == what {
			if e.text("choice") == "" {
				return notTestable("needs " + e.text("missing"))
			}
			return fmt.Sprintf("Yes: %s, %s %s%s.", e.text("choice"), e.shown("value"), e.text("unit"), apart(e))
		}
	}
	for _, e := range w.rows("tables/decision_matrix") {
		if e.text("factor") == what {
			if e.text("winner") == "" {
				return notTestable("needs " + e.text("missing"))
			}
			return fmt.Sprintf("Yes: %s, %s %s%s.", e.text("winner"), e.shown("winner_value"), e.text("unit"), apart(e))
		}
	}
	return notTestable("needs a measured row")
}

// apart says how sure a choice is.
func apart(e entry) string {
	switch e.text("apart") {
	case "~":
		return " (not told apart from the next)"
	case "yes":
		return " (apart from the next)"
	case "no other":
		return " (there is no other)"
	}
	return " (too few repetitions to say whether the next is apart)"
}
