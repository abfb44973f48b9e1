package analyze

import (
	"fmt"
	"math"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Outcome is how a check ended.
type Outcome string

// The outcomes of checks. A FAIL means that figures of the run cannot be
// trusted as they are; a WARN that something should be looked at.
const (
	Pass     Outcome = "PASS"
	Warn     Outcome = "WARN"
	Fail     Outcome = "FAIL"
	Untested Outcome = "not testable"
)

// namedPlaces is how many places a check names.
const namedPlaces = 5

// Check is one thing that must hold of a sound run.
type Check struct {
	Name    string   `json:"name"`
	Rule    string   `json:"rule"` // what must hold
	Outcome Outcome  `json:"outcome"`
	Result  string   `json:"result"`          // what was seen
	Where   []string `json:"where,omitempty"` // where it does not hold, the first few
}

// Failed reports whether any check failed.
func (a *Analysis) Failed() bool {
	for _, c := range a.Checks {
		if c.Outcome == Fail {
			return true
		}
	}
	return false
}

// tally counts what a check looked at and what it found.
type tally struct {
	seen, bad int
	where     set
	outcome   Outcome // of a finding; the worst so far
}

func (t *tally) find(outcome Outcome, where string) {
	t.bad++
	if len(t.where.list) < namedPlaces {
		t.where.add(where)
	}
	if t.outcome != Fail {
		t.outcome = outcome
	}
}

// check makes a Check of a tally: what names the things looked at, need what is
// missing when there is none.
func (t *tally) check(name, rule, what, need string) Check {
	c := Check{Name: name, Rule: rule, Outcome: Pass, Where: t.where.list}
	switch {
	case t.seen == 0:
		c.Outcome, c.Result = Untested, need
	case t.bad == 0:
		c.Result = fmt.Sprintf("holds for all %d %s", t.seen, what)
	default:
		c.Outcome, c.Result = t.outcome, fmt.Sprintf("does not hold for %d of %d %s", t.bad, t.seen, what)
	}
	return c
}

// The limits of the checks. Those of phases, warm-ups and temperature are
// TR123's (12.3).
const (
	phaseSumPct    = 5
	warmupPct      = 11
	hotC           = 80
	clockCVPct     = 5
	fewSamples     = 3
	monotonicSlack = 0.10 // share by which longer work may seem faster
	monotonicRows  = 3    // of each cell; two that agree by chance have a narrow interval, too
	windowsPct     = 90   // of energy windows that must be valid
	consistentPct  = 3    // between counter and integral
	idleDriftPct   = 5
)

func (a *Analysis) validate() []Check {
	return []Check{
		a.checkAccounting(),
		a.checkPhaseSum(),
		a.checkMonotonic("prefill monotonicity", "longer prompts take longer to evaluate", func(g *Group) (int, stats.Summary) { return g.PromptTokens, g.PrefillMs }),
		a.checkMonotonic("decode monotonicity", "more generated tokens take longer; without the cache, more evaluated ones", func(g *Group) (int, stats.Summary) { return g.decodeWork(), g.DecodeMs }),
		a.checkKV(),
		a.checkThrottle(),
		a.checkRows("temperature", fmt.Sprintf("the GPU stays below %d °C", hotC), "rows carry no GPU temperature",
			func(r *record.Record) (ok, known bool) {
				return r.GPUTempC != nil && *r.GPUTempC < hotC, r.GPUTempC != nil
			}),
		a.checkClock(),
		a.checkDegraded(),
		a.checkWarmup(),
		a.checkTokens(),
		a.checkBackendTokens(),
		a.checkOutliers(),
		a.checkPowerSamples(),
		a.checkWatching(),
		a.checkWindows(),
		a.checkConsistency(),
		a.checkForeign(),
		a.checkIdle(),
	}
}

func (a *Analysis) checkAccounting() Check {
	c := Check{Name: "accounting", Rule: "every planned row is measured or skipped for a reason", Outcome: Pass}
	n := a.Accounting
	c.Result = fmt.Sprintf("ok %d, skipped %d, error %d, missing %d", n.OK, n.Skipped, n.Errors, n.Missing)
	switch {
	case n.Errors > 0:
		c.Outcome = Fail
	case n.Missing > 0:
		c.Outcome = Warn
	case n.OK == 0:
		c.Outcome = Untested
	}
	return c
}

func (a *Analysis) checkPhaseSum() Check {
	var t tally
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.TotalMs == nil || *r.TotalMs <= 0 {
				continue
			}
			t.seen++
			if math.Abs(*r.PrefillMs+*r.DecodeMs-*r.TotalMs) > phaseSumPct/100.0**r.TotalMs {
				t.find(Fail, rowName(r))
			}
		}
	}
	return t.check("phase sum", fmt.Sprintf("prefill_ms + decode_ms is within %d %% of total_ms", phaseSumPct), "rows", "no row has a total of its own")
}

