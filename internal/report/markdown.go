package report

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
)

// document is report.md while it is written.
type document struct {
	strings.Builder
	a      *analyze.Analysis
	env    *environ.Environment // nil when the run directory has none
	tables []*analyze.Table
	shown  map[string]bool // tables that are in the text, by name
}

// paragraph writes text as a paragraph of its own.
func (d *document) paragraph(format string, args ...any) {
	fmt.Fprintf(d, format+"\n\n", args...)
}

func (d *document) heading(title string) { d.paragraph("## %s", title) }

func (d *document) item(format string, args ...any) { fmt.Fprintf(d, "- "+format+"\n", args...) }

func (d *document) table(t *analyze.Table) { d.WriteString(Markdown(t) + "\n") }

// find returns the table of that name, which is one of those analyze defines;
// nil when it has no rows.
func (d *document) find(name string) *analyze.Table {
	i := slices.IndexFunc(d.tables, func(t *analyze.Table) bool { return t.Name == name })
	if d.tables[i].Missing != "" {
		return nil
	}
	d.shown[name] = true
	return d.tables[i]
}

// section writes a heading and tables, of which those without rows are left
// out; nothing when all are.
func (d *document) section(title string, names ...string) {
	first := true
	for _, name := range names {
		t := d.find(name)
		if t == nil {
			continue
		}
		if first {
			d.heading(title)
			first = false
		} else {
			d.paragraph("**%s.**", t.Title)
		}
		d.table(t)
	}
}

// Render returns report.md. The tables are those of a; the environment may be
// nil.
func Render(a *analyze.Analysis, tables []*analyze.Table, env *environ.Environment) string {
	d := &document{a: a, env: env, tables: tables, shown: map[string]bool{}}
	for _, section := range []func(){
		d.header, d.answer, d.decisions, d.validation, d.accounting, d.notMeasured,
		d.latency, d.cost, d.energy, d.backends, d.kv, d.claims,
		d.warnings, d.notComputed, d.definitions, d.reproduce, d.appendix,
	} {
		section()
	}
	return strings.TrimRight(d.String(), "\n") + "\n"
}

func (d *document) header() {
	d.paragraph("# What a million tokens cost: run %s", cmp.Or(strings.Join(d.a.RunIDs, ", "), "without rows"))
	if n := len(d.a.Synthetic); n > 0 {
		d.paragraph("> **SYNTHETIC WEIGHTS.** The weights of %s are seeded random numbers in the model's shape: "+
			"the text is meaningless, and power may differ from that of real weights.",
			strings.Join(d.a.Synthetic, ", "))
	}
	d.item("Devices: %s", cmp.Or(strings.Join(d.a.Devices, ", "), "none recorded"))
	d.item("Engine: %s", cmp.Or(strings.Join(d.a.EngineVersions, "; "), "none recorded"))
	if e := d.env; e != nil {
		var machine []string
		if e.CPUModel != "" {
			machine = append(machine, e.CPUModel)
		}
		if e.PhysicalCores > 0 {
			machine = append(machine, fmt.Sprintf("%d physical cores", e.PhysicalCores))
		}
		if e.MemTotalBytes > 0 {
			machine = append(machine, fmt.Sprintf("%.1f GB memory", float64(e.MemTotalBytes)/1e9))
		}
		machine = append(machine, nonEmpty(e.OS, e.Kernel)...)
		if e.NvidiaDriver != "" {
			machine = append(machine, "NVIDIA driver "+e.NvidiaDriver)
		}
		d.item("Machine: %s", strings.Join(machine, ", "))
		if e.Engine.Features != "" {
			d.item("Engine features: %s", features(e.Engine.Features))
		}
		d.item("Program: %s", e.Build)
		if e.ConfigPath != "" {
			d.item("Configuration: %s, SHA-256 %s", filepath.Base(e.ConfigPath), cmp.Or(e.ConfigHash, "not recorded"))
		}
	}
	d.WriteString("\n")
}

// features shortens what the engine says it was built with, "CUDA : ARCHS = 900
// | USE_GRAPHS = 1 | CPU : ...", to the names, with values other than 1.
func features(list string) string {
	var out strings.Builder
	between := ""
	for _, part := range strings.Split(list, "|") {
		name := strings.TrimSuffix(strings.TrimSpace(part), " = 1")
		if name == "" {
			continue
		}
		if module, rest, ok := strings.Cut(name, " : "); ok {
			name = module + ": " + rest
			between = strings.Replace(between, ",", ";", 1)
		}
		out.WriteString(between + name)
		between = ", "
	}
	return out.String()
}

