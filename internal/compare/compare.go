package compare

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/stats"
)

// Options say how sides are compared.
type Options struct {
	// Analyze has the prices that count for all sides.
	Analyze analyze.Options
	// Noise is the share that two processes may lie apart by; nil for the
	// default of the device and phase.
	Noise *float64
	// AllowMixed compares random weights with trained ones.
	AllowMixed bool
}

// MixedError says that random weights would be compared with trained ones.
type MixedError struct{ Where []string }

func (e *MixedError) Error() string {
	return fmt.Sprintf("random weights on one side and trained ones on the other (%s): their speed is the same by design, their power and text are not; compare them with --allow-mixed",
		strings.Join(e.Where, "; "))
}

// ErrNothing says that the sides have no cell in common.
var ErrNothing = errors.New("no cell was measured on both sides")

// Row is one metric of one cell, or with Cells the geometric mean over cells.
type Row struct {
	With    string `json:"with"`   // the new side
	Metric  string `json:"metric"` // see Metrics
	Unit    string `json:"unit"`
	Cells   int    `json:"cells,omitempty"` // of a geometric mean
	Model   string `json:"model,omitempty"`
	Backend string `json:"backend,omitempty"` // of both sides, or old > new

	Scenario     string   `json:"scenario,omitempty"`
	Variant      string   `json:"variant,omitempty"` // see analyze.ConfigKey
	PromptTokens int      `json:"prompt_tokens,omitempty"`
	GenTokens    int      `json:"gen_tokens,omitempty"`
	Price        string   `json:"price,omitempty"` // of a cost
	Old          *float64 `json:"old"`             // tokens over seconds, or means
	New          *float64 `json:"new"`

	Ratio *float64 `json:"ratio"` // new over old, of geometric means
	CILo  *float64 `json:"ci95_lo"`
	CIHi  *float64 `json:"ci95_hi"`
	P     *float64 `json:"p"`
	PHolm *float64 `json:"p_holm"` // corrected over all tests between these two sides
	OldN  int      `json:"old_n"`  // repetitions, or of energy, valid windows
	NewN  int      `json:"new_n"`

	// The launches whose means are the replicates; 0 where those are repetitions
	// or windows.
	OldLaunches int `json:"old_launches,omitempty"`
	NewLaunches int `json:"new_launches,omitempty"`

	Within bool     `json:"within_process"`  // replicates are no independent launches
	Noise  *float64 `json:"noise,omitempty"` // the share that a difference within processes must exceed

	Verdict string `json:"verdict"` // "~" where the two are not told apart
	Why     string `json:"why,omitempty"`

	metric *Metric
}

// Slower reports whether the new side is slower for sure, by more than a share.
func (r *Row) Slower(share float64) bool {
	return r.Cells == 0 && r.metric.inverse && r.Verdict == r.metric.worse && *r.Ratio < 1-share
}

// Result is what a comparison found.
type Result struct {
	Old       string   `json:"old"`
	With      []string `json:"with"`
	ByBackend bool     `json:"by_backend"` // sides are backends, which stand in their names

	Rows  []Row `json:"rows"`
	Means []Row `json:"geometric_means"`

	OnlyIn        []Apart  `json:"only_in"`
	NotComparable []Apart  `json:"not_comparable"`
	Notes         []string `json:"notes"`

	Synthetic []string `json:"synthetic"` // models whose weights are random numbers
	Blend     string   `json:"blend"`     // that costs are of
}

// Apart is a cell that was not compared.
type Apart struct {
	Side string `json:"side,omitempty"` // the only one that measured it
	With string `json:"with"`           // the other
	Cell string `json:"cell"`
	Why  string `json:"why,omitempty"`
}

// pair is a cell that both sides measured.
type pair struct {
	old, with *analyze.Group
	allowance Allowance
	tests     [len(quantities)]test
}

// test is a quantity compared.
type test struct {
	ratio    *stats.Ratio // new over old; nil when it cannot be tested
	byLaunch bool
	pHolm    float64
	why      string
}

