package imports

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// entry is one test of llama-bench: pp is a prompt, tg are tokens generated, at
// a depth of tokens that are in the cache already.
type entry struct {
	at                 place
	prompt, gen, depth int
	ms                 []float64 // of each repetition; the mean alone where samples are not there
	meanOnly           bool
	settings           map[string]string // all fields besides the work and its results
	row                record.Record     // what settings say of it
	used               bool
	pairedWith         map[int]bool // of a prompt: lengths generated after it
}

// results are the fields that differ between tests of the same settings.
var results = []string{"n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"}

func addTest(tests *[]entry, at place, values map[string]any) error {
	f := &fields{at: at, values: values}
	f.required("model_filename", "n_prompt", "n_gen", "avg_ns")
	e := entry{at: at, prompt: f.count("n_prompt", 0, 0), gen: f.count("n_gen", 0, 0), depth: f.count("n_depth", 0, 0), settings: map[string]string{}}
	for name := range values {
		if !slices.Contains(results, name) {
			e.settings[name] = f.text(name)
		}
	}
	e.samples(f)
	e.describe(f)
	if f.err != nil {
		return f.err
	}
	if len(*tests) == maxRows {
		return at.errorf("more than %d tests; import parts of them", maxRows)
	}
	*tests = append(*tests, e)
	return nil
}

// samples takes the time of each repetition; CSV has their mean only.
func (e *entry) samples(f *fields) {
	list, ok := f.values["samples_ns"].([]any)
	if !ok {
		if ns := f.positive("avg_ns"); ns != nil {
			e.ms, e.meanOnly = []float64{*ns / 1e6}, true
		}
		return
	}
	for _, v := range list {
		number, _ := v.(json.Number)
		ns, ok := positive(number.String())
		if !ok {
			f.fail("samples_ns", "nanoseconds above 0")
			return
		}
		e.ms = append(e.ms, ns/1e6)
	}
}