func (d *document) answer() {
	d.heading("Answer")
	if len(d.a.Groups) == 0 {
		d.paragraph("No row was measured, so there is nothing to rank. Why is listed under \"Not measured\".")
		return
	}
	if !slices.ContainsFunc(d.a.Rankings, func(r *analyze.Ranking) bool { return r.Own }) {
		d.paragraph("%s", noOwnRate)
	}
	for _, r := range d.a.Rankings {
		d.paragraph("%s", verdict(r, d.a.Blend.Name))
		d.table(r.Table(d.a.Blend.Name))
		if len(r.Unpriced) > 0 {
			var names []string
			for _, c := range r.Unpriced {
				names = append(names, c.ConfigKey.String())
			}
			d.paragraph("Without a price of this kind: %s.", strings.Join(names, "; "))
		}
	}
}

const noOwnRate = "No measured device has a price of its own, so there is no own $/1M. " +
	"Give it one with `--rate USD_PER_HOUR` or as a tier in the pricing file."

// verdict says in words what a ranking shows, and no more.
func verdict(r *analyze.Ranking, blend string) string {
	best := r.Entries[0]
	var s strings.Builder
	if r.Own {
		s.WriteString("At each device's own rate, ")
	} else {
		fmt.Fprintf(&s, "Scenario: at the %s rate of $%g/h, which belongs to other hardware than was measured, ", r.Price.Tier, r.Price.USDPerHour)
	}
	amount := "$" + significant(best.Cost.Blend.TotalUSD(), 4)
	if i := best.Cost.BlendCI; i != nil {
		amount += " ± " + significant(i.Half, 2)
	}
	if len(r.Entries) == 1 {
		fmt.Fprintf(&s, "%s costs %s per million tokens of the %s blend", best.ConfigKey, amount, blend)
	} else {
		fmt.Fprintf(&s, "the cheapest of %d configurations is %s: %s per million tokens of the %s blend", len(r.Entries), best.ConfigKey, amount, blend)
	}
	if r.ByTotal {
		s.WriteString(", infra and energy.")
	} else {
		s.WriteString(", machine time only.")
	}
	if last := r.Entries[len(r.Entries)-1]; len(r.Entries) > 1 && last.TimesBest > 0 {
		fmt.Fprintf(&s, " The most expensive, %s, costs %s times that.", last.ConfigKey, significant(last.TimesBest, 3))
	}
	if n := len(r.NoEnergy); n > 0 {
		var names []string
		for _, c := range r.NoEnergy {
			names = append(names, c.ConfigKey.String())
		}
		fmt.Fprintf(&s, " Not in this order, since their energy was not measured: %s.", strings.Join(names, "; "))
	}
	if basis := best.Basis(); r.ByTotal && basis != "" {
		fmt.Fprintf(&s, " The energy of %s was measured in some scenarios and counts for the others at the mean power of those (%s).", best.ConfigKey, basis)
	}
	var close, unknown []string
	for _, e := range r.Entries[1:] {
		switch {
		case e.Overlaps:
			close = append(close, e.ConfigKey.String())
		case e.NoInterval:
			unknown = append(unknown, e.ConfigKey.String())
		}
	}
	if len(close) > 0 {
		fmt.Fprintf(&s, " Not told apart from the cheapest by this data (intervals overlap): %s.", strings.Join(close, "; "))
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&s, " Too few repetitions to tell whether the order holds: %s.", strings.Join(unknown, "; "))
	}
	return s.String()
}

func (d *document) accounting() {
	d.heading("Accounting")
	a := d.a.Accounting
	if a.Planned != nil {
		fmt.Fprintf(d, "%d rows planned: ", *a.Planned)
	} else {
		fmt.Fprintf(d, "%d rows recorded: ", a.Recorded())
	}
	fmt.Fprintf(d, "ok %d, skipped %d, error %d", a.OK, a.Skipped, a.Errors)
	if a.Missing > 0 {
		fmt.Fprintf(d, ", missing %d", a.Missing)
	}
	d.paragraph(". Warm-ups, in no statistic: %d.", a.Warmups)
}

