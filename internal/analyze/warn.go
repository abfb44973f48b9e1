package analyze

import (
	"fmt"
	"math"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// Warning is a doubt about results.
type Warning struct {
	Text  string   // what was seen and, where it helps, what to do
	Where []string // cells, groups or tables it concerns, in order of appearance
	Times int      // how often it was seen
}

// warnings collects doubts; the same words about several places are one.
type warnings struct {
	list  []Warning
	where []set // of each in list
	at    map[string]int
}

func (w *warnings) add(where, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	i, seen := w.at[text]
	if !seen {
		if w.at == nil {
			w.at = map[string]int{}
		}
		i = len(w.list)
		w.at[text] = i
		w.list, w.where = append(w.list, Warning{Text: text}), append(w.where, set{})
	}
	w.where[i].add(where)
	w.list[i].Times++
	w.list[i].Where = w.where[i].list
}

// noisyCVPct is the coefficient of variation above which a group is called
// noisy; TR123 5.7 ends its scale there.
const noisyCVPct = 10

// otherPace is the difference in speed from which energy is said to be of another
// pace than the cell's rows. A window is valid by the rows timed around it.
const otherPace = 0.05

// warn notes the doubts about one group.
func (g *Group) warn(w *warnings) {
	where := g.Key.String()
	for _, phase := range []struct {
		name string
		ms   stats.Summary
	}{{"prefill", g.PrefillMs}, {"decode", g.DecodeMs}} {
		for _, text := range phase.ms.Warnings {
			w.add(where, "%s", text)
		}
		if cv := phase.ms.CVPct; cv != nil && *cv > noisyCVPct {
			w.add(fmt.Sprintf("%s: %.0f %%", where, *cv), "%s times vary by more than %d %% (CV); close other programs or raise --reps", phase.name, noisyCVPct)
		}
		if n := len(phase.ms.Outliers); n > 0 {
			w.add(fmt.Sprintf("%s: %d of %d", where, n, phase.ms.N), "some %s times are outliers (kept)", phase.name)
		}
	}
	var hashes, prompts set
	for _, r := range g.Rows {
		hashes.add(r.TokenHash)
		prompts.add(r.PromptHash)
		for _, text := range r.Warnings {
			w.add(where, "%s", text)
		}
		if r.Degraded {
			w.add(where, "a row ran degraded")
		}
		if len(r.Throttle) > 0 {
			w.add(where, "clocks were held back: %s", strings.Join(r.Throttle, ", "))
		}
		if r.PromptTokens != g.PromptTokens || r.GenTokens != g.GenTokens {
			w.add(where, "repetitions differ in work: %d+%d and %d+%d tokens", g.PromptTokens, g.GenTokens, r.PromptTokens, r.GenTokens)
		}
		if r.Device != g.Device {
			w.add(where, "repetitions ran on different devices: %s and %s", g.Device, r.Device)
		}
	}
	if len(hashes.list) > 1 && len(prompts.list) <= 1 {
		w.add(where, "repetitions of the same prompt produced %d different token sequences", len(hashes.list))
	}
	for _, phase := range []struct {
		name string
		ms   stats.Summary
		Rate
		windows *Windows
		of      func(*record.PhasePower) record.PowerStats
	}{
		{"prefill", g.PrefillMs, g.Prefill, g.PrefillWindows, func(p *record.PhasePower) record.PowerStats { return p.Prefill }},
		{"decode", g.DecodeMs, g.Decode, g.DecodeWindows, func(p *record.PhasePower) record.PowerStats { return p.Decode }},
	} {
		if phase.Energy != nil && phase.Energy.Method == MethodAssumed {
			w.add(where, "%s energy is by the watts you gave for the CPU (assumed), not measured", phase.name)
		}
		if phase.Energy != phase.Samples { // by windows
			if pace := phase.windows.TokPerS / phase.TokPerS(); math.Abs(pace-1) > otherPace {
				w.add(fmt.Sprintf("%s: %.2f times", where, pace), "energy windows of %s went at another pace than the rows; joules and watts are of that pace", phase.name)
			}
			continue
		}
		if n := phase.Powered; n > 0 && n < len(g.Rows) {
			w.add(fmt.Sprintf("%s: %d of %d", where, n, len(g.Rows)), "%s has power in some rows only; the others are left out of its mean", phase.name)
		}
		if phase.Powered > 0 {
			continue
		}
		for _, r := range g.Rows {
			if r.PhasePower == nil {
				continue
			}
			if _, why := phasePower(r.PhasePower, phase.of(r.PhasePower), phase.ms.Mean); why != "" {
				at := where
				if r.PhasePower.SensorPeriodMs != nil {
					at = fmt.Sprintf("%s: %.3g of %.0f ms", where, phase.ms.Mean, neededMs(r.PhasePower))
				}
				w.add(at, "%s: %s", phase.name, why)
				break
			}
		}
	}
}

// warn notes the doubts about the analysis as a whole.
func (a *Analysis) warn(opts Options, w *warnings) {
	if len(a.RunIDs) > 1 && opts.Merged == 0 {
		w.add("run", "the rows come from %d runs: %s", len(a.RunIDs), strings.Join(a.RunIDs, ", "))
	}
	if len(a.EngineVersions) > 1 {
		w.add("run", "the rows come from different engines: %s", strings.Join(a.EngineVersions, "; "))
	}
	if n := a.Accounting.Missing; n > 0 {
		how := "continue the run with --resume"
		if opts.Merged > 0 {
			how = "merge the runs again to see which, and continue those"
		}
		w.add("run", "%d planned rows are not there; %s", n, how)
	}
	if opts.RateUSDPerHour != nil && len(a.Devices) > 1 {
		w.add("prices", "--rate was applied to each of %s; give each its own tier in the pricing file", strings.Join(a.Devices, ", "))
	}
}
