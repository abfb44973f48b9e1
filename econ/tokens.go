package econ

import "math"

// TokensToAmortize returns how many tokens it takes until a one-time cost paid
// in time (loading, capturing graphs, warming up) is won back by a path that
// is faster per token:
//
//	ceil(oneTimeS / (1/slowTokPerS - 1/fastTokPerS))
//
// with oneTimeS >= 0 and both rates > 0. ok is false when the fast path is not
// faster, so that the cost is never won back.
func TokensToAmortize(oneTimeS, slowTokPerS, fastTokPerS float64) (tokens int64, ok bool, err error) {
	if err := all(
		nonNegative("oneTimeS", oneTimeS),
		positive("slowTokPerS", slowTokPerS),
		positive("fastTokPerS", fastTokPerS),
	); err != nil {
		return 0, false, err
	}
	gain := 1/slowTokPerS - 1/fastTokPerS
	if gain <= 0 {
		return 0, false, nil
	}
	return int64(math.Ceil(oneTimeS / gain)), true, nil
}