func (d *document) latency() {
	if len(d.a.Groups) == 0 {
		return
	}
	d.heading("Latency")
	byLaunch := 0
	for _, g := range d.a.Groups {
		if g.ByLaunch {
			byLaunch++
		}
	}
	d.table(d.find("tables/latency_by_scenario"))
	defer d.steps()
	switch byLaunch {
	case len(d.a.Groups):
		d.paragraph("Intervals (±) are over the means of independent launches.")
	case 0:
		d.paragraph("Intervals (±) are over repetitions within one process; they do not show how much a new launch would differ.")
	default:
		d.paragraph("Intervals (±) are over the means of independent launches for %d of %d cells, else over repetitions.", byLaunch, len(d.a.Groups))
	}
}

// steps shows how single steps were spread and names those that stand out.
func (d *document) steps() {
	t := d.find("tables/step_latency")
	if t == nil {
		return
	}
	d.paragraph("**%s.**", t.Title)
	d.table(t)
	first, boundary, other, all := 0, 0, 0, 0
	for _, s := range d.a.Steps {
		first, boundary, other, all = first+s.SlowFirst, boundary+s.SlowBoundary, other+s.SlowOther, all+s.Group.Steps
	}
	d.paragraph("Of %d decode steps %d took more than twice their cell's median: %d are the first of their decode, %d are at a multiple of 256 positions, %d are neither.",
		all, first+boundary+other, first, boundary, other)
}

// powered counts the cells whose energy is known, by phase.
func (d *document) powered() (prefill, decode int) {
	for _, g := range d.a.Groups {
		if g.Prefill.Energy != nil {
			prefill++
		}
		if g.Decode.Energy != nil {
			decode++
		}
	}
	return prefill, decode
}

func (d *document) cost() {
	if len(d.a.Groups) == 0 {
		return
	}
	d.heading("Cost")
	t := d.find("tables/phase_cost")
	if t == nil {
		d.paragraph("%s", noOwnRate)
		return
	}
	d.table(ownPrices(t))
	d.item("Blend: %s, %.0f %% input and %.0f %% output tokens.", d.a.Blend.Name, 100*d.a.Blend.Input, 100*d.a.Blend.Output())
	for _, p := range d.prices() {
		d.item("%s: %s.", p.Label(), p.Source)
	}
	prefill, decode := d.powered()
	d.item("Energy was measured in the prefill of %d and in the decode of %d of %d cells; a total has it where both phases do.", prefill, decode, len(d.a.Groups))
	if e := d.a.Prices.Energy; e != nil && prefill+decode > 0 {
		d.item("Electricity: $%g/kWh, %s.", e.USDPerKWh, e.Citation())
	}
	if c := d.a.Carbon; c != nil && prefill+decode > 0 {
		d.item("Carbon: %g g CO2e/kWh (%s), %s.", c.GPerKWh, c.Name, c.Citation())
	}
	d.WriteString("\n")
}

// ownPrices returns the table without the rows at a scenario's rate when there
// are others: in the text they would hide what the measured machines cost.
func ownPrices(t *analyze.Table) *analyze.Table {
	price := slices.IndexFunc(t.Columns, func(c analyze.Column) bool { return c.Name == "price" })
	own := *t
	own.Rows = nil
	for _, row := range t.Rows {
		if strings.HasPrefix(row[price].(string), "own ") {
			own.Rows = append(own.Rows, row)
		}
	}
	if len(own.Rows) == 0 || len(own.Rows) == len(t.Rows) {
		return t
	}
	own.Notes = append([]string{fmt.Sprintf("At own rates; the %d rows at the scenario's are in `%s.csv`.", len(t.Rows)-len(own.Rows), t.Name)}, t.Notes...)
	return &own
}

// prices returns the distinct prices of the cost table, in order.
func (d *document) prices() []analyze.Price {
	var out []analyze.Price
	for _, g := range d.a.Groups {
		for _, c := range g.Costs {
			if !slices.Contains(out, c.Price) {
				out = append(out, c.Price)
			}
		}
	}
	return out
}