func rowName(r *record.Record) string {
	return fmt.Sprintf("%s, launch %d, repetition %d", keyOf(r), r.Launch, r.Rep)
}

// checkMonotonic compares the cells of a configuration by their work. That
// more work took less time is a failure when the intervals are apart and the
// difference exceeds monotonicSlack over monotonicRows or more, else it may be
// noise.
func (a *Analysis) checkMonotonic(name, rule string, of func(*Group) (tokens int, ms stats.Summary)) Check {
	var t tally
	for _, c := range a.Configs {
		for _, x := range c.Groups {
			for _, y := range c.Groups {
				nx, mx := of(x)
				ny, my := of(y)
				if nx >= ny {
					continue
				}
				t.seen++
				if my.Mean >= mx.Mean {
					continue
				}
				outcome := Warn
				if min(mx.N, my.N) >= monotonicRows && mx.CI != nil && my.CI != nil && my.CI.Hi < mx.CI.Lo && my.Mean < (1-monotonicSlack)*mx.Mean {
					outcome = Fail
				}
				t.find(outcome, fmt.Sprintf("%s: %d tokens %.4g ms, %d tokens %.4g ms", c.ConfigKey, nx, mx.Mean, ny, my.Mean))
			}
		}
	}
	return t.check(name, rule, "pairs of cells", "no configuration has cells of different length")
}

// decodeWork is how many tokens a decode evaluates of each sequence: one a step,
// or without the cache all there are, prompt + i in step i.
func (g *Group) decodeWork() int {
	n := g.GenTokens
	if g.DecodeMode == "uncached" {
		return n*g.PromptTokens + n*(n+1)/2
	}
	return n
}

func (a *Analysis) checkKV() Check {
	var t tally
	judge := func(exact *bool, where string) {
		if exact == nil {
			return
		}
		t.seen++
		if !*exact {
			t.find(Fail, where)
		}
	}
	for _, k := range a.KV {
		judge(k.Exact, k.Key.String())
	}
	for _, p := range a.KVPoints {
		judge(p.Exact, fmt.Sprintf("%s, %d tokens", p.Model, p.Tokens))
	}
	return t.check("KV formula", "the cache's payload is what the formula says, to the byte", "caches", "no cache was inspected, or no model's shape is known")
}

func (a *Analysis) checkThrottle() Check {
	var t tally
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.GPUClockMHz == nil && len(r.Throttle) == 0 {
				continue
			}
			t.seen++
			if len(r.Throttle) == 0 {
				continue
			}
			names := strings.Join(r.Throttle, ", ")
			outcome := Warn
			if strings.Contains(names, "thermal") || strings.Contains(names, "hw_") {
				outcome = Fail
			}
			t.find(outcome, rowName(r)+": "+names)
		}
	}
	return t.check("throttling", "nothing holds the GPU's clocks back", "rows", "rows carry no GPU clocks")
}

// checkRows checks a rule row by row; what does not hold is a warning.
func (a *Analysis) checkRows(name, rule, need string, of func(r *record.Record) (ok, known bool)) Check {
	var t tally
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			ok, known := of(r)
			if !known {
				continue
			}
			t.seen++
			if !ok {
				t.find(Warn, rowName(r))
			}
		}
	}
	return t.check(name, rule, "rows", need)
}

func (a *Analysis) checkClock() Check {
	var t tally
	for _, g := range a.Groups {
		var clocks []float64
		for _, r := range g.Rows {
			if r.GPUClockMHz != nil {
				clocks = append(clocks, *r.GPUClockMHz)
			}
		}
		s, ok := stats.Describe(clocks, Confidence)
		if !ok || s.CVPct == nil {
			continue
		}
		t.seen++
		if *s.CVPct > clockCVPct {
			t.find(Warn, fmt.Sprintf("%s: %.1f %%", g.Key, *s.CVPct))
		}
	}
	return t.check("clock stability", fmt.Sprintf("the GPU's clock varies by less than %d %% (CV) over a cell's repetitions", clockCVPct), "cells", "rows carry no GPU clocks")
}

func (a *Analysis) checkWarmup() Check {
	var t tally
	for _, g := range a.Groups {
		r, ok := g.warmupRatio()
		if !ok {
			continue
		}
		t.seen++
		if math.Abs(r-1) > warmupPct/100.0 {
			t.find(Warn, fmt.Sprintf("%s: %.3f", g.Key, r))
		}
	}
	return t.check("warm-up", fmt.Sprintf("repetition 0 decodes within %d %% of the others", warmupPct), "cells", "no cell has two repetitions")
}

// checkTokens: greedy decoding of one prompt gives one sequence of tokens.
func (a *Analysis) checkTokens() Check {
	var t tally
	for _, g := range a.Groups {
		odd, of := g.oddTokens()
		if of == 0 {
			continue
		}
		t.seen++
		if odd > 0 {
			t.find(Fail, fmt.Sprintf("%s: %d of %d rows", g.Key, odd, of))
		}
	}
	return t.check("tokens", "repetitions of a prompt sample the same tokens", "cells", "no prompt was repeated with its tokens recorded")
}