// Compare holds sides against the first. Cells are paired by model, scenario,
// cache types, batch and decode mode, and by backend unless sides name theirs.
func Compare(sides []*Side, opts Options) (*Result, error) {
	for _, s := range sides {
		if err := s.load(opts.Analyze); err != nil {
			return nil, err
		}
		if len(s.groups) == 0 {
			return nil, fmt.Errorf("%s: %w", s.Label(), noGroups(s))
		}
	}
	old := sides[0]
	out := &Result{Old: old.Label(), ByBackend: old.Backend != "", Blend: old.blend, OnlyIn: []Apart{}, NotComparable: []Apart{}, Notes: []string{}, Synthetic: []string{}}
	var all [][]*pair
	var mixed []string
	for _, with := range sides[1:] {
		out.With = append(out.With, with.Label())
		pairs, m := out.pairUp(old, with, opts)
		all, mixed = append(all, pairs), append(mixed, m...)
	}
	if len(mixed) > 0 && !opts.AllowMixed {
		return nil, &MixedError{Where: mixed}
	}
	compared := 0
	for i, pairs := range all {
		compared += len(pairs)
		for _, p := range pairs {
			p.test(old, sides[i+1])
		}
		correct(pairs)
	}
	if compared == 0 {
		return nil, fmt.Errorf("%w%s", ErrNothing, out.apart())
	}
	var said remarks
	for i, pairs := range all {
		with := sides[i+1]
		for m := range Metrics {
			for _, p := range pairs {
				if row := p.row(&Metrics[m], old, with); row != nil {
					out.Rows = append(out.Rows, *row)
				}
			}
			if mean := meanOf(&Metrics[m], old, with, pairs); mean != nil {
				out.Means = append(out.Means, *mean)
			}
		}
		label := ""
		if len(out.With) > 1 {
			label = with.Label()
		}
		said.note(label, old, with, pairs)
	}
	for _, r := range said {
		out.Notes = append(out.Notes, r.String())
	}
	return out, nil
}

func noGroups(s *Side) error {
	if s.Backend != "" {
		return fmt.Errorf("no measured row of backend %q", s.Backend)
	}
	return errors.New("no measured row")
}

// apart says why cells were not compared, the first few.
func (r *Result) apart() string {
	var s strings.Builder
	for _, list := range [][]Apart{r.NotComparable, r.OnlyIn} {
		for _, a := range list[:min(len(list), 5)] {
			s.WriteString("\n  " + a.String())
		}
	}
	return s.String()
}

// String says which cell was not compared and why.
func (a Apart) String() string {
	text := a.Cell
	if a.Side != "" {
		text += ": only in " + a.Side
		if a.Why != "" {
			text += " (" + a.With + ": " + a.Why + ")"
		}
		return text
	}
	return text + ": " + a.Why
}

// pairUp returns the cells that both sides measured and that can be compared;
// the others it notes. mixed names those with random weights on one side only.
func (r *Result) pairUp(old, with *Side, opts Options) (pairs []*pair, mixed []string) {
	sameBackend := !r.ByBackend
	for _, a := range old.groups {
		b := with.find(a, sameBackend)
		if b == nil {
			r.OnlyIn = append(r.OnlyIn, Apart{Side: old.Label(), With: with.Label(), Cell: a.Key.String(), Why: with.missing(a.Key)})
			continue
		}
		if why := otherWork(a, b); why != "" {
			r.NotComparable = append(r.NotComparable, Apart{With: with.Label(), Cell: a.Key.String(), Why: why})
			continue
		}
		if a.Rows[0].Synthetic != b.Rows[0].Synthetic {
			mixed = append(mixed, a.Key.String())
		}
		for _, g := range []*analyze.Group{a, b} {
			if g.Rows[0].Synthetic && !slices.Contains(r.Synthetic, g.Model) {
				r.Synthetic = append(r.Synthetic, g.Model)
			}
		}
		setPrices(old, a, with, b)
		pairs = append(pairs, &pair{old: a, with: b, allowance: allowed(a, b, opts.Noise)})
	}
	for _, b := range with.groups {
		if old.find(b, sameBackend) == nil {
			r.OnlyIn = append(r.OnlyIn, Apart{Side: with.Label(), With: old.Label(), Cell: b.Key.String(), Why: old.missing(b.Key)})
		}
	}
	return pairs, mixed
}

// missing says how the rows of a cell ended that the side has not measured.
func (s *Side) missing(k analyze.Key) string {
	if s.Backend != "" {
		k.Backend = s.Backend
	}
	return s.whyNot(k)
}

// setPrices gives both groups a price of one kind: each device's own, or else
// the scenario's.
func setPrices(old *Side, a *analyze.Group, with *Side, b *analyze.Group) {
	for _, x := range a.Costs {
		for _, y := range b.Costs {
			if x.Own == y.Own && (x.Own || x.Tier == y.Tier) {
				old.setPrice(a, x)
				with.setPrice(b, y)
				return
			}
		}
	}
}

func (s *Side) setPrice(g *analyze.Group, c analyze.Cost) {
	if s.price == nil {
		s.price = map[*analyze.Group]analyze.Cost{}
	}
	s.price[g] = c
}

func (p *pair) test(old, with *Side) {
	for i, q := range quantities {
		t := &p.tests[i]
		var err error
		t.ratio, t.byLaunch, err = q.ratio(old, with, []*analyze.Group{p.old}, []*analyze.Group{p.with})
		if err != nil {
			t.ratio, t.why = nil, why(err)
		}
	}
}

// why says in words why something was not tested.
func why(err error) string {
	switch {
	case errors.Is(err, stats.ErrNoSpread):
		return "no spread in either"
	case errors.Is(err, errFewWindows), errors.Is(err, errNoPrice):
		return err.Error()
	}
	return "fewer than two repetitions of each"
}