// energy tells what tokens take in joules, and on what that rests.
func (d *document) energy() {
	t, windows := d.find("tables/energy_per_token"), d.find("tables/energy_windows")
	if t == nil {
		return
	}
	d.heading("Energy")
	if len(d.a.Synthetic) > 0 {
		d.paragraph("> **Synthetic weights** (%s): joules of random weights, which can draw other power than trained ones.", strings.Join(d.a.Synthetic, ", "))
	}
	d.table(t)
	if windows != nil {
		valid, all := 0, 0
		for _, g := range d.a.Groups {
			for _, w := range []*analyze.Windows{g.PrefillWindows, g.DecodeWindows} {
				if w != nil {
					valid, all = valid+w.Valid, all+len(w.All)
				}
			}
		}
		d.item("%d of %d energy windows are valid; each is in `tables/energy_windows.csv`.", valid, all)
	}
	for _, r := range d.a.DeviceRecords {
		if r.Kind == record.DeviceIdle && r.PowerMeanW != nil {
			d.item("Idle, %s: %s W%s. It is part of gross, which costs are made with, and not of net.", cmp.Or(r.Device, r.DeviceKind), significant(*r.PowerMeanW, 3), idleDrift(r))
		}
	}
	d.WriteString("\n")
	if t := d.find("tables/energy_rank"); t != nil {
		d.paragraph("**%s.**", t.Title)
		d.table(t)
	}
	if t := d.find("tables/cost_breakdown"); t != nil {
		d.paragraph("**%s.**", t.Title)
		d.table(ownPrices(t))
	}
}

func idleDrift(r record.DeviceRecord) string {
	if r.DurationS == nil || r.DriftW == nil {
		return ""
	}
	return fmt.Sprintf(" over %s s, drifting by %s W", significant(*r.DurationS, 2), significant(*r.DriftW, 2))
}

func (d *document) backends() {
	d.section("Backends compared", "tables/backend_tests", "tables/graphs_speedup", "tables/graphs_speedup_by_scenario", "tables/graphs_capture", "tables/device_time", "tables/uncached")
	d.section("How much of the device is used", "tables/roofline")
	d.section("One-time costs", "tables/one_time")
}

func (d *document) kv() {
	checked, exact := 0, 0
	count := func(is *bool) {
		if is == nil {
			return
		}
		checked++
		if *is {
			exact++
		}
	}
	for _, k := range d.a.KV {
		count(k.Exact)
	}
	for _, p := range d.a.KVPoints {
		count(p.Exact)
	}
	if checked+len(d.a.KV)+len(d.a.KVPoints) == 0 {
		return
	}
	d.heading("KV cache")
	d.paragraph("Payload equals the formula exactly in %d of %d caches checked, filled by cells or length by length.", exact, checked)
	for _, name := range []string{"kv_cache_analysis/kv_memory_empirical", "kv_cache_analysis/kv_crossover_points", "tables/mha_vs_gqa"} {
		if t := d.find(name); t != nil {
			d.paragraph("**%s.**", t.Title)
			d.table(t)
		}
	}
}

func (d *document) decisions() {
	if len(d.a.Groups) > 0 {
		d.section("Decisions", "tables/recommendations", "tables/decision_matrix")
	}
}

func (d *document) validation() {
	d.heading("Validation")
	d.paragraph("%s", Verdict(d.a))
	d.table(d.find("tables/invariants"))
}

func (d *document) claims() {
	if len(d.a.Groups) > 0 {
		d.section("The claims of TR123 on this run", "tables/claims")
	}
}

// notComputed lists the tables and columns that this run's rows do not fill.
func (d *document) notComputed() {
	d.heading("What could not be computed")
	before := d.Len()
	for _, t := range d.tables {
		if t.Missing != "" {
			d.item("`%s`%s: %s", t.Name, ofSection(t), t.Missing)
		}
	}
	columns, in := map[string]int{}, map[string][]string{}
	for _, t := range d.tables {
		for lacks, names := range t.Lacking() {
			columns[lacks] += len(names)
			in[lacks] = append(in[lacks], "`"+t.Name+"`")
		}
	}
	for _, lacks := range slices.Sorted(maps.Keys(in)) {
		d.item("%d columns of %s: need %s", columns[lacks], strings.Join(in[lacks], ", "), lacks)
	}
	if d.Len() == before {
		d.WriteString("Nothing: every table and column has values.\n")
	}
	d.WriteString("\n")
}

