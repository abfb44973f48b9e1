package econ

import "math"

// The functions in this file compute what Technical Report 123 printed, so
// that its tables can be checked and compared with. Each says how it differs
// from what this package recommends. Nothing else in the package uses them.

// TR123TokPerS returns the unweighted mean of rates, the report's throughput
// of a model and backend over scenarios (5.1) and of a scenario over
// repetitions (5.2). It over-weights short work: tokens over time is the sum
// of tokens over the sum of seconds. Each rate > 0, at least one.
func TR123TokPerS(rates []float64) (float64, error) {
	if err := atLeast(1, "len(rates)", int64(len(rates))); err != nil {
		return 0, err
	}
	sum := 0.0
	for _, r := range rates {
		if err := positive("rates", r); err != nil {
			return 0, err
		}
		sum += r
	}
	return sum / float64(len(rates)), nil
}

// TR123SavingsPct returns the saving of one tier over another by rates alone,
// 100*(1 - usdPerHour/refUSDPerHour) (6.5). Energy, which no tier changes, is
// left out, so the true saving is smaller.
func TR123SavingsPct(usdPerHour, refUSDPerHour float64) (float64, error) {
	if err := all(nonNegative("usdPerHour", usdPerHour), positive("refUSDPerHour", refUSDPerHour)); err != nil {
		return 0, err
	}
	return 100 * (1 - usdPerHour/refUSDPerHour), nil
}

// TR123Workers returns the workers for a request rate rounded to nearest
// (11.2); where that rounds down, the workers cannot serve the rate. See
// [Workers].
func TR123Workers(requestsPerS, secondsPerRequest float64) (int, error) {
	if err := all(nonNegative("requestsPerS", requestsPerS), positive("secondsPerRequest", secondsPerRequest)); err != nil {
		return 0, err
	}
	return int(math.Round(requestsPerS * secondsPerRequest)), nil
}

// TR123MonthlyUSD returns the monthly cost of a token volume served as
// requests of shape r, infrastructure only (11.2):
//
//	tokens / (PromptTokens+GenTokens) * Seconds * usdPerHour/3600
//
// See [MonthlyRequests], which adds energy and whole machines.
func TR123MonthlyUSD(tokens float64, r Request, prefill, decode Phase, usdPerHour float64) (float64, error) {
	if err := all(
		nonNegative("tokens", tokens),
		nonNegative("usdPerHour", usdPerHour),
		atLeast(1, "PromptTokens+GenTokens", int64(r.PromptTokens)+int64(r.GenTokens)),
	); err != nil {
		return 0, err
	}
	seconds, err := r.Seconds(prefill, decode)
	return tokens / float64(r.PromptTokens+r.GenTokens) * seconds * usdPerHour / secondsPerHour, err
}

// TR123BreakEvenMonths returns the report's simple pay-back (11.4):
//
//	gpuUSD / (savingUSDPerRequest * requestsPerMonth)
//
// The saving it is used with is the cloud rate less the amortised rate, so the
// purchase is counted twice; energy is left out; and one machine is assumed to
// serve any volume. See [CashBreakEven].
func TR123BreakEvenMonths(gpuUSD, savingUSDPerRequest, requestsPerMonth float64) (float64, error) {
	if err := all(
		nonNegative("gpuUSD", gpuUSD),
		positive("savingUSDPerRequest", savingUSDPerRequest),
		positive("requestsPerMonth", requestsPerMonth),
	); err != nil {
		return 0, err
	}
	return gpuUSD / (savingUSDPerRequest * requestsPerMonth), nil
}