// oddTokens returns how many rows sampled other tokens than most of their prompt,
// and of how many: those of prompts that two rows or more tell about.
func (g *Group) oddTokens() (odd, of int) {
	for _, rows := range g.sampled() {
		all, most := 0, 0
		for _, n := range rows {
			all, most = all+n, max(most, n)
		}
		if all > 1 {
			odd, of = odd+all-most, of+all
		}
	}
	return odd, of
}

// sampled counts the rows of each prompt that sampled the same tokens.
func (g *Group) sampled() map[string]map[string]int {
	rows := map[string]map[string]int{}
	for _, r := range g.Rows {
		if r.TokenHash == "" {
			continue
		}
		if rows[r.PromptHash] == nil {
			rows[r.PromptHash] = map[string]int{}
		}
		rows[r.PromptHash][r.TokenHash]++
	}
	return rows
}

// mostTokens returns the hash of the tokens that most rows of a prompt sampled, the
// first of equally many; "" when none tells.
func (g *Group) mostTokens(prompt string) string {
	rows, most := g.sampled()[prompt], ""
	for _, r := range g.Rows {
		if rows[r.TokenHash] > rows[most] {
			most = r.TokenHash
		}
	}
	return most
}

// checkBackendTokens: the settings of a backend change how a device computes, not
// what; a difference is a near tie in the logits, or worse. One that computes
// something wrong, but the same each time, passes every other check.
func (a *Analysis) checkBackendTokens() Check {
	type work struct {
		Key // without a backend
		record.Place
		device, prompt string
	}
	type outcome struct {
		groups   int
		tokens   set
		backends map[string]*set // by tokens
	}
	var order []work
	outcomes := map[work]*outcome{}
	for _, g := range a.Groups {
		r := g.Rows[0]
		tokens := g.mostTokens(r.PromptHash)
		if r.PromptHash == "" || tokens == "" {
			continue
		}
		w := work{g.Key, r.Place, r.Device, r.PromptHash}
		w.Backend = ""
		x := outcomes[w]
		if x == nil {
			x = &outcome{backends: map[string]*set{}}
			outcomes[w], order = x, append(order, w)
		}
		x.groups++
		x.tokens.add(tokens)
		addTo(x.backends, tokens, g.Backend)
	}
	var t tally
	for _, w := range order {
		x := outcomes[w]
		if x.groups < 2 {
			continue
		}
		t.seen++
		if len(x.tokens.list) > 1 {
			var alike []string
			for _, tokens := range x.tokens.list {
				alike = append(alike, strings.Join(x.backends[tokens].list, " and "))
			}
			w.Backend = strings.Join(alike, " other than ")
			t.find(Warn, w.Key.String())
		}
	}
	return t.check("tokens across backends", "a model samples the same tokens on one device whatever the backend (where not: near ties in the logits, or a wrong result, which bench logits of both would tell apart)", "cells", "no cell was measured on two backends of a device")
}

func (a *Analysis) checkOutliers() Check {
	var t tally
	for _, g := range a.Groups {
		for _, s := range []stats.Summary{g.PrefillMs, g.DecodeMs} {
			if s.N < 5 {
				continue
			}
			t.seen += s.N
			for range s.Outliers {
				t.find(Warn, g.Key.String())
			}
		}
	}
	return t.check("outliers", "no time is further from its cell's median than 3.5 scaled MADs (flagged, never removed; normal noise alone gives about 5 % of them at 5 repetitions, 3 % at 7, 2 % at 10)", "times", "fewer than 5 repetitions of each cell")
}

func (a *Analysis) checkDegraded() Check {
	var t tally
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.Degraded || r.DeviceKind != "cpu" && (r.GPUClockMHz != nil || r.GPUTempC != nil) {
				t.seen++
			}
		}
	}
	for _, d := range a.Degraded {
		t.find(Warn, rowName(d.Row)+": "+d.reasons())
	}
	return t.check("degradation", fmt.Sprintf("no row was flagged as hot or held back, nor is its clock more than %d %% below the run's median on the device (kept in all statistics)", clockDropPct),
		"rows", "rows carry no GPU clocks or temperature")
}

func validationTables() []definition {
	return []definition{{
		name: studies + "invariants", section: "12.3", title: "Validation", needs: "a measured row",
		columns: []Column{col("check", "check", ""), col("outcome", "outcome", ""), col("rule", "what must hold", ""), col("result", "seen", ""), blank("where", "where not")},
		fill: func(a *Analysis, t *Table) error {
			for _, c := range a.Checks {
				t.Add(c.Name, string(c.Outcome), c.Rule, c.Result, strings.Join(c.Where, "; "))
			}
			return nil
		},
	}}
}
