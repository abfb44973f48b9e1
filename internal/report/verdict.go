package report

import (
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

const noOwnRate = "No measured device has a price of its own, so there is no own $/1M. " +
	"Give it one with `--rate USD_PER_HOUR` or as a tier in the pricing file."

// verdict says in words what a ranking shows, and no more: what is cheapest, by
// how much and how sure that is.
func verdict(r *analyze.Ranking, blend string) string {
	return strings.Join(nonEmpty(answer(r, blend), caveats(r)), " ")
}

// answer says what is cheapest and by how much.
func answer(r *analyze.Ranking, blend string) string {
	best := r.Entries[0]
	at := "At each device's own rate, "
	if !r.Own {
		at = fmt.Sprintf("Scenario: at the %s rate of $%g/h, which belongs to other hardware than was measured, ", r.Price.Tier, r.Price.USDPerHour)
	}
	amount := dollars(best.Cost.Blend.TotalUSD())
	if i := best.Cost.BlendCI; i != nil {
		amount += " ± " + significant(i.Half, 2)
	}
	what := "machine time only"
	if r.ByTotal {
		what = "infra and energy"
	}
	if len(r.Entries) == 1 {
		return at + fmt.Sprintf("%s costs %s per million tokens of the %s blend, %s.", best.ConfigKey, amount, blend, what)
	}
	return at + fmt.Sprintf("the cheapest of %d configurations is %s: %s per million tokens of the %s blend, %s.", len(r.Entries), best.ConfigKey, amount, blend, what) + distance(r)
}

// caveats says what the order rests on and how sure it is; "" when there is
// nothing to add.
func caveats(r *analyze.Ranking) string {
	var out []string
	best := r.Entries[0]
	if len(r.NoEnergy) > 0 {
		out = append(out, fmt.Sprintf("Not in this order, since their energy was not measured: %s.", configNames(r.NoEnergy)))
	}
	if basis := best.Basis(); r.ByTotal && basis != "" {
		out = append(out, fmt.Sprintf("The energy of %s was measured in some scenarios and counts for the others at the mean power of those (%s).", best.ConfigKey, basis))
	}
	var wrong, close, unknown []*analyze.Config
	for _, e := range r.Entries {
		if odd, _ := e.OddTokens(); odd > 0 {
			wrong = append(wrong, e.Config)
		}
	}
	for _, e := range r.Entries[1:] {
		switch {
		case e.Overlaps:
			close = append(close, e.Config)
		case e.NoInterval:
			unknown = append(unknown, e.Config)
		}
	}
	if len(close) > 0 {
		out = append(out, fmt.Sprintf("Not told apart from the cheapest by this data (intervals overlap): %s.", configNames(close)))
	}
	if len(unknown) > 0 {
		out = append(out, fmt.Sprintf("Too few repetitions to tell whether the order holds: %s.", configNames(unknown)))
	}
	if len(wrong) > 0 {
		out = append(out, fmt.Sprintf("**Do not rely on** %s: with these the engine did not always sample the same tokens from the same prompt, so what was timed may be a wrong computation.", configNames(wrong)))
	}
	return strings.Join(out, " ")
}

// distance says how far the next and the last are from the first.
func distance(r *analyze.Ranking) string {
	n := len(r.Entries)
	if n < 2 || r.Entries[0].USDPerM == 0 {
		return ""
	}
	// Decoding without the cache is a baseline, and was measured on other work.
	most := "the most expensive"
	for ; n > 2 && r.Entries[n-1].DecodeMode == "uncached"; n-- {
		most = "the most expensive with the cache"
	}
	next, last := r.Entries[1], r.Entries[n-1]
	more := significant(100*(next.TimesBest-1), 2) + " % more"
	if next.TimesBest >= 2 {
		more = significant(next.TimesBest, 3) + " times as much"
	}
	s := fmt.Sprintf(" The next, %s, costs %s", next.ConfigKey, more)
	if !next.Overlaps && !next.NoInterval {
		s += ", which is beyond both intervals"
	}
	if n > 2 {
		s += fmt.Sprintf("; %s, %s, costs %s times the cheapest", most, last.ConfigKey, significant(last.TimesBest, 3))
	}
	return s + "."
}

func configNames(configs []*analyze.Config) string {
	var names []string
	for _, c := range configs {
		names = append(names, c.ConfigKey.String())
	}
	return strings.Join(names, "; ")
}

// dollars formats an amount of money.
func dollars(usd float64) string { return "$" + significant(usd, 4) }
