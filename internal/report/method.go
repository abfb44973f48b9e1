package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
)

// definitions says what the figures mean.
func definitions(s *Section) {
	s.items(
		"**Prefill**: from submitting the prompt to the first sampled token, synchronized; time to first token (TTFT) without tokenization. **Decode**: exactly the generated tokens, each step fed the token of the step before.",
		"**tok/s**: sum of tokens over sum of seconds of a cell's rows. TPOT: time of single decode steps, all rows pooled.",
		fmt.Sprintf("**±**: half of the %.0f %% interval, Student's t, for times; carried to first order into dollars. Where scenarios are pooled it is over repetitions of all of them, since what disturbs one disturbs its neighbours.", 100*analyze.Confidence),
		"**$/1M**: 1e6 / (3600 × tok/s) × $/h for machine time, plus gross joules per token × electricity price where energy was measured. \"Infra only\" means it was not.",
		"**J/token**: mean power over tok/s of energy windows, in which the phase was repeated for seconds, doing the work of the rows; else mean power of the rows × time per token, where a phase lasts for two periods of the power sensor. Energy of some of a configuration's scenarios counts for the others at its mean power, and the total says of how many it is.",
		"**Blend**: input share × prefill + output share × decode. A configuration in the ranking pools its scenarios: sum of tokens over sum of seconds.",
		"**Own rate**: a price of the very device that was measured. **Scenario**: the measured speed at a rate of other hardware; it says nothing about what that hardware would do.",
		"**KV formula**: layers × KV heads × (K head size × K element + V head size × V element) × positions; 2·L·T·H·D·2 bytes for f16. Padding: reserved but not payload.",
	)
}

// method says what was run, and how every planned row ended.
func (w *author) method(s *Section) {
	if len(w.a.Groups) > 0 {
		s.items(w.matrix()...)
	}
	s.text(w.accounting())
	if len(w.a.Accounting.Reasons) == 0 {
		return
	}
	w.table(s, "tables/not_measured")
	var errors []string
	for _, r := range w.a.Accounting.Reasons {
		if r.Status == record.StatusError {
			errors = append(errors, fmt.Sprintf("%s: %s", r.Text, list(r.Cells)))
		}
	}
	if len(errors) > 0 {
		s.text("Cells with errors:")
		s.items(errors...)
	}
}

// matrix describes the measured part of the matrix.
func (w *author) matrix() []string {
	var models, backends, scenarios, batches, caches seen
	least, most, launches := len(w.a.Groups[0].Rows), 0, 1
	for _, g := range w.a.Groups {
		models.add(g.Model)
		backends.add(g.Backend + how(g.Rows[0]))
		shape := fmt.Sprintf("%s (%d+%d", g.Scenario, g.PromptTokens, g.GenTokens)
		if g.DecodeMode == "uncached" {
			shape += ", decode without the cache"
		}
		scenarios.add(shape + ")")
		batches.add(fmt.Sprint(g.Batch))
		caches.add(cmp.Or(strings.Join(slices.Compact(nonEmpty(g.KVTypeK, g.KVTypeV)), "/"), "not recorded"))
		least, most, launches = min(least, len(g.Rows)), max(most, len(g.Rows)), max(launches, g.Launches)
	}
	rows := fmt.Sprint(most)
	if least < most {
		rows = fmt.Sprintf("%d to %d", least, most)
	}
	return []string{
		"Models: " + strings.Join(models, ", ") + ".",
		"Backends: " + strings.Join(backends, "; ") + ".",
		"Scenarios, prompt + generated tokens: " + strings.Join(scenarios, ", ") + ".",
		fmt.Sprintf("Batch: %s. KV cache: %s.", strings.Join(batches, ", "), strings.Join(caches, ", ")),
		fmt.Sprintf("Measured rows a cell: %s, from %s.", rows, launchWords(launches)),
	}
}

func launchWords(n int) string {
	if n == 1 {
		return "1 launch"
	}
	return fmt.Sprintf("up to %d launches", n)
}

// seen keeps distinct words in order.
type seen []string

func (s *seen) add(word string) {
	if !slices.Contains(*s, word) {
		*s = append(*s, word)
	}
}

