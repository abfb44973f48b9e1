// Package clock reads CLOCK_MONOTONIC as plain nanoseconds, so that times
// taken in different processes of one machine can be compared. A read costs
// what time.Since costs: it is served by the vDSO.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// base pairs one reading of the kernel's clock with Go's own monotonic
// reading, which is the same clock counted from process start.
var baseNs, baseTime = pair()

func pair() (int64, time.Time) {
	var ts unix.Timespec
	best, bestGap := int64(0), time.Duration(1<<62)
	var at time.Time
	// The pair is off by the time between the two readings; keep the closest
	// of a few, so that a descheduling in the middle does not stay forever.
	for range 8 {
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			panic("clock: CLOCK_MONOTONIC: " + err.Error()) // exists on every Linux
		}
		if gap := time.Since(before); gap < bestGap {
			best, bestGap, at = ts.Nano(), gap, before.Add(gap/2)
		}
	}
	return best, at
}

// NowNs returns CLOCK_MONOTONIC in nanoseconds.
func NowNs() int64 { return baseNs + int64(time.Since(baseTime)) }
