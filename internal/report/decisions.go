package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
)

// decisions shows what to choose for what, where the data end and what goes
// wrong.
func (w *author) decisions(s *Section) {
	s.heading("14.1 What to run for what")
	w.table(s, "tables/recommendations")
	s.heading("14.2 Decision matrix")
	w.table(s, "tables/decision_matrix")
	s.heading("14.3 Limits")
	s.items(w.limits()...)
	s.heading("14.4 Failure modes")
	s.add(Block{Table: &tableBlock{Table: w.failures()}})
}

// limits says what these data do not tell.
func (w *author) limits() []string {
	a := w.a
	var batches, caches, weights seen
	launches := 1
	for _, g := range a.Groups {
		batches.add(fmt.Sprint(g.Batch))
		caches.add(strings.Join(slices.Compact(nonEmpty(g.KVTypeK, g.KVTypeV)), "/"))
		launches = max(launches, g.Launches)
	}
	for _, e := range w.rows("tables/models") {
		weights.add(e.text("file_type"))
	}
	out := []string{fmt.Sprintf("Hardware: %s. Other devices differ in bandwidth, clocks and power, and rankings need not carry over.", strings.Join(a.Devices, ", "))}
	if len(a.Devices) == 0 {
		out[0] = "Hardware: the rows name no device."
	}
	if slices.Equal(batches, seen{"1"}) {
		out = append(out, "One sequence at a time: batching changes throughput, cost and cache memory.")
	} else {
		out = append(out, fmt.Sprintf("Batches of %s; a serving system that batches continuously mixes phases and lengths.", strings.Join(batches, ", ")))
	}
	if formats := nonEmpty(weights...); len(formats) > 0 {
		out = append(out, fmt.Sprintf("Weights of %s and a cache of %s: other quantizations were not run.", strings.Join(formats, ", "), strings.Join(nonEmpty(caches...), ", ")))
	}
	if launches == 1 {
		out = append(out, "One launch of each process: how much a new launch would differ is not known; "+code("launches: 3")+" or more in the matrix tells.")
	}
	prefill, decode := w.powered()
	if n := len(a.Groups); prefill < n || decode < n {
		out = append(out, fmt.Sprintf("Energy is known for the prefill of %d and the decode of %d of %s.", prefill, decode, count(n, "cell")))
	}
	if prefill+decode > 0 {
		out = append(out, "Energy is of the device's own sensor or of assumed watts: fans, power supply and the rest of the machine are not in it.")
	}
	if len(a.Synthetic) > 0 {
		out = append(out, fmt.Sprintf("Random weights (%s): speed and memory are those of the shape; power can differ, and the text means nothing.", strings.Join(a.Synthetic, ", ")))
	}
	if r := w.ranking(); r != nil && !r.Own {
		out = append(out, "No $ here is of the machine that was measured: all of them are a scenario.")
	}
	if a.Failed() {
		out = append(out, "The validation failed; see section 12 before using a figure.")
	}
	return append(out, "The engine was called directly: a server adds tokenization, scheduling and network.", w.knownQuality())
}