// how says in which way a row's backend ran, in parentheses.
func how(r *record.Record) string {
	var parts []string
	if r.Device != "" {
		parts = append(parts, r.Device)
	}
	if r.Graphs != nil {
		parts = append(parts, map[bool]string{true: "CUDA graphs", false: "no CUDA graphs"}[*r.Graphs])
	}
	if r.FlashAttn != "" {
		parts = append(parts, "flash attention "+r.FlashAttn)
	}
	if r.Threads > 0 {
		parts = append(parts, count(r.Threads, "thread"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.EngineEnv)) {
		parts = append(parts, name+"="+r.EngineEnv[name])
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// environment says what machine and program the rows come from.
func (w *author) environment(s *Section) {
	items := []string{
		"Devices: " + cmp.Or(strings.Join(w.a.Devices, ", "), "none recorded"),
		"Engine: " + cmp.Or(strings.Join(w.a.EngineVersions, "; "), "none recorded"),
	}
	hosts := environ.Hosts(w.from.Runs)
	switch len(hosts) {
	case 0:
		s.items(append(items, "The run's folder has no environment.json, so the machine is not described.")...)
		return
	case 1:
		s.items(append(items, describeHost(&hosts[0])...)...)
	default:
		s.items(items...)
		for i := range hosts {
			s.text(fmt.Sprintf("**%s**", cmp.Or(hosts[i].Host, "a host whose name is not recorded")))
			s.items(describeHost(&hosts[i])...)
		}
	}
	w.parts(s)
	if _, ok := w.view("tables/hosts"); ok && len(hosts) > 1 {
		w.table(s, "tables/hosts")
	}
}

// parts says which runs were merged, by pool.
func (w *author) parts(s *Section) {
	if len(w.from.Parts) == 0 {
		return
	}
	rows, runs := map[string]int{}, map[string]int{}
	for _, p := range w.from.Parts {
		rows[p.Pool] += p.Rows
		runs[p.Pool]++
	}
	items := []string{fmt.Sprintf("Merged from %s; what each says of its machine is in `parts/`.", count(len(w.from.Parts), "run"))}
	for _, pool := range slices.Sorted(maps.Keys(runs)) {
		if pool != "" {
			items = append(items, fmt.Sprintf("Pool %s: %s, %d rows with warm-ups.", pool, count(runs[pool], "run"), rows[pool]))
		}
	}
	s.items(items...)
}

// describeHost says what machine and program rows come from.
func describeHost(e *environ.Environment) []string {
	var items, machine []string
	if e.CPUModel != "" {
		machine = append(machine, e.CPUModel)
	}
	if e.PhysicalCores > 0 {
		machine = append(machine, count(e.PhysicalCores, "physical core"))
	}
	if e.MemTotalBytes > 0 {
		machine = append(machine, fmt.Sprintf("%.1f GB memory", float64(e.MemTotalBytes)/1e9))
	}
	machine = append(machine, nonEmpty(e.OS, e.Kernel)...)
	if len(e.Virtualization) > 0 {
		machine = append(machine, "virtualized: "+strings.Join(e.Virtualization, ", "))
	}
	if e.NvidiaDriver != "" {
		machine = append(machine, "NVIDIA driver "+e.NvidiaDriver)
	}
	items = append(items, "Machine: "+strings.Join(machine, ", "))
	for _, g := range e.GPUs {
		if g.PowerLimitW != nil {
			items = append(items, fmt.Sprintf("Power limit of %s: %g W", cmp.Or(g.Name, g.PCIBusID), *g.PowerLimitW))
		}
	}
	if e.Engine.Features != "" {
		items = append(items, "Engine features: "+features(e.Engine.Features))
	}
	return append(items, "Program: "+e.Build.String())
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

// models says what the models are, and works the KV formula out for one.
func (w *author) models(s *Section) {
	if !w.table(s, "tables/models") {
		return
	}
	for _, e := range w.rows("tables/mha_vs_gqa") {
		for _, m := range w.rows("tables/models") {
			if m.text("model") != e.text("model") {
				continue
			}
			s.textf("The formula for the smallest cache, %s: %s layers × %s KV heads × (%s + %s) × the bytes of an element = %s B a token of context.",
				m.text("model"), m.shown("layers"), m.shown("kv_heads"), m.shown("head_dim_k"), m.shown("head_dim_v"), e.shown("bytes_per_token"))
			return
		}
	}
}
