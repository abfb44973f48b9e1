package analyze

import "time"

// bootTolerance is by how much the two clocks of a row may differ from those of
// another without the machine having been started between them.
const bootTolerance = int64(60e9)

// ClockOf returns what tells whether start_ns of a row or window of a run is by
// the clock that the samples of run runID are by: that of its machine, which begins
// anew each time that is started, since it last was. An empty runID is of any run.
func (a *Analysis) ClockOf(runID string) func(of string, at time.Time, startNs int64) bool {
	began := func(at time.Time, startNs int64) int64 { return at.UnixNano() - startNs } // about when the clock was 0
	watched := func(of string) bool { return runID == "" || runID == of }
	var latest int64
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.StartNs > 0 && watched(r.RunID) {
				latest = max(latest, began(r.Timestamp, r.StartNs))
			}
		}
	}
	return func(of string, at time.Time, startNs int64) bool {
		return startNs > 0 && watched(of) && began(at, startNs) >= latest-bootTolerance
	}
}
