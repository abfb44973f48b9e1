package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/wire"
)

// Rows with and without watching take turns in going first, after warm-ups that
// are watched, and at the end all is watched again.
func TestTurns(t *testing.T) {
	var asked []bool
	on := false
	way := watched{"power", func(o bool, _ *wire.Row) { on = o }}
	ask := func(q wire.Request) (wire.Reply, error) {
		asked = append(asked, on)
		ms := int64(2e6)
		if on {
			ms = 3e6
		}
		return wire.Reply{Row: &wire.RowReply{StartNs: 1e6, PrefillEndNs: 1e6 + ms, StepEndNs: []int64{1e6 + 2*ms, 1e6 + 5*ms}}}, nil
	}
	prefill, decode, err := turns(way, wire.Row{}, 3, ask)
	if err != nil {
		t.Fatal(err)
	}
	want := []bool{true, true, true, true, false, false, true, true, false}
	if !slices.Equal(asked, want) || !on {
		t.Errorf("watched %v and then %v, want %v and then true", asked, on, want)
	}
	for side, ms := range []float64{3, 2} {
		if !slices.Equal(prefill[side], []float64{ms, ms, ms}) || !slices.Equal(decode[side], []float64{4 * ms, 4 * ms, 4 * ms}) {
			t.Errorf("side %d: prefill %v, decode %v ms", side, prefill[side], decode[side])
		}
	}
	broken := errors.New("no reply")
	if _, _, err := turns(way, wire.Row{}, 3, func(wire.Request) (wire.Reply, error) { return wire.Reply{}, broken }); !errors.Is(err, broken) {
		t.Errorf("a worker without a reply gave %v", err)
	}
}
