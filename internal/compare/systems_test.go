package compare

import (
	"math"
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/analyze"
)

// foreign makes rows those of another program, which names its work and its
// backend in its own way.
func foreign(r *Run) *Run {
	for i := range r.rows {
		r.rows[i].Origin, r.rows[i].Backend, r.rows[i].Scenario = "other", "peer", "work "+r.rows[i].Scenario
	}
	return r
}

// Every system stands in each cell of the base, with the ratio that Compare
// finds, paired by its work where it names that differently.
func TestSystems(t *testing.T) {
	own := usual.run("a")
	peer := foreign(with(func(s *shape) { s.decodeSpeed = 2 }).run("b"))
	for i := range peer.rows { // the work of scenarios must differ to be told apart
		own.rows[i].PromptTokens += int(own.rows[i].Scenario[1]-'0') * 8
		peer.rows[i].PromptTokens = own.rows[i].PromptTokens
	}
	base := own.rows[0].Backend
	got, err := Systems(own, base, []*Run{peer}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 2*3 {
		t.Fatalf("%d rows, want the base and the peer in 3 cells: %v", len(got.Rows), got.Rows)
	}
	at := func(row []any, name string) any {
		return row[slices.IndexFunc(got.Columns, func(c analyze.Column) bool { return c.Name == name })]
	}
	want := mustCompare(t, []*Side{{Run: own, Backend: base}, {Run: peer, Backend: "peer"}}, Options{})
	for i, row := range got.Rows {
		if i%2 == 0 {
			if at(row, "system") != base || at(row, "decode_times_base") != nil {
				t.Errorf("row %d is not the base: %v", i, row)
			}
			continue
		}
		j := slices.IndexFunc(want.Rows, func(r Row) bool { return r.Metric == "decode_tok_s" && r.Scenario == at(row, "scenario") })
		if at(row, "system") != "peer (other)" || at(row, "decode_verdict") != "faster" || at(row, "decode_times_base") != *want.Rows[j].Ratio {
			t.Errorf("row %d: %v, want %+v", i, row, want.Rows[j])
		}
	}
}

// What costs money is priced once for each system, whatever it is compared with.
func TestSystemsPrices(t *testing.T) {
	own := usual.run("a")
	rate := 2.0
	opts := Options{Analyze: analyze.Options{RateUSDPerHour: &rate}}
	got, err := Systems(own, own.rows[0].Backend, []*Run{usual.run("b")}, opts)
	if err != nil {
		t.Fatal(err)
	}
	usd := slices.IndexFunc(got.Columns, func(c analyze.Column) bool { return c.Name == "blend_usd_per_m" })
	for i := 0; i < len(got.Rows); i += 2 {
		a, b := got.Rows[i][usd], got.Rows[i+1][usd]
		if x, ok := a.(float64); !ok || math.Abs(x-b.(float64)) > 1e-12*x {
			t.Errorf("the same rows at one rate cost $%v and $%v", a, b)
		}
	}
}

func TestSystemsRefuses(t *testing.T) {
	own := usual.run("a")
	if _, err := Systems(own, "none", []*Run{usual.run("b")}, Options{}); err == nil {
		t.Error("a base that measured nothing")
	}
	if _, err := Systems(own, own.rows[0].Backend, nil, Options{}); err == nil {
		t.Error("nothing to stand beside")
	}
	apart := usual.run("b")
	for i := range apart.rows {
		apart.rows[i].Model = "another"
	}
	if _, err := Systems(own, own.rows[0].Backend, []*Run{apart}, Options{}); err == nil {
		t.Error("nothing that did the same work")
	}
}