// failures lists what can go wrong, whether it did in this run and what to do.
func (w *author) failures() *analyze.Table {
	t := &analyze.Table{Title: "Failure modes", Columns: []analyze.Column{
		{Name: "failure", Title: "what goes wrong"}, {Name: "symptom", Title: "how it shows"}, {Name: "seen", Title: "in this run"}, {Name: "remedy", Title: "what to do"},
	}}
	skips := func(kind record.SkipKind) string { return w.reasons(ended{record.StatusSkipped, string(kind)}) }
	failed := func(kind string) ended { return ended{record.StatusError, kind} }
	t.Add("the device is not there", "rows are skipped", skips(record.SkipDevice), "build with the device's backend; ./bench doctor says what is missing")
	t.Add("weights and cache do not fit", "rows are skipped, or fail for memory", w.reasons(ended{record.StatusSkipped, string(record.SkipMemory)}, failed("memory")), "a shorter context, a smaller cache type, a model with fewer KV heads")
	t.Add("the context exceeds the model's positions", "rows are skipped", skips(record.SkipPositions), "shorter scenarios for this model")
	t.Add("the engine cannot use a cache type", "rows are skipped", skips(record.SkipCache), "another type for keys or values, as the reason says")
	t.Add("the worker dies", "error rows with a signal or exit code", w.reasons(failed("signal"), failed("exit")), "read the last lines of its standard error in the row; --resume runs the cell again")
	t.Add("a row hangs", "error rows after a time-out", w.reasons(failed("timeout")), "smaller cells, so that a row ends within 20 times what was expected of it; worker.log has what the engine said")
	t.Add("the engine refuses the work", "error rows with its message", w.reasons(failed("engine"), failed("input")), "what the message says")
	t.Add("the engine computes something wrong", "other tokens from the same prompt, from one repetition or one backend to the next", w.outcomes("tokens", "tokens across backends"), "leave out the settings of the engine that are not its defaults; scripts/settings.sh says which changes the tokens")
	t.Add("clocks are held back", "rows get slower, throttle reasons, heat", w.outcomes("throttling", "temperature", "degradation"), "better cooling, a fixed clock, pauses between rows")
	t.Add("the first request is slow", "high first latency of a process", cmp.Or(w.firstRequest(), "not measured: it takes warm-up rows"), "warm up before taking requests")
	t.Add("single steps stall", "spikes in the time between tokens", w.stalls(), "expect the first two steps after a prompt to take longer; look at the step latencies for others")
	t.Add("others use the device", "noise, other memory in use", w.outcomes("foreign processes"), "stop them, or run alone")
	t.Add("a phase is too short for the power sensor", "joules are missing", w.unpowered(), "energy windows: energy in the matrix")
	t.Add("the cache fills the memory", "long contexts fail", w.memoryEnds(), "limit the context; a smaller cache type")
	return t
}

// ended is one way in which rows end without figures.
type ended struct {
	status record.Status
	kind   string
}

// reasons says how many rows ended so, and why.
func (w *author) reasons(ways ...ended) string {
	var out []string
	for _, r := range w.a.Accounting.Reasons {
		if slices.Contains(ways, ended{r.Status, r.Kind}) {
			out = append(out, fmt.Sprintf("%s: %s", count(r.Rows, "row"), r.Text))
		}
	}
	return cmp.Or(list(out), "no row")
}

// outcomes says how checks ended.
func (w *author) outcomes(names ...string) string {
	var out []string
	for _, name := range names {
		if c, ok := w.check(name); ok {
			out = append(out, fmt.Sprintf("%s: %s, %s", name, c.Outcome, c.Result))
		}
	}
	return strings.Join(out, "; ")
}

func (w *author) stalls() string {
	if len(w.a.Steps) == 0 {
		return "not measured: no step was timed"
	}
	return w.slowSteps()
}

func (w *author) unpowered() string {
	prefill, decode := w.powered()
	n := len(w.a.Groups)
	if prefill+decode == 0 {
		return "no energy at all: no power was read, or all phases are too short"
	}
	return fmt.Sprintf("no energy in the prefill of %d and the decode of %d of %s", n-prefill, n-decode, count(n, "cell"))
}

func (w *author) memoryEnds() string {
	var out []string
	for _, e := range w.rows(crossoverTable) {
		if e.text("limit") == string(econ.LimitMemory) {
			out = append(out, fmt.Sprintf("%s beyond %s tokens", e.text("model"), e.shown("longest_tokens")))
		}
	}
	if len(out) > 0 {
		return list(out)
	}
	if _, _, ok := extremes(w.rows(crossoverTable), "longest_tokens"); ok {
		return "never: positions end before memory does, one sequence at a time"
	}
	return "not known: it takes the device's memory and the model's shape"
}
