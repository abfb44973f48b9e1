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
	changedNs int64         // when the last change was seen; 0 before the first
	gapsNs    []int64       // between changes, the latest last
	typical   time.Duration // of them
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
		u.typical = typical(u.gapsNs)
	}
	u.changedNs = ns
}

// typical returns the mean of those gaps that are within half of their median:
// a value that was the same as the one before makes a gap of two periods, and
// seen by polls a gap is a multiple of the time between them.
func typical(gapsNs []int64) time.Duration {
	median := slices.Sorted(slices.Values(gapsNs))[len(gapsNs)/2]
	sum, n := int64(0), int64(0)
	for _, gap := range gapsNs {
		if 2*gap > median && 2*gap < 3*median {
			sum += gap
			n++
		}
	}
	return time.Duration(sum / n)
}

// period returns the typical time between changes, and 0 while too little was
// seen. It cannot be told below the time between two polls.
func (u *updates) period() time.Duration {
	if len(u.gapsNs) < minGaps {
		return 0
	}
	return u.typical
}
