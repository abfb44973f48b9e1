package analyze

import (
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// A launch that goes on in another process, for the rest of its rows or for its
// energy windows, pays once for the model and once for each cell.
func TestOneTimeOfALaunchThatWentOn(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	warmup := func(cell string, s int, load, context *float64) record.Record {
		r := okRow("m", "b", 0, 0, 10, 100)
		r.CellID, r.Warmup, r.Timestamp, r.LoadMs, r.ContextMs = cell, true, at(s), load, context
		return r
	}
	rows := []record.Record{
		warmup("x", 1, ptr(500.0), ptr(5.0)),
		warmup("x", 101, ptr(700.0), ptr(7.0)), // again, for windows
		warmup("y", 110, nil, ptr(9.0)),        // not reached by the first process
	}
	got := oneTimes(rows)
	if len(got) != 1 || *got[0].LoadMs != 500 || *got[0].ContextMs != 5+9 || got[0].Warmups != 2 || *got[0].WarmupMs != 2*110 {
		t.Errorf("%+v", got)
	}
}
