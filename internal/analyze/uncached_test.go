package analyze

import (
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

func TestUncachedAgainstTheFirstSteps(t *testing.T) {
	var rows []record.Record
	for rep := range 3 {
		// Cached: 10 steps, the first 4 of which take 1 ms and the others 3 ms.
		steps := []float64{1, 1, 1, 1, 3, 3, 3, 3, 3, 3}
		for i := range steps {
			steps[i] += 0.001 * float64(rep)
		}
		r := okRow("m", "b", 0, rep, 100, 22)
		r.StepMs = steps
		rows = append(rows, r)

		short := okRow("m", "b", 0, rep, 100, 20+0.001*float64(rep))
		short.Scenario, short.CellID, short.DecodeMode, short.GenTokens = "u", "u", "uncached", 4
		rows = append(rows, short)

		other := okRow("m", "b", 0, rep, 100, 200)
		other.Scenario, other.CellID, other.DecodeMode, other.PromptTokens = "lonely", "lonely", "uncached", 50
		rows = append(rows, other)

		long := okRow("m", "b", 0, rep, 100, 220+0.001*float64(rep))
		long.Scenario, long.CellID, long.DecodeMode = "u10", "u10", "uncached"
		rows = append(rows, long)
	}
	a := analyzed(t, rows, Options{})
	if len(a.Uncached) != 2 {
		t.Fatalf("%d pairs, want 2: the prompt of 50 tokens has no twin", len(a.Uncached))
	}
	short, long := a.Uncached[0], a.Uncached[1]
	// 5 ms a token against 1.001; then 22.0001 against 2.2.
	if want := 5.00025 / 1.001; !near(short.Ratio, want) || short.CI == nil || short.Growth != nil || short.Tokens != 104 {
		t.Errorf("short context %+v, want %v", short, want)
	}
	if want := (220.001 / 22) / short.Ratio; long.Growth == nil || !near(*long.Growth, want) {
		t.Errorf("long context %+v, want growth %v", long, want)
	}

	for i := range rows {
		rows[i].StepMs = nil
	}
	if a := analyzed(t, rows, Options{}); len(a.Uncached) != 1 {
		t.Errorf("%d pairs without step times, want the one of equal length", len(a.Uncached))
	}
}
