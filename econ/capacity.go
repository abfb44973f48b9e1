package econ

import "math"

// RequestsPerS returns how many requests a second one worker serves when each
// keeps it busy for secondsPerRequest > 0: the reciprocal. Source: TR123 11.1.
func RequestsPerS(secondsPerRequest float64) (float64, error) {
	if err := positive("secondsPerRequest", secondsPerRequest); err != nil {
		return 0, err
	}
	return 1 / secondsPerRequest, nil
}

// Workers returns the workers that serve requestsPerS >= 0 requests a second:
//
//	ceil(requestsPerS * secondsPerRequest)
//
// It assumes a full queue and no headroom, so it is a lower bound. TR123 11.2
// rounds to nearest instead; see [TR123Workers].
func Workers(requestsPerS, secondsPerRequest float64) (int, error) {
	if err := all(nonNegative("requestsPerS", requestsPerS), positive("secondsPerRequest", secondsPerRequest)); err != nil {
		return 0, err
	}
	return wholeUp(requestsPerS * secondsPerRequest), nil
}

// GPUsForHours returns the machines needed to fit hoursPerMonth >= 0 of work
// into a month, each available for the share availability in (0,1] of its
// 730 hours:
//
//	ceil(hoursPerMonth / (730 * availability))
func GPUsForHours(hoursPerMonth, availability float64) (int, error) {
	if err := all(
		nonNegative("hoursPerMonth", hoursPerMonth),
		require(availability > 0 && availability <= 1, "availability", availability, "a number in (0,1]"),
	); err != nil {
		return 0, err
	}
	return wholeUp(hoursPerMonth / (HoursPerMonth * availability)), nil
}

// wholeUp is ceil that forgives the last rounding of a product: 100 workers
// times 0.07 s each is 7 workers, not 8.
func wholeUp(x float64) int {
	if near := math.Round(x); math.Abs(x-near) <= 1e-12*math.Max(1, near) {
		return int(near)
	}
	return int(math.Ceil(x))
}
