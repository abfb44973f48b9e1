package report

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// reproduce says how to get the same figures again, and from what they are.
func (w *author) reproduce(s *Section) {
	lines := w.commands()
	s.add(Block{Code: strings.Join(append(lines, "./bench analyze DIR     # this folder: tables, plots and reports again, from raw_measurements.jsonl"), "\n")})
	var items []string
	if len(w.from.Runs) > 0 {
		e := w.from.Runs[0]
		if e.ConfigPath != "" {
			items = append(items, fmt.Sprintf("Configuration: %s, SHA-256 %s", filepath.Base(e.ConfigPath), cmp.Or(code(e.ConfigHash), "not recorded")))
		}
		items = append(items, "Program: "+cmp.Or(e.Build.Revision, "commit not recorded")+", built with "+e.Build.Go)
	} else {
		items = append(items, "The command, the configuration and the program's commit are not recorded: there is no environment.json.")
	}
	items = append(items, "Engine: "+cmp.Or(strings.Join(w.a.EngineVersions, "; "), "not recorded"))
	var seeds seen
	for _, g := range w.a.Groups {
		for _, r := range g.Rows {
			seeds.add(fmt.Sprint(r.Seed))
		}
	}
	if len(seeds) > 0 {
		items = append(items, "Seed of the prompts: "+strings.Join(seeds, ", "))
	}
	for _, f := range w.from.Files {
		items = append(items, fmt.Sprintf("[%s](%s): %d bytes, SHA-256 %s", f.Name, f.Name, f.Bytes, code(f.SHA256)))
	}
	s.items(append(items, fmt.Sprintf("Tables: [%s](%s) holds all of them, each is also a CSV; the validation is [%s](%s).", TablesFile, TablesFile, ValidationFile, ValidationFile))...)
}

// mostCommands is how many commands a report shows; parts have all.
const mostCommands = 20

// commands are those that began the runs; later ones resumed them.
func (w *author) commands() []string {
	var out seen
	for _, e := range w.from.Runs {
		if len(e.Sessions) == 0 {
			continue
		}
		var words []string
		for _, word := range e.Sessions[0].CommandLine {
			words = append(words, shellQuote(word))
		}
		out.add(strings.Join(words, " "))
	}
	if n := len(out) - mostCommands; n > 0 {
		out = append(out[:mostCommands], fmt.Sprintf("# and %d more, in parts/*/environment.json", n))
	}
	return out
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

// warnings lists all of them, by the numbers that the tables refer to.
func (w *author) warnings(s *Section) {
	var items []string
	for _, x := range w.doc.Warnings {
		items = append(items, fmt.Sprintf("**w%d** %s (%s)", x.Number, x.Text, list(x.Where)))
	}
	s.items(items...)
}

// notComputed lists the tables and columns that this run's rows do not fill.
func (w *author) notComputed(s *Section) {
	var items []string
	for _, t := range w.tables {
		if t.Missing != "" {
			items = append(items, fmt.Sprintf("%s%s: %s", code(t.Name), ofSection(t), t.Missing))
		}
	}
	for _, f := range w.figures {
		if f.Skipped != "" {
			items = append(items, fmt.Sprintf("plot %s: %s", code(f.Name), f.Skipped))
		}
	}
	columns, in := map[string]int{}, map[string][]string{}
	for _, t := range w.tables {
		for lacks, names := range t.Lacking() {
			columns[lacks] += len(names)
			in[lacks] = append(in[lacks], code(t.Name))
		}
	}
	for _, lacks := range slices.Sorted(maps.Keys(in)) {
		items = append(items, fmt.Sprintf("%s of %s: need %s", count(columns[lacks], "column"), strings.Join(in[lacks], ", "), lacks))
	}
	if len(items) == 0 {
		s.text("Nothing: every table and column has values.")
	}
	s.items(items...)
}

func ofSection(t *analyze.Table) string {
	if t.Section == "" {
		return ""
	}
	return " (TR123 " + t.Section + ")"
}

// moreTables folds away the tables that no section shows, except those for
// machines only.
func (w *author) moreTables(s *Section) {
	s.textf("Every table is also a CSV of its name, and all are in `%s`.", TablesFile)
	for _, t := range w.tables {
		if t.Missing != "" || w.shown[t.Name] || !strings.Contains(t.Name, "/") {
			continue
		}
		w.show(s, &tableBlock{Table: firstRows(t), CSV: t.Name + ".csv", Folded: true})
	}
}

func nonEmpty(words ...string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == "" })
}

// glossary says what the words mean.
func glossary(s *Section) {
	s.items(
		"**MHA, GQA, MQA**: multi-head, grouped-query and multi-query attention: each query head has keys and values of its own, some share them, or all do.",
		"**KV cache**: keys and values of the tokens so far, kept so that a decode step evaluates one token only.",
		"**Prefill, decode**: evaluating the prompt in one go; then generating token by token.",
		"**TTFT, TPOT**: time to first token; time per output token after it.",
		"**Crossover**: the context length at which the cache of one sequence takes as much memory as the weights.",
		"**CUDA graph**: a recorded sequence of kernels that is started as one; a capture records it.",
		"**MBU, MFU**: share of the device's measured memory bandwidth, or of its measured matrix rate, that a phase uses.",
		"**Blend**: a mix of prompt and generated tokens that a million tokens are counted in.",
		"**Tier, own rate, scenario**: a price of machine time; that of the very device measured; that of another.",
		"**TCO**: total cost of ownership, here machine time and energy of a month or year.",
		"**Launch**: a new process, with the model loaded again. **Repetition**: the same work again in one process. **Warm-up**: a repetition that enters no statistic.",
		"**CV**: standard deviation over mean. **Cohen's d**: difference of means over the pooled standard deviation. **Holm**: a correction of p for many tests. **~**: not told apart.",
		"**Synthetic weights**: seeded random numbers in a model's shape.",
		"**TR123**: Technical Report 123, a study of these costs whose method and tables are followed here, its mistakes left out.",
	)
}
