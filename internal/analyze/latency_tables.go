package analyze

import (
	"fmt"
	"math"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
)

// latencyTables say how fast work was done and how steadily.
func latencyTables() []definition {
	return []definition{
		{
			name: "summary_stats", section: "3.4", title: "Statistics of every metric", needs: "a measured row",
			columns: summaryColumns(), fill: fillSummary,
			notes: []string{"Intervals: over launch means where replicates says so, else over rows."},
		},
		{
			name: studies + "latency_summary", section: "5.1", title: "Latency and throughput over scenarios", needs: "a measured row",
			columns: append(configColumns(),
				col("prefill_ms", "prefill", "ms"), plusMinus("prefill_ci_ms", "ms"),
				col("decode_ms", "decode", "ms"), plusMinus("decode_ci_ms", "ms"),
				col("prefill_tok_s", "prefill", "tok/s"), col("decode_tok_s", "decode", "tok/s"),
				col("tr123_prefill_tok_s", "prefill, TR123 form", "tok/s"), col("tr123_decode_tok_s", "decode, TR123 form", "tok/s"),
				col("prefill_power_w", "prefill", "W"), col("decode_power_w", "decode", "W"), col("gpu_temp_c", "GPU", "°C"),
				col("degraded", "degraded", ""), col("clock_drops", "clock drops", ""), col("n", "n", ""),
			),
			fill: fillLatencySummary,
			notes: []string{
				"Times are means over all rows, which mix the scenarios; their intervals show mostly that mix. tok/s: sum of tokens over sum of seconds. TR123 form: unweighted mean over scenarios of the mean rate of their rows, as 5.1 prints.",
				fmt.Sprintf("Degraded: too hot, clocks held back, or a clock drop, an SM clock more than %d %% below the run's median on the device. Such rows stay in every figure.", clockDropPct),
			},
		},
		{
			name: studies + "latency_by_scenario", section: "5.2", title: "Latency and throughput by scenario", needs: "a measured row",
			columns: append(groupColumns(),
				col("tokens", "tokens", ""), col("n", "n", ""),
				col("prefill_ms", "prefill", "ms"), plusMinus("prefill_ci_ms", "ms"), col("ttft_p95_ms", "TTFT p95", "ms"),
				col("decode_ms", "decode", "ms"), plusMinus("decode_ci_ms", "ms"),
				col("tpot_p50_ms", "TPOT p50", "ms"), col("tpot_p95_ms", "p95", "ms"), col("tpot_p99_ms", "p99", "ms"),
				col("prefill_tok_s", "prefill", "tok/s"), col("decode_tok_s", "decode", "tok/s"),
			),
			fill: fillLatency,
		},
		stepsTable(),
		degradedTable(),
		{
			name: studies + "not_measured", title: "Rows that were not measured", needs: "a row that was skipped or failed; there is none",
			columns: []Column{col("rows", "rows", ""), col("cells", "cells", ""), col("status", "status", ""), blank("kind", "kind"), col("reason", "reason", "")},
			fill: func(a *Analysis, t *Table) error {
				for _, r := range a.Accounting.Reasons {
					t.Add(r.Rows, len(r.Cells), string(r.Status), r.Kind, r.Text)
				}
				return nil
			},
		},
		{
			name: studies + "warmup", section: "5.7", title: "Whether warm-ups were enough", needs: "two repetitions of a cell",
			columns: append(configColumns(),
				col("worst_ratio", "worst first/rest", ""), col("scenario", "scenario", ""), col("residual_pct", "residual", "%"),
			),
			fill:  fillWarmup,
			notes: []string{"First/rest: decode time of repetition 0 over the mean of the others, the scenario furthest from 1."},
		},
		{
			name: studies + "cv_bins", section: "5.7", title: "Spread of decode times", needs: "two repetitions of a cell",
			columns: []Column{
				col("cv_lo_pct", "CV from", "%"), col("cv_hi_pct", "to", "%"),
				col("cells", "cells", ""), col("cells_total", "of", ""), col("share_pct", "share", "%"),
			},
			fill: fillCVBins,
		},
		watchingTable(),
	}
}

