package runner

import "slices"

// cpuLast moves the CPU groups behind the others and keeps the order apart from
// that: CPU cells are the slowest by far, so a run that is cut short has at
// least the rest.
func cpuLast(groups []GroupCheck) {
	rank := func(g GroupCheck) int {
		if g.Backend.Device == "cpu" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(groups, func(a, b GroupCheck) int { return rank(a) - rank(b) })
}