// correct corrects the p-values of all tests between two sides by Holm. Further
// sides are families of their own, so that what is said of one does not depend on
// which others are shown beside it.
func correct(pairs []*pair) {
	var tests []*test
	var p []float64
	for _, pair := range pairs {
		for i := range pair.tests {
			if t := &pair.tests[i]; t.ratio != nil {
				tests, p = append(tests, t), append(p, t.ratio.Test.P)
			}
		}
	}
	for i, corrected := range stats.Holm(p) {
		tests[i].pHolm = corrected
	}
}

// row shows a metric of a pair; nil when neither side has it.
func (p *pair) row(m *Metric, old, with *Side) *Row {
	row := &Row{
		With: with.Label(), Metric: m.Name, Unit: m.Unit, Model: p.old.Model, Scenario: p.old.Scenario, Variant: p.old.Variant(),
		Backend: p.old.Backend, PromptTokens: p.old.PromptTokens, GenTokens: p.old.GenTokens,
		Old: m.value(old, p.old), New: m.value(with, p.with), metric: m,
	}
	if row.Old == nil || row.New == nil {
		return nil
	}
	if p.with.Backend != p.old.Backend {
		row.Backend += " > " + p.with.Backend
	}
	row.OldN, row.NewN = len(p.old.Rows), len(p.with.Rows)
	if windows := quantities[m.quantity].windows; windows != nil {
		row.OldN, row.NewN = valid(windows(p.old)), valid(windows(p.with))
	}
	if m.quantity == qCost {
		row.Price = old.price[p.old].Label()
		if other := with.price[p.with].Label(); other != row.Price {
			row.Price += " > " + other
		}
	}
	row.judge(p.tests[m.quantity], p.allowance.of(m.quantity, old.decodeShare(p.old)))
	if !row.Within {
		row.OldLaunches, row.NewLaunches = p.old.Launches, p.with.Launches
	}
	return row
}

// decodeShare returns the part of decode in the machine time of the blend.
func (s *Side) decodeShare(g *analyze.Group) float64 {
	prefill, decode := s.input*g.Prefill.SPerTok.Value, (1-s.input)*g.Decode.SPerTok.Value
	return decode / (prefill + decode)
}

func valid(w *analyze.Windows) int {
	if w == nil {
		return 0
	}
	return w.Valid
}

// judge fills in what a test says. Repetitions within one process say nothing
// about another process, so what they tell apart must exceed the allowance too.
func (r *Row) judge(t test, noise float64) {
	r.Within = !t.byLaunch
	if t.ratio == nil {
		r.Verdict, r.Why = "not tested", t.why
		if *r.Old > 0 {
			r.Ratio = known(*r.New / *r.Old)
		}
		return
	}
	ratio := *t.ratio
	if r.metric.inverse {
		ratio = inverted(ratio)
	}
	r.Ratio, r.CILo, r.CIHi, r.P, r.PHolm = &ratio.Value, &ratio.CI.Lo, &ratio.CI.Hi, &ratio.Test.P, &t.pHolm
	r.Verdict = "~"
	if r.Within {
		r.Noise = &noise
		if max(ratio.Value, 1/ratio.Value) <= 1+noise {
			if t.pHolm < analyze.Significance {
				r.Why = "launches may differ by " + percent(noise)
			}
			return
		}
	}
	if t.pHolm >= analyze.Significance {
		return
	}
	r.Verdict = r.metric.worse
	if (ratio.Value > 1) == r.metric.inverse {
		r.Verdict = r.metric.better
	}
}

// uncached is the decode mode whose steps each evaluate the whole sequence.
const uncached = "uncached"

// meanOf returns the geometric mean of a metric's ratio over the pairs that have
// one; nil when none has. Those without the KV cache do other work in a step, and
// count only where there are no others.
func meanOf(m *Metric, old, with *Side, pairs []*pair) *Row {
	row := &Row{With: with.Label(), Metric: m.Name, Unit: m.Unit, metric: m}
	withCache := slices.ContainsFunc(pairs, func(p *pair) bool { return p.old.DecodeMode != uncached })
	var a, b []*analyze.Group
	noise := 0.0
	for _, p := range pairs {
		if p.tests[m.quantity].ratio == nil || withCache && p.old.DecodeMode == uncached {
			continue
		}
		a, b = append(a, p.old), append(b, p.with)
		noise = max(noise, p.allowance.of(m.quantity, old.decodeShare(p.old)))
	}
	if row.Cells = len(a); row.Cells == 0 {
		return nil
	}
	t := test{}
	var err error
	if t.ratio, t.byLaunch, err = quantities[m.quantity].ratio(old, with, a, b); err != nil {
		return nil
	}
	t.pHolm = t.ratio.Test.P // one test a metric, beside the family of cells
	row.judge(t, noise)
	row.PHolm = nil
	return row
}