// summaryOf names the statistics of one metric.
var summaryOf = []string{"n", "mean", "sd", "ci95_lo", "ci95_hi", "median", "median_ci95_lo", "median_ci95_hi", "p05", "p95", "min", "max", "cv_pct", "outliers"}

func summaryColumns() []Column {
	columns := append(keyColumns(), Column{Name: "launches"}, Column{Name: "replicates"})
	for _, m := range metrics {
		for _, stat := range summaryOf {
			columns = append(columns, Column{Name: m.name + "." + stat})
		}
	}
	return columns
}

// metric is one number of a row; rows that lack it are left out.
type metric struct {
	name string
	of   func(r *record.Record) *float64
}

var metrics = []metric{
	{"prefill_ms", func(r *record.Record) *float64 { return r.PrefillMs }},
	{"decode_ms", func(r *record.Record) *float64 { return r.DecodeMs }},
	{"total_ms", func(r *record.Record) *float64 { return r.TotalMs }},
	{"prefill_tok_s", func(r *record.Record) *float64 { return tokPerS(r, r.PromptTokens, r.PrefillMs) }},
	{"decode_tok_s", func(r *record.Record) *float64 { return tokPerS(r, r.GenTokens, r.DecodeMs) }},
	{"prefill_cuda_ms", func(r *record.Record) *float64 { return r.PrefillCudaMs }},
	{"decode_cuda_ms", func(r *record.Record) *float64 { return r.DecodeCudaMs }},
	{"prefill_power_w", func(r *record.Record) *float64 { return prefillRow(r).power.sampled() }},
	{"decode_power_w", func(r *record.Record) *float64 { return decodeRow(r).power.sampled() }},
	{"gpu_clock_mhz", func(r *record.Record) *float64 { return r.GPUClockMHz }},
	{"gpu_temp_c", func(r *record.Record) *float64 { return r.GPUTempC }},
	{"gpu_peak_total_mb", func(r *record.Record) *float64 { return r.GPUPeakTotalMB }},
	{"host_peak_rss_bytes", func(r *record.Record) *float64 { return toFloat(r.HostPeakRSSBytes) }},
}

func tokPerS(r *record.Record, tokens int, ms *float64) *float64 {
	v := 1000 * float64(max(1, r.Batch)*tokens) / *ms
	return &v
}

func toFloat(n *int64) *float64 {
	if n == nil {
		return nil
	}
	v := float64(*n)
	return &v
}

func fillSummary(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		cells := append(keyCells(g.Key), g.Launches, replicates(g.ByLaunch, g.Launches))
		for _, m := range metrics {
			var values []float64
			for _, r := range g.Rows {
				if v := m.of(r); v != nil {
					values = append(values, *v)
				}
			}
			s, ok := stats.Describe(values, Confidence)
			if !ok {
				cells = append(cells, make([]any, len(summaryOf))...)
				continue
			}
			switch {
			case g.ByLaunch && len(values) == len(g.Rows):
				g.replaceInterval(&s, values)
			case g.ByLaunch:
				s.CI = nil // rows that lack the metric leave launches uneven
			}
			lo, hi := bounds(s.CI)
			medianLo, medianHi := bounds(s.MedianCI)
			cells = append(cells, s.N, s.Mean, s.SD, lo, hi, s.Median, medianLo, medianHi, s.P05, s.P95, s.Min, s.Max, s.CVPct, len(s.Outliers))
		}
		t.Add(cells...)
	}
	return nil
}

// bounds are the cells of an interval, absent when it is nil.
func bounds(r *stats.Range) (lo, hi any) {
	if r == nil {
		return nil, nil
	}
	return r.Lo, r.Hi
}

