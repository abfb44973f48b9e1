package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
)

// SystemsTable is the name of the table that Systems makes.
const SystemsTable = "tables/side_by_side"

// Systems shows what other systems made of the same work: every backend of own
// and of the other runs, cell by cell, with how fast it is as a multiple of the
// base, a backend of own. Others are told apart from the base by the rules of
// Compare. An error says that base measured nothing or that nothing is comparable.
func Systems(own *Run, base string, others []*Run, opts Options) (*analyze.Table, error) {
	runs := append([]*Run{own}, others...)
	NameApart(runs)
	first := &Side{Run: own, Backend: base}
	sides := []*Side{first}
	for _, run := range runs {
		for _, backend := range run.backends() {
			if run != own || backend != base {
				sides = append(sides, &Side{Run: run, Backend: backend})
			}
		}
	}
	if len(sides) == 1 {
		return nil, fmt.Errorf("%s: %w", first.Label(), ErrNothing)
	}
	result, err := Compare(sides, opts)
	if err != nil {
		return nil, err
	}
	t := &analyze.Table{Name: SystemsTable, Title: "Side by side with " + base, Columns: systemColumns(base), Notes: result.Footnotes()}
	for _, g := range first.groups {
		t.Add(append(first.cells(g, g), nil, nil, nil, nil, nil, nil, nil, nil)...)
		for _, s := range sides[1:] {
			if ratios := result.ratios(s, g); ratios != nil {
				t.Add(append(s.cells(g, s.find(g, false)), ratios...)...)
			}
		}
	}
	return t, nil
}

func systemColumns(base string) []analyze.Column {
	columns := []analyze.Column{
		{Name: "model"}, {Name: "scenario"}, {Name: "variant", Blank: true}, {Name: "run"}, {Name: "system"}, {Name: "n"},
		{Name: "prefill_tok_s", Title: "prefill", Unit: "tok/s"}, {Name: "decode_tok_s", Title: "decode", Unit: "tok/s"},
		{Name: "blend_usd_per_m", Title: "blend, machine", Unit: "$/1M"}, {Name: "price", Blank: true},
		{Name: "prefill_j_per_tok", Title: "prefill", Unit: "J/tok"}, {Name: "decode_j_per_tok", Title: "decode", Unit: "J/tok"},
	}
	for _, phase := range []string{"prefill", "decode"} {
		columns = append(columns,
			analyze.Column{Name: phase + "_times_base", Title: phase + ", × " + base, Digits: 3, Blank: true},
			analyze.Column{Name: phase + "_ci95_lo", Title: "lo", Digits: 3, Blank: true}, analyze.Column{Name: phase + "_ci95_hi", Title: "hi", Digits: 3, Blank: true},
			analyze.Column{Name: phase + "_verdict", Title: "verdict", Blank: true})
	}
	return columns
}

// backends returns the backends of a run that measured something, in the order
// of its rows.
func (r *Run) backends() []string {
	var out []string
	for i := range r.rows {
		if row := &r.rows[i]; row.Status == record.StatusOK && !row.Warmup && !slices.Contains(out, row.Backend) {
			out = append(out, row.Backend)
		}
	}
	return out
}

// cells are what one side measured in a cell of the base, with nothing to compare.
func (s *Side) cells(base, g *analyze.Group) []any {
	var usd *float64
	price := ""
	if len(g.Costs) > 0 { // at the device's own rate, if it has one
		usd, price = known(g.Costs[0].Blend.InfraUSD), g.Costs[0].Label()
	}
	return []any{base.Model, base.Scenario, base.Variant(), s.Name, g.Backend, len(g.Rows), g.Prefill.TokPerS(), g.Decode.TokPerS(), usd, price, g.Prefill.JPerTok(), g.Decode.JPerTok()}
}

// of reports whether a row is of a side and of a cell of the base.
func (r *Row) of(s *Side, g *analyze.Group) bool {
	return r.With == s.Label() && r.Model == g.Model && r.Scenario == g.Scenario && r.Variant == g.Variant() &&
		(r.Backend == g.Backend || strings.HasPrefix(r.Backend, g.Backend+" > "))
}

// ratios are what the tests say about a side in a cell: of prefill, then decode,
// which both have in every cell that was compared; nil in one that was not.
func (r *Result) ratios(s *Side, g *analyze.Group) []any {
	var out []any
	for _, name := range []string{"prefill_tok_s", "decode_tok_s"} {
		i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Metric == name && row.of(s, g) })
		if i < 0 {
			return nil
		}
		row := &r.Rows[i]
		out = append(out, row.Ratio, row.CILo, row.CIHi, row.Verdict)
	}
	return out
}