// describe fills in what the settings say of a row.
func (e *entry) describe(f *fields) {
	e.row = record.Record{
		Origin: LlamaBench, Status: record.StatusOK, Batch: 1, DecodeMode: cached,
		Model:   strings.TrimSuffix(path.Base(strings.ReplaceAll(f.text("model_filename"), `\`, "/")), ".gguf"),
		KVTypeK: f.text("type_k"), KVTypeV: f.text("type_v"),
		NBatch: f.count("n_batch", 0, 0), NUbatch: f.count("n_ubatch", 0, 0), Threads: f.count("n_threads", 0, 0),
		EngineVersion: strings.TrimSpace(fmt.Sprintf("llama.cpp b%s %s", f.text("build_number"), f.text("build_commit"))),
		FlashAttn:     map[string]string{"1": "on", "true": "on", "0": "off", "false": "off", "-1": "auto"}[f.text("flash_attn")],
	}
	if bytes := f.count64("model_size"); bytes > 0 {
		e.row.WeightsBytes = &bytes
	}
	if t, err := time.Parse(time.RFC3339, f.text("test_time")); err == nil {
		e.row.Timestamp = t
	}
	e.device(f)
}

// device says what ran the test. With a GPU built in and no layers on it,
// llama.cpp still gives it large matrices, so that such a test is of both.
func (e *entry) device(f *fields) {
	cpu, gpu, backends := f.text("cpu_info"), f.text("gpu_info"), strings.ToLower(f.text("backends"))
	switch {
	case gpu == "":
		e.row.Backend, e.row.Device, e.row.DeviceKind = "cpu", cpu, "cpu"
		if backends != "" {
			e.row.Backend = backends
		}
	case f.text("n_gpu_layers") == "0":
		e.row.Backend, e.row.Device = cmp.Or(backends, "gpu")+"-ngl0", gpu+" and "+cpu
	default:
		e.row.Backend, e.row.Device, e.row.DeviceKind = cmp.Or(backends, "gpu"), gpu, "gpu"
		e.row.GPULayers = f.count("n_gpu_layers", -1, 0)
	}
}

// kind says what the test measured, as llama-bench names it.
func (e *entry) kind() string {
	var s string
	if e.prompt > 0 {
		s = fmt.Sprintf("pp%d", e.prompt)
	}
	if e.gen > 0 {
		s += fmt.Sprintf("tg%d", e.gen)
	}
	if e.depth > 0 {
		s += fmt.Sprintf(" at depth %d", e.depth)
	}
	return s
}

// joined is written into each row.
const joined = "prefill and decode come from different tests of llama-bench, which samples no tokens: it leaves out choosing the greedy one"

// work is what a prompt and the generation after it have in common.
type work struct {
	settings string
	tokens   int // of the prompt
	file     string
}

// of returns the work of an entry whose prompt has that many tokens, in its file
// or in any.
func (e *entry) of(tokens int, sameFile bool) work {
	var s strings.Builder
	for _, field := range slices.Sorted(maps.Keys(e.settings)) {
		fmt.Fprintf(&s, "%q=%q ", field, e.settings[field])
	}
	w := work{settings: s.String(), tokens: tokens}
	if sameFile {
		w.file = e.at.file
	}
	return w
}

// join makes rows of tests: a prompt of N tokens and generation at depth N are
// the phases of one scenario when everything else is the same.
func join(out *Result, tests []entry, opts Options) error {
	setApart(tests)
	pairs := pairing{out: out, opts: opts, launches: map[string]map[string]int{}, reps: map[record.Key]int{}}
	// First within files, then what is left across them: phases of one process
	// belong together.
	for _, sameFile := range []bool{true, false} {
		prompts := map[work][]*entry{}
		for i := range tests {
			if e := &tests[i]; e.prompt > 0 && e.gen == 0 && e.depth == 0 {
				w := e.of(e.prompt, sameFile)
				prompts[w] = append(prompts[w], e)
			}
		}
		for i := range tests {
			tg := &tests[i]
			if tg.used || tg.gen == 0 || tg.prompt > 0 || tg.depth == 0 {
				continue
			}
			// A prompt may be followed by several lengths, by each once: its
			// times are no new ones the second time.
			of := prompts[tg.of(tg.depth, sameFile)]
			at := slices.IndexFunc(of, func(pp *entry) bool { return !pp.pairedWith[tg.gen] })
			if at < 0 {
				continue
			}
			if err := pairs.add(of[at], tg); err != nil {
				return err
			}
		}
	}
	for i := range tests {
		if e := &tests[i]; !e.used {
			out.Unused = append(out.Unused, fmt.Sprintf("%s:%d: %s", e.at.file, e.at.line, e.whyUnused()))
		}
	}
	return nil
}

// pairing makes rows of pairs of tests.
type pairing struct {
	out      *Result
	opts     Options
	launches map[string]map[string]int // of a cell, by file
	reps     map[record.Key]int        // so far, by launch
}

func (p *pairing) add(pp, tg *entry) error {
	pp.used, tg.used = true, true
	if pp.pairedWith == nil {
		pp.pairedWith = map[int]bool{}
	}
	pp.pairedWith[tg.gen] = true

	row := tg.row
	row.Model, row.Synthetic = cmp.Or(p.opts.Model, row.Model), p.opts.Synthetic
	row.Scenario = fmt.Sprintf("pp%d+tg%d", pp.prompt, tg.gen)
	row.PromptTokens, row.GenTokens = pp.prompt, tg.gen
	row.CellID = cellID(&row)
	row.Launch = p.launch(row.CellID, tg.at.file)
	row.Warnings = []string{joined}
	if pp.meanOnly || tg.meanOnly {
		row.Warnings = append(row.Warnings, "a mean over repetitions: their number and spread are not in the CSV of llama-bench; use -o jsonl")
	}
	launch := row.Key()
	for i := range min(len(pp.ms), len(tg.ms)) {
		row.Rep = p.reps[launch]
		p.reps[launch]++
		row.PrefillMs, row.DecodeMs = &pp.ms[i], &tg.ms[i]
		if err := p.out.add(row); err != nil {
			return err
		}
	}
	if a, b := len(pp.ms), len(tg.ms); a != b {
		p.out.Unused = append(p.out.Unused, fmt.Sprintf("%s:%d: %d repetitions of %s and %d of %s: those without a partner are left out", tg.at.file, tg.at.line, a, pp.kind(), b, tg.kind()))
	}
	return nil
}

// launch numbers the files that have a cell: each is a process of its own.
func (p *pairing) launch(cell, file string) int {
	if p.launches[cell] == nil {
		p.launches[cell] = map[string]int{}
	}
	files := p.launches[cell]
	if _, seen := files[file]; !seen {
		files[file] = len(files)
	}
	return files[file]
}

func (e *entry) whyUnused() string {
	switch {
	case e.prompt > 0 && e.gen > 0:
		return e.kind() + " is one time for both phases; measure them apart with -p, -n and -d"
	case e.prompt > 0 && e.depth > 0:
		return e.kind() + " is no prefill of a whole prompt"
	case e.prompt > 0:
		return fmt.Sprintf("%s has no generation after it; add -n TOKENS -d %d", e.kind(), e.prompt)
	case e.depth == 0:
		return e.kind() + " has no prompt before it; add -d PROMPT_TOKENS"
	}
	return fmt.Sprintf("%s has no prompt of the same settings; add -p %d", e.kind(), e.depth)
}

// setApart gives tests with different settings different backends, named by what
// differs, where model, backend and cache types would not tell them apart.
func setApart(tests []entry) {
	type name struct{ model, backend, k, v string }
	of := func(e *entry) name { return name{e.row.Model, e.row.Backend, e.row.KVTypeK, e.row.KVTypeV} }
	groups := map[name][]*entry{}
	for i := range tests {
		groups[of(&tests[i])] = append(groups[of(&tests[i])], &tests[i])
	}
	for _, group := range groups {
		varied := map[string]bool{}
		first := group[0].settings
		for _, e := range group {
			for _, s := range []map[string]string{e.settings, first} {
				for field := range s {
					varied[field] = varied[field] || e.settings[field] != first[field]
				}
			}
		}
		for _, e := range group {
			for _, field := range slices.Sorted(maps.Keys(varied)) {
				if !varied[field] {
					continue
				}
				e.row.Backend += "," + field + "=" + e.settings[field]
			}
		}
	}
}