func fillLatencySummary(a *Analysis, t *Table) error {
	for _, c := range a.Configs {
		var prefill, decode, prefillRates, decodeRates []float64
		var temps []float64
		degraded, clockDrops := 0, 0
		for _, g := range c.Groups {
			degraded, clockDrops = degraded+g.Degraded, clockDrops+g.ClockDrops
			var p, d []float64
			for _, r := range g.Rows {
				prefill, decode = append(prefill, *r.PrefillMs), append(decode, *r.DecodeMs)
				p, d = append(p, *tokPerS(r, r.PromptTokens, r.PrefillMs)), append(d, *tokPerS(r, r.GenTokens, r.DecodeMs))
				if r.GPUTempC != nil {
					temps = append(temps, *r.GPUTempC)
				}
			}
			pm, err := econ.TR123TokPerS(p)
			if err != nil {
				return err
			}
			dm, err := econ.TR123TokPerS(d)
			if err != nil {
				return err
			}
			prefillRates, decodeRates = append(prefillRates, pm), append(decodeRates, dm)
		}
		ps, _ := stats.Describe(prefill, Confidence)
		ds, _ := stats.Describe(decode, Confidence)
		tp, err := econ.TR123TokPerS(prefillRates)
		if err != nil {
			return err
		}
		td, err := econ.TR123TokPerS(decodeRates)
		if err != nil {
			return err
		}
		var temp any
		if s, ok := stats.Describe(temps, Confidence); ok {
			temp = s.Mean
		}
		t.Add(append(configCells(c.ConfigKey), ps.Mean, ps.Half, ds.Mean, ds.Half, c.Prefill.TokPerS(), c.Decode.TokPerS(), tp, td,
			c.Prefill.watts(), c.Decode.watts(), temp, degraded, clockDrops, len(prefill))...)
	}
	return nil
}

func fillLatency(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		var p50, p95, p99 any
		if q := g.TPOTMs; q != nil {
			p50, p95, p99 = q.P50, q.P95, q.P99
		}
		t.Add(append(groupCells(g.Key), fmt.Sprintf("%d+%d", g.PromptTokens, g.GenTokens), g.PrefillMs.N,
			g.PrefillMs.Mean, g.PrefillMs.Half, g.TTFTMs.P95, g.DecodeMs.Mean, g.DecodeMs.Half,
			p50, p95, p99, g.Prefill.TokPerS(), g.Decode.TokPerS())...)
	}
	return nil
}

// warmupRatio returns the decode time of the first repetitions over the mean
// of the others; ok is false when there are none of either.
func (g *Group) warmupRatio() (ratio float64, ok bool) {
	decode := func(first bool) (*float64, int) {
		return mean(g.Rows, func(r *record.Record) *float64 {
			if (r.Rep == 0) != first {
				return nil
			}
			return r.DecodeMs
		})
	}
	first, _ := decode(true)
	rest, _ := decode(false)
	if first == nil || rest == nil {
		return 0, false
	}
	return *first / *rest, true
}

func fillWarmup(a *Analysis, t *Table) error {
	for _, c := range a.Configs {
		worst, at := 1.0, ""
		for _, g := range c.Groups {
			if r, ok := g.warmupRatio(); ok && (at == "" || math.Abs(r-1) > math.Abs(worst-1)) {
				worst, at = r, g.Scenario
			}
		}
		if at != "" {
			t.Add(append(configCells(c.ConfigKey), worst, at, 100*(worst-1))...)
		}
	}
	return nil
}

// cvBins are the lower bounds of the bands of TR123 5.7, in percent.
var cvBins = []float64{0, 1, 3, 5, 10}

func fillCVBins(a *Analysis, t *Table) error {
	counts, total := make([]int, len(cvBins)), 0
	for _, g := range a.Groups {
		if g.DecodeMs.CVPct == nil {
			continue
		}
		total++
		for i := len(cvBins) - 1; i >= 0; i-- {
			if *g.DecodeMs.CVPct >= cvBins[i] {
				counts[i]++
				break
			}
		}
	}
	for i, n := range counts {
		if total == 0 {
			break
		}
		var hi any
		if i+1 < len(cvBins) {
			hi = cvBins[i+1]
		}
		t.Add(cvBins[i], hi, n, total, 100*float64(n)/float64(total))
	}
	return nil
}
