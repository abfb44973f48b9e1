package analyze

import (
	"reflect"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// Launches are rounds by their numbers, whichever of them a scenario has.
func TestRoundsOfLaunches(t *testing.T) {
	byLaunch := func(launches ...int) map[round]float64 {
		g := &Group{ByLaunch: true}
		var values []float64
		for _, launch := range launches {
			g.Rows = append(g.Rows, &record.Record{Launch: launch})
			values = append(values, float64(10+launch))
		}
		return g.byRound(values)
	}
	if got := inRounds([]map[round]float64{byLaunch(0, 1, 2), byLaunch(2, 1, 0)}); !reflect.DeepEqual(got, [][]float64{{10, 10}, {11, 11}, {12, 12}}) {
		t.Errorf("%v", got)
	}
	if got := inRounds([]map[round]float64{byLaunch(0, 1, 2), byLaunch(1, 2, 3)}); got != nil {
		t.Errorf("other launches are the same rounds: %v", got)
	}
}

// A scenario that was cut short weighs as much in a pooled rate as it would whole.
func TestPoolOfACutScenario(t *testing.T) {
	of := func(rows int, tokens int64, secondsPerRow float64) Rate {
		all := float64(rows) * secondsPerRow
		return Rate{Rows: rows, Tokens: int64(rows) * tokens, Seconds: all, SPerTok: Estimate{Value: all / float64(int64(rows)*tokens)}}
	}
	whole := pool([]string{"s", "l"}, []Rate{of(3, 64, 1), of(3, 512, 2)})
	cut := pool([]string{"s", "l"}, []Rate{of(3, 64, 1), of(1, 512, 2)})
	if want := 3.0 / 576; !near(whole.SPerTok.Value, want) || !near(cut.SPerTok.Value, want) {
		t.Errorf("%g whole and %g cut, want %g", whole.SPerTok.Value, cut.SPerTok.Value, want)
	}
}

// Points of two pools have an order that is not that of the file.
func TestOrderOfKVPoints(t *testing.T) {
	of := func(pool string) record.KVRecord {
		return record.KVRecord{Model: "m", Backend: "b", Place: record.Place{Pool: pool}}
	}
	a, b := of("a100"), of("h100")
	for _, points := range [][]record.KVRecord{{a, b}, {b, a}} {
		if got := (order{}).kv(points); got[0].Pool != "a100" {
			t.Errorf("%v", got)
		}
	}
}