func ofSection(t *analyze.Table) string {
	if t.Section == "" {
		return ""
	}
	return " (TR123 " + t.Section + ")"
}

// appendixRows is how many rows of a table the appendix shows; the CSV has all.
const appendixRows = 60

// appendix folds away the tables that no section shows, except those for
// machines only.
func (d *document) appendix() {
	d.heading("More tables")
	d.paragraph("Every table is also a CSV of its name, and all are in `%s`.", TablesFile)
	for _, t := range d.tables {
		if t.Missing != "" || d.shown[t.Name] || !strings.HasPrefix(t.Name, "tables/") {
			continue
		}
		fmt.Fprintf(d, "<details><summary>%s%s: <code>%s</code></summary>\n\n", t.Title, ofSection(t), t.Name)
		short := *t
		if n := len(t.Rows); n > appendixRows {
			short.Rows = t.Rows[:appendixRows]
			short.Notes = append([]string{fmt.Sprintf("The first %d of %d rows.", appendixRows, n)}, t.Notes...)
		}
		d.table(&short)
		d.WriteString("</details>\n\n")
	}
}

func (d *document) notMeasured() {
	if len(d.a.Accounting.Reasons) == 0 {
		return
	}
	d.heading("Not measured")
	d.table(d.find("tables/not_measured"))
	for _, r := range d.a.Accounting.Reasons {
		if r.Status == record.StatusError {
			d.item("%s: %s", r.Text, list(r.Cells))
		}
	}
	if d.a.Accounting.Errors > 0 {
		d.WriteString("\n")
	}
}

func (d *document) warnings() {
	if len(d.a.Warnings) == 0 {
		return
	}
	d.heading("Warnings")
	for _, w := range d.a.Warnings {
		d.item("%s (%s)", w.Text, list(w.Where))
	}
	d.WriteString("\n")
}

// list joins names, the first few of them when they are many.
func list(names []string) string {
	const most, few = 5, 3
	if len(names) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(names[:few], "; "), len(names)-few)
	}
	return strings.Join(names, "; ")
}

func (d *document) definitions() {
	d.heading("How the numbers are defined")
	for _, line := range []string{
		"Prefill: from submitting the prompt to the first sampled token, synchronized; time to first token without tokenization. Decode: exactly the generated tokens, each step fed the token of the step before.",
		"tok/s: sum of tokens over sum of seconds of a cell's rows. TPOT: time of single decode steps, all rows pooled.",
		fmt.Sprintf("±: half of the %.0f %% interval, Student's t, for times; carried to first order into dollars. Where scenarios are pooled it is over repetitions of all of them, since what disturbs one disturbs its neighbours.", 100*analyze.Confidence),
		"$/1M: 1e6 / (3600 × tok/s) × $/h for machine time, plus gross joules per token × electricity price where energy was measured. \"Infra only\" means it was not.",
		"J/token: mean power over tok/s of energy windows, in which the phase was repeated for seconds, doing the work of the rows; else mean power of the rows × time per token, where a phase lasts for two periods of the power sensor. Energy of some of a configuration's scenarios counts for the others at its mean power, and the total says of how many it is.",
		"Blend: input share × prefill + output share × decode. A configuration in the ranking pools its scenarios: sum of tokens over sum of seconds.",
		"Own rate: a price of the very device that was measured. Scenario: the measured speed at a rate of other hardware; it says nothing about what that hardware would do.",
		"KV formula: layers × KV heads × (K head size × K element + V head size × V element) × positions; 2·L·T·H·D·2 bytes for f16. Padding: reserved but not payload.",
	} {
		d.item("%s", line)
	}
	d.WriteString("\n")
}

func (d *document) reproduce() {
	d.heading("Reproduce")
	d.WriteString("```\n")
	if d.env != nil && len(d.env.Sessions) > 0 {
		var words []string
		for _, w := range d.env.Sessions[0].CommandLine {
			words = append(words, shellQuote(w))
		}
		fmt.Fprintf(d, "%s\n", strings.Join(words, " "))
	}
	d.WriteString("./bench analyze DIR     # this folder: tables and report again, from raw_measurements.jsonl\n```\n\n")
}

// shellQuote quotes a word for a POSIX shell where that is needed.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,@%+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func nonEmpty(words ...string) []string {
	return slices.DeleteFunc(words, func(s string) bool { return s == "" })
}
