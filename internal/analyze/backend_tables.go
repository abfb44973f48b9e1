package analyze

import (
	"slices"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// backendTables compare ways of running the same model.
func backendTables() []definition {
	return []definition{
		{
			name: studies + "graphs_speedup", section: "9.1", title: "CUDA graphs against the same engine without, and what they cost once",
			needs: "a GPU backend with CUDA graphs and one that differs from it in nothing else",
			columns: []Column{
				col("model", "model", ""), col("graphs", "graphs", ""), col("no_graphs", "no graphs", ""), blank("variant", "variant"),
				col("prefill_speedup", "prefill", "×"), col("prefill_ci95_lo", "lo", ""), col("prefill_ci95_hi", "hi", ""),
				col("decode_speedup", "decode", "×"), col("decode_ci95_lo", "lo", ""), col("decode_ci95_hi", "hi", ""),
				col("replay_speedup", "without capture steps", "×"),
				col("one_time_graphs_ms", "one-time, graphs", "ms"), col("one_time_no_graphs_ms", "no graphs", "ms"),
				col("first_capture_ms", "first captures", "ms"), col("tokens_to_amortize_capture", "tokens to win those back", ""),
				col("tokens_to_amortize_extra", "the difference of one-time", ""), col("tokens_to_amortize_all", "all of it", ""),
			},
			fill:  fillGraphs,
			notes: []string{"Speed-up: geometric mean over scenarios of time without graphs over time with, with its 95 % interval. One-time: load, contexts and the warm-ups the matrix asks for, which differ between the two. First captures: what the first decode takes beyond later ones, less the same without graphs."},
		},
		{
			name: studies + "graphs_speedup_by_scenario", section: "9.1", title: "CUDA graphs, decode speed-up by scenario",
			needs: "a GPU backend with CUDA graphs and one that differs from it in nothing else",
			columns: []Column{
				col("model", "model", ""), col("scenario", "scenario", ""), blank("variant", "variant"),
				col("no_graphs_tok_s", "no graphs", "tok/s"), col("graphs_tok_s", "graphs", "tok/s"),
				col("speedup", "speed-up", "×"), col("ci95_lo", "lo", ""), col("ci95_hi", "hi", ""),
			},
			fill: fillGraphsByScenario,
		},
		{
			name: studies + "graphs_capture", title: "Steps that cannot replay a graph",
			needs: "a GPU backend with CUDA graphs and one that differs from it in nothing else, with single steps timed",
			columns: append(configColumns(),
				col("graphs", "graphs", ""), col("steps", "steps", ""), col("capture_steps", "capture steps", ""), col("capture_pct", "of all", "%"),
				col("replay_p50_ms", "other steps p50", "ms"), col("capture_p50_ms", "capture p50", "ms"), col("capture_max_ms", "max", "ms"),
				col("capture_extra_ms_per_row", "lost a row", "ms"),
				col("decode_tok_s", "decode", "tok/s"), col("decode_replay_tok_s", "without them", "tok/s"),
			),
			fill:  fillCaptures,
			notes: []string{"Capture steps: the first two after a prefill and after each crossing of a multiple of 256 positions, one eager and one captured. The side without graphs has the same steps marked, for comparison."},
		},
		{
			name: studies + "one_time", title: "One-time costs of a launch",
			needs: "rows with load times or warm-ups",
			columns: []Column{
				col("model", "model", ""), col("backend", "backend", ""), col("launch", "launch", ""),
				col("load_ms", "load", "ms"), col("context_ms", "contexts", "ms"),
				col("warmups", "warm-ups", ""), col("warmup_ms", "warm-ups", "ms"),
				col("first_prefill_extra_ms", "first prefill extra", "ms"), col("first_decode_extra_ms", "first decode extra", "ms"),
			},
			fill: func(a *Analysis, t *Table) error {
				for _, o := range a.OneTime {
					t.Add(o.Model, o.Backend, o.Launch, o.LoadMs, o.ContextMs, o.Warmups, o.WarmupMs, o.FirstPrefillExtraMs, o.FirstDecodeExtraMs)
				}
				return nil
			},
			notes: []string{"Extra: the first row of the launch beyond the median of the later warm-ups of its scenario; in decode with graphs this is the first capture."},
		},
		{
			name: studies + "device_time", title: "Device time against wall time",
			needs: "times from CUDA events",
			columns: append(groupColumns(),
				col("prefill_gap_pct", "prefill host gap", "%"), col("decode_gap_pct", "decode host gap", "%"),
				col("prefill_cuda_over_wall", "prefill events/wall", ""), col("decode_cuda_over_wall", "decode events/wall", ""),
				col("n", "n", ""), col("stepped", "rows with timed steps", ""),
			),
			fill:  fillDeviceTime,
			notes: []string{"Host gap: the share of wall time in which the device ran no kernel of the phase, 1 - sum of kernel spans / wall. In decode it is of the rows whose steps the device timed: warm-ups, of which the first of each launch is left out, and in older runs measured rows too; timing the steps slows them down. Events/wall compares the whole phase by the two clocks in measured rows; 1 is agreement."},
		},
		rooflineTable(),
	}
}

func fillGraphs(a *Analysis, t *Table) error {
	for _, g := range a.Graphs {
		p, d := ratioCells(g.Prefill), ratioCells(g.Decode)
		cells := []any{g.With.Model, g.With.Backend, g.Without.Backend, g.With.Variant()}
		cells = append(append(cells, p...), d...)
		t.Add(append(cells, ratioCells(g.Replay)[0], g.OneTimeWithMs, g.OneTimeWithoutMs, g.CaptureMs, g.TokensCapture, g.TokensExtra, g.TokensAll)...)
	}
	return nil
}

// ratioCells are a ratio and its interval, absent when nil.
func ratioCells(r *stats.Ratio) []any {
	if r == nil {
		return make([]any, 3)
	}
	return []any{r.Value, r.CI.Lo, r.CI.Hi}
}

func fillGraphsByScenario(a *Analysis, t *Table) error {
	for _, g := range a.Graphs {
		for _, x := range g.Without.Groups {
			y := g.With.group(x.Scenario)
			if y == nil {
				continue
			}
			cells := []any{g.With.Model, x.Scenario, g.With.Variant(), x.Decode.TokPerS(), y.Decode.TokPerS(), y.Decode.TokPerS() / x.Decode.TokPerS()}
			t.Add(append(cells, ratioCells(groupRatio(x, y, decodeMsPerTok))[1:]...)...)
		}
	}
	return nil
}

func fillCaptures(a *Analysis, t *Table) error {
	seen := map[*Config]bool{}
	for _, g := range a.Graphs {
		for _, c := range []*Config{g.With, g.Without} {
			s, ok := captures(c)
			if !ok || seen[c] {
				continue
			}
			seen[c] = true
			t.Add(append(configCells(c.ConfigKey), c == g.With, s.Steps, s.CaptureSteps, 100*float64(s.CaptureSteps)/float64(s.Steps),
				s.ReplayP50Ms, s.CaptureP50Ms, s.CaptureMaxMs, s.ExtraMsRow, c.Decode.TokPerS(), s.ReplayTokPerS)...)
		}
	}
	return nil
}

func fillDeviceTime(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		prefillGap, decodeGap, stepped := g.hostGaps()
		prefill, _ := mean(g.Rows, func(r *record.Record) *float64 { return over(r.PrefillCudaMs, r.PrefillMs) })
		decode, _ := mean(g.Rows, func(r *record.Record) *float64 { return over(r.DecodeCudaMs, r.DecodeMs) })
		if prefillGap == nil && decodeGap == nil && prefill == nil && decode == nil {
			continue
		}
		t.Add(append(groupCells(g.Key), prefillGap, decodeGap, prefill, decode, len(g.Rows), stepped)...)
	}
	return nil
}

