package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
)

// Tables returns the tables for people: one for each quantity that any cell has,
// or of those whose metrics are named by short. A time stands beside the speed
// it is the inverse of, since one test says all about both.
func (r *Result) Tables(short []string) []*analyze.Table {
	var out []*analyze.Table
	for q := range quantities {
		lead, times := metricsOf(q)
		if len(short) > 0 && !slices.Contains(short, lead.Short) {
			continue
		}
		t := &analyze.Table{Name: lead.Name, Title: lead.Title, Columns: r.columns(lead, times)}
		rows, means, beside := r.of(lead), of(r.Means, lead), [][]*Row{}
		for _, m := range times {
			beside = append(beside, r.of(m))
		}
		for i, row := range rows {
			cells := []any{row.With, row.Model, row.Backend, row.Variant, row.Scenario, row.Old, row.New}
			for _, other := range beside {
				cells = append(cells, other[i].Old, other[i].New)
			}
			n := fmt.Sprintf("%d+%d", row.OldN, row.NewN)
			if row.OldLaunches > 0 {
				n += fmt.Sprintf(" of %d+%d launches", row.OldLaunches, row.NewLaunches)
			}
			t.Add(append(cells, row.said(n)...)...)
		}
		for _, row := range means {
			cells := []any{row.With, "geometric mean of cells", "", "", "", nil, nil}
			for range beside {
				cells = append(cells, nil, nil)
			}
			t.Add(append(cells, row.said(fmt.Sprintf("%d", row.Cells))...)...)
		}
		if len(rows) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// metricsOf returns the first metric of a quantity, and the others.
func metricsOf(q int) (lead *Metric, others []*Metric) {
	for i := range Metrics {
		switch m := &Metrics[i]; {
		case m.quantity != q:
		case lead == nil:
			lead = m
		default:
			others = append(others, m)
		}
	}
	return lead, others
}

func (r *Result) of(m *Metric) []*Row { return of(r.Rows, m) }

func of(rows []Row, m *Metric) []*Row {
	var out []*Row
	for i := range rows {
		if rows[i].metric == m {
			out = append(out, &rows[i])
		}
	}
	return out
}

// columns hides what is the same in all rows and stands above the tables.
func (r *Result) columns(lead *Metric, times []*Metric) []analyze.Column {
	columns := []analyze.Column{
		{Name: "with", Title: "new", Hidden: len(r.With) == 1}, {Name: "model"}, {Name: "backend", Hidden: r.ByBackend}, {Name: "variant"}, {Name: "scenario"},
	}
	for _, m := range append([]*Metric{lead}, times...) {
		for _, side := range []string{"old", "new"} {
			columns = append(columns, analyze.Column{Name: side, Title: strings.TrimSpace(side + " " + m.inTable), Unit: m.Unit})
		}
	}
	return append(columns, analyze.Column{Name: "ratio", Title: "new/old"}, analyze.Column{Name: "ci95_lo", Title: "lo"}, analyze.Column{Name: "ci95_hi", Title: "hi"},
		analyze.Column{Name: "p_holm", Title: "p, Holm", Digits: 2}, analyze.Column{Name: "n"}, analyze.Column{Name: "verdict"}, analyze.Column{Name: "why"})
}

// said are the cells of what a test says.
func (r *Row) said(n string) []any {
	return []any{r.Ratio, r.CILo, r.CIHi, r.PHolm, n, r.Verdict, r.Why}
}

// Flat returns all rows and means as one table for machines.
func (r *Result) Flat() *analyze.Table {
	t := &analyze.Table{Name: "compare"}
	for _, name := range []string{
		"old_side", "with", "metric", "unit", "cells", "model", "backend", "variant", "scenario", "prompt_tokens", "gen_tokens", "price",
		"old", "new", "ratio", "ci95_lo", "ci95_hi", "p", "p_holm", "old_n", "new_n", "old_launches", "new_launches", "within_process", "noise", "verdict", "why",
	} {
		t.Columns = append(t.Columns, analyze.Column{Name: name})
	}
	for _, list := range [][]Row{r.Rows, r.Means} {
		for _, x := range list {
			t.Add(r.Old, x.With, x.Metric, x.Unit, x.Cells, x.Model, x.Backend, x.Variant, x.Scenario, x.PromptTokens, x.GenTokens, x.Price,
				x.Old, x.New, x.Ratio, x.CILo, x.CIHi, x.P, x.PHolm, x.OldN, x.NewN, x.OldLaunches, x.NewLaunches, x.Within, x.Noise, x.Verdict, x.Why)
		}
	}
	return t
}

// Footnotes say how to read the tables, and what was found beside them.
func (r *Result) Footnotes() []string {
	var prices, noise []string
	launches := false
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Price != "" {
			prices = append(prices, row.Price)
		}
		switch {
		case row.P == nil:
		case row.Noise == nil:
			launches = true
		case row.metric.inverse:
			noise = append(noise, row.metric.Short+" "+percent(*row.Noise))
		}
	}
	prices, noise = distinct(prices), distinct(noise)
	notes := []string{"Ratios are of geometric means, new over old, with 95 % intervals; p is Welch's on logarithms, corrected by Holm over all cells and metrics of the two sides; ~ means not told apart at 0.05. A time and the speed it is the inverse of share one test."}
	if len(noise) > 0 {
		notes = append(notes, "Fewer than 3 launches: repetitions of a process are the replicates, so intervals and p say nothing about a new launch. So a difference is only called when it is significant and larger than two launches may lie apart ("+strings.Join(noise, ", ")+"; see --noise). Runs with 3 launches or more need no such allowance.")
	}
	with := 0
	for _, row := range r.Rows {
		if !strings.Contains(row.Variant, uncached) {
			with++
		}
	}
	if with > 0 && with < len(r.Rows) {
		notes = append(notes, "Steps without the KV cache are other work: the mean leaves them out.")
	}
	if launches {
		notes = append(notes, "Where both sides have 3 launches or more, replicates are the means of launches.")
	}
	if len(prices) > 0 {
		notes = append(notes, fmt.Sprintf("Cost is machine time of the %s blend (%s); energy is compared by itself.", r.Blend, strings.Join(prices, "; ")))
	}
	if len(r.Synthetic) > 0 {
		notes = append(notes, "SYNTHETIC WEIGHTS: "+strings.Join(r.Synthetic, ", "))
	}
	notes = append(notes, r.Notes...)
	for _, list := range [][]Apart{r.NotComparable, r.OnlyIn} {
		for _, a := range list {
			kind := "Not comparable: "
			if a.Side != "" {
				kind = "Not in both: "
			}
			notes = append(notes, kind+a.String())
		}
	}
	return notes
}

func percent(share float64) string { return fmt.Sprintf("%.2g %%", 100*share) }

// distinct keeps the first of equal texts.
func distinct(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
