package power

import (
	"slices"
	"time"
)

// updates learns how often a sensor that is polled gets a new value, from the
// times at which the value was seen to change.
type updates struct {
	value     float64
	polls     int
	changedNs int64   // when the last change was seen; 0 before the first
	gapsNs    []int64 // between changes, the latest last
}

// A period is believed after minGaps changes; the last maxGaps count.
const (
	minGaps = 8
	maxGaps = 64
)

// see takes the value at a time.
func (u *updates) see(ns int64, value float64) {
	changed := u.polls > 0 && value != u.value
	u.polls++
	u.value = value
	if !changed {
		return
	}
	if u.changedNs != 0 {
		if len(u.gapsNs) == maxGaps {
			u.gapsNs = slices.Delete(u.gapsNs, 0, 1)
		}
		u.gapsNs = append(u.gapsNs, ns-u.changedNs)
	}
	u.changedNs = ns
}

// period returns the median time between changes, and false while too little
// was seen. It cannot be told below the time between two polls.
func (u *updates) period() (time.Duration, bool) {
	if len(u.gapsNs) < minGaps {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(u.gapsNs))
	return time.Duration(sorted[len(sorted)/2]), true
}