// hostGaps returns the mean host gap of each phase in percent, nil where the
// device did not time it, and of how many rows that of decode is.
func (g *Group) hostGaps() (prefill, decode *float64, stepped int) {
	prefill, _ = mean(g.Rows, func(r *record.Record) *float64 { return gapPct(r.PrefillCudaBusyMs, r.PrefillMs) })
	decode, stepped = mean(slices.Concat(g.Warmups, g.Rows), decodeGapPct)
	return prefill, decode, stepped
}

// decodeGapPct is the host gap of a row's decode; nil when its steps were not
// timed on the device.
func decodeGapPct(r *record.Record) *float64 {
	if len(r.StepCudaMs) == 0 {
		return nil
	}
	busy := 0.0
	for _, ms := range r.StepCudaMs {
		busy += ms
	}
	return gapPct(&busy, r.DecodeMs)
}

// over returns x/y; nil when either is.
func over(x, y *float64) *float64 {
	if x == nil || y == nil {
		return nil
	}
	v := *x / *y
	return &v
}

func gapPct(busy, wall *float64) *float64 {
	share := over(busy, wall)
	if share == nil {
		return nil
	}
	v := 100 * (1 - *share)
	return &v
}

// mean returns the mean of a number over the rows that have it, nil when none
// has, and how many have.
func mean(rows []*record.Record, of func(*record.Record) *float64) (value *float64, n int) {
	total := 0.0
	for _, r := range rows {
		if v := of(r); v != nil {
			total += *v
			n++
		}
	}
	if n == 0 {
		return nil, 0
	}
	total /= float64(n)
	return &total, n
}
