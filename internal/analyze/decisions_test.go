package analyze

import (
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

func TestDecisionsCompareOneKindOfPrice(t *testing.T) {
	// gpu-b has a rate of its own, $3.6/h; cpu-x has none and is 10 times as
	// slow. In the scenario, at $0.036/h, the CPU would look 10 times cheaper.
	slow := okRow("m", "cpu", 0, 0, 1000, 10000)
	fast, other := okRow("m", "fast", 0, 0, 100, 1000), okRow("m", "other", 0, 0, 110, 1100)
	fast.Device, other.Device = "gpu-b", "gpu-b"
	a := analyzed(t, []record.Record{slow, fast, other}, Options{Pricing: testPricing()})
	list, err := factors()[0].ordered(a)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].name != "m on fast" || list[1].name != "m on other" {
		t.Errorf("ranked by cost: %+v; want the two with rates of their own", list)
	}
	a = analyzed(t, []record.Record{slow}, Options{Pricing: testPricing()})
	if list, err := factors()[0].ordered(a); err != nil || len(list) != 1 {
		t.Errorf("without any own rate: %+v, %v; want the scenario", list, err)
	}
}

func TestApart(t *testing.T) {
	x := func(v, half float64) candidate { return candidate{value: v, half: &half} }
	for _, c := range []struct {
		a, b candidate
		want any
	}{
		{x(10, 1), x(12, 0.5), "yes"}, {x(12, 0.5), x(10, 1), "yes"}, {x(10, 1), x(11, 1), "~"}, {x(10, 1), candidate{value: 99}, nil},
	} {
		if got := apart(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestDecisionsSayWhatIsMissing(t *testing.T) {
	a := analyzed(t, repeated(2, nil), Options{})
	for _, name := range []string{"tables/recommendations", "tables/decision_matrix"} {
		table := tableNamed(t, a, name)
		last := len(table.Columns) - 1
		for _, row := range table.Rows {
			decided := row[1] != nil
			if name == "tables/decision_matrix" {
				decided = row[4] != nil // a runner-up
			}
			if decided == (row[last] != nil) {
				t.Errorf("%s: %v", name, row)
			}
		}
	}
}
