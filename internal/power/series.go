package power

import (
	"cmp"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/integrate"
)

// point is one value of a quantity.
type point struct {
	ns int64
	v  float64
}

// series is what samples tell of one quantity, oldest first.
type series []point

// seriesOf picks a quantity from samples that tell it.
func seriesOf(samples []Sample, of func(*Sample) *float64) series {
	var out series
	for i := range samples {
		if v := of(&samples[i]); v != nil {
			out = append(out, point{samples[i].TimeNs, *v})
		}
	}
	return out
}

// after returns the index of the first point later than a time.
func (s series) after(ns int64) int {
	i, _ := slices.BinarySearchFunc(s, ns+1, func(p point, ns int64) int { return cmp.Compare(p.ns, ns) })
	return i
}

// inside returns the points with startNs <= time <= endNs.
func (s series) inside(startNs, endNs int64) series { return s[s.after(startNs-1):s.after(endNs)] }

// held returns the value that was the latest at a time: that of the first point
// if it came later, 0 without points.
func (s series) held(ns int64) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[max(s.after(ns)-1, 0)].v
}

// meanBetween integrates a power sensor from startNs to endNs and returns the
// mean in its unit:
//
//	1/(end-start) · ∫ v(t) dt
//
// with v on straight lines between points, also to where the span's edges cut
// them, and constant before the first and after the last point. A sensor that
// is polled several times per value shows steps; a straight line over one is
// the value held until midway between the two polls that the step is between,
// which errs by half a poll at most and to either side. For a sensor that is
// faster than the polls it is the trapezoidal rule. ok is false without a point
// in the span.
func (s series) meanBetween(startNs, endNs int64) (mean float64, ok bool) {
	points := s.inside(startNs, endNs)
	if len(points) == 0 || endNs <= startNs {
		return 0, false
	}
	t, v := []float64{0}, []float64{s.at(startNs)}
	for _, p := range points {
		t, v = append(t, float64(p.ns-startNs)), append(v, p.v)
	}
	span := float64(endNs - startNs)
	t, v = append(t, span), append(v, s.at(endNs))
	return integrate.Trapezoidal(t, v) / span, true
}

// at returns the value at a time on a straight line between the points around
// it, and that of the first or last point beyond them.
func (s series) at(ns int64) float64 {
	i := s.after(ns)
	if i == 0 || i == len(s) {
		return s[max(i-1, 0)].v
	}
	p, q := s[i-1], s[i]
	return p.v + (q.v-p.v)*float64(ns-p.ns)/float64(q.ns-p.ns)
}

// step is a change of an energy counter, to v.
type step struct {
	point
	within int64 // ns between the two polls it was seen by
}

// steps returns when an energy counter changed inside a span, and to what. When
// it did is not known better than between two polls: it is taken to be in the
// middle.
func (s series) steps(startNs, endNs int64) []step {
	var out []step
	for i := 1; i < len(s); i++ {
		within := s[i].ns - s[i-1].ns
		at := s[i-1].ns + within/2
		if s[i].v != s[i-1].v && at >= startNs && at <= endNs {
			out = append(out, step{point{at, s[i].v}, within})
		}
	}
	return out
}

// rateBetween returns the mean power in watts by an energy counter in joules,
// between its first and its last step inside a span:
//
//	(E(last) - E(first)) / (t(last) - t(first))
//
// Counting from step to step, the time between two values of the counter makes
// no error; that between two polls does, by half of it at most on either side.
// ok is false with fewer than two steps.
func (s series) rateBetween(startNs, endNs int64) (watts float64, ok bool) {
	watts, _, ok = s.rateWithError(startNs, endNs)
	return watts, ok
}

// rateWithError returns that mean power with its standard error as a part of it:
// a step was anywhere between the two polls that saw it, which is a standard
// error of 1/√12 of the time between them.
func (s series) rateWithError(startNs, endNs int64) (watts, se float64, ok bool) {
	steps := s.steps(startNs, endNs)
	if len(steps) < 2 {
		return 0, 0, false
	}
	first, last := steps[0], steps[len(steps)-1]
	ns := float64(last.ns - first.ns)
	return (last.v - first.v) / (ns / 1e9), math.Hypot(float64(first.within), float64(last.within)) / math.Sqrt(12) / ns, true
}

// each returns the value that was held in the middle of each period of a span.
func (s series) each(startNs, endNs int64, period time.Duration) []float64 {
	var out []float64
	for at := startNs + int64(period)/2; period > 0 && at < endNs; at += int64(period) {
		out = append(out, s.held(at))
	}
	return out
}

// longestHoleNs returns the longest time without a point that a span overlaps.
func (s series) longestHoleNs(startNs, endNs int64) int64 {
	before, longest := startNs, int64(0)
	if i := s.after(startNs) - 1; i >= 0 {
		before = s[i].ns
	}
	for _, p := range s[s.after(startNs):] {
		longest = max(longest, p.ns-before)
		before = p.ns
		if p.ns >= endNs {
			return longest
		}
	}
	return max(longest, endNs-before)
}
