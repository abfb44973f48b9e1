package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/runner"
)

// planGroup is what `bench plan` says about the cells of one model on one
// backend. What could not be found out is absent.
type planGroup struct {
	Model     string     `json:"model"`
	Backend   string     `json:"backend"`
	File      string     `json:"file,omitempty"`
	NeedBytes *int64     `json:"need_bytes,omitempty"` // of all contexts with the weights
	FreeBytes *int64     `json:"free_bytes,omitempty"` // on the device that holds them
	EstimateS *float64   `json:"estimate_s,omitempty"`
	WindowsS  *float64   `json:"windows_s,omitempty"` // energy windows, at least; a part of estimate_s
	Problem   string     `json:"problem,omitempty"`
	Waits     bool       `json:"waits,omitempty"` // for a model file that is to be got
	Cells     []planCell `json:"cells"`
}

type planCell struct {
	ID           string   `json:"id"`
	Scenario     string   `json:"scenario"`
	KVType       string   `json:"kv_type"`
	Batch        int      `json:"batch"` // sequences evaluated together
	PromptTokens int      `json:"prompt_tokens"`
	GenTokens    int      `json:"gen_tokens"`
	Rows         int      `json:"rows"` // repetitions in all launches
	Skip         string   `json:"skip,omitempty"`
	Error        string   `json:"error,omitempty"`
	Warnings     []string `json:"warnings,omitempty"`
}

func planCommand(ctx context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("plan", pflag.ContinueOnError)
	var sel selection
	sel.flags(fs)
	noProbe := fs.Bool("no-probe", false, "do not measure a short row per model and backend for the estimate of the time")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, "plan -matrix FILE [flags]"+examples("plan -matrix configs/matrix.yaml --no-probe", "plan -matrix configs/demo.yaml --synthetic --json"), args, io.out); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("unexpected argument %q", fs.Arg(0))
	}
	if err := sel.check(fs); err != nil {
		return err
	}
	plan, _, err := sel.plan()
	if err != nil {
		return err
	}
	launcher := &runner.Processes{Args: []string{"worker"}}
	host, err := runner.Survey(ctx, launcher)
	if err != nil {
		return err
	}
	found, err := findModels(plan, host, models.Options{Synthetic: sel.synthetic, Dir: syntheticDir})
	if err != nil {
		return err
	}
	groups, err := runner.Check(ctx, plan, host, launcher)
	if err != nil {
		return err
	}
	var out []planGroup
	for i := range groups {
		g := describe(&groups[i], plan.Spec, host)
		g.findFile(found)
		if !*noProbe && g.Problem == "" {
			spec := *plan.Spec
			if unpowered(groups[i].DeviceKind()) != "" {
				spec.Energy.Windows = 0
			}
			d, err := runner.Estimate(ctx, &groups[i], &spec, launcher)
			if err != nil {
				g.Problem = err.Error()
			} else {
				g.EstimateS, g.WindowsS = seconds(d), seconds(runner.WindowTime(&groups[i], spec.Energy))
			}
		}
		out = append(out, g)
	}
	if *asJSON {
		return json.NewEncoder(io.out).Encode(out)
	}
	printPlan(out, plan, io)
	return nil
}

// seconds returns nothing for no time.
func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	if s <= 0 {
		return nil
	}
	return &s
}

func describe(g *runner.GroupCheck, spec *matrix.Spec, host runner.Host) planGroup {
	p := planGroup{Model: g.Model.Name, Backend: g.Backend.Name}
	for i := range g.Cells {
		c := &g.Cells[i]
		p.File = c.Model.Path
		cell := planCell{
			ID: c.ID, Scenario: c.Scenario.Name, KVType: c.KV.String(), Batch: c.Batch, PromptTokens: c.PromptTokens, GenTokens: c.Scenario.GenTokens,
			Rows: spec.Repetitions * spec.Launches, Skip: c.SkipReason, Warnings: c.Warnings,
		}
		if c.Err != nil {
			cell.Error, p.Problem = c.Err.Message, c.Err.Message
		}
		p.Cells = append(p.Cells, cell)
	}
	if len(g.Contexts) > 0 {
		need, free := g.Memory(host)
		p.NeedBytes, p.FreeBytes = &need, &free
	}
	return p
}

// findFile puts what a run would do about a file that is not there in the place
// of the engine's complaint about it.
func (g *planGroup) findFile(found models.Found) {
	if g.Problem == "" {
		return // none of its cells is going to be looked at, or all is well
	}
	made := slices.ContainsFunc(found.StandIns, func(s models.StandIn) bool { return !s.There && s.Path == g.File })
	missing := slices.IndexFunc(found.Missing, func(m matrix.Model) bool { return m.Name == g.Model })
	g.Waits = missing >= 0
	switch {
	case made:
		g.Problem = "random weights are made when the run starts"
	case g.Waits:
		g.Problem = "missing: " + models.HowToGet(found.Missing[missing]) + ", or --synthetic"
	default:
		return
	}
	g.File = ""
	for i := range g.Cells {
		g.Cells[i].Error = ""
	}
}

// skippedWhole returns the reason why none of several cells is measured, if it
// is the same for all.
func (g *planGroup) skippedWhole() string {
	for _, c := range g.Cells {
		if len(g.Cells) < 2 || c.Skip != g.Cells[0].Skip {
			return ""
		}
	}
	return g.Cells[0].Skip
}

func printPlan(groups []planGroup, plan *matrix.Plan, io stdio) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Model", "Backend", "Scenario", "KV", "Batch", "Prompt", "Gen", "Rows", "Need MiB", "Free MiB", "Note"})
	oneType := !slices.ContainsFunc(plan.Cells, func(c matrix.Cell) bool { return c.KV != plan.Cells[0].KV })
	alone := !slices.ContainsFunc(plan.Cells, func(c matrix.Cell) bool { return c.Batch > 1 })
	columns := []table.ColumnConfig{{Number: 4, Hidden: oneType}}
	for i := 5; i <= 10; i++ {
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight, Hidden: i == 5 && alone})
	}
	t.SetColumnConfigs(append(columns, table.ColumnConfig{Number: 11, WidthMax: 64, WidthMaxEnforcer: text.WrapSoft}))
	mib := func(b *int64) string {
		if b == nil {
			return ""
		}
		return fmt.Sprint(*b >> 20)
	}
	var measured, waiting, failing, skipped int
	total, windows, known := 0.0, 0.0, true
	for _, g := range groups {
		whole := g.skippedWhole()
		if whole != "" {
			rows := len(g.Cells) * g.Cells[0].Rows
			t.AppendRow(table.Row{g.Model, g.Backend, fmt.Sprintf("all %d", len(g.Cells)), "", "", "", "", rows, "", "", "skipped: " + whole})
		}
		for i, c := range g.Cells {
			note := c.Error
			switch {
			case c.Skip != "":
				note = "skipped: " + c.Skip
				skipped += c.Rows
			case c.Error != "":
				failing += c.Rows
			case g.Waits:
				note = g.Problem
				waiting += c.Rows
			default:
				measured += c.Rows
				if note = g.Problem; len(c.Warnings) > 0 {
					note = c.Warnings[0]
				}
			}
			if whole != "" {
				continue
			}
			row := table.Row{"", "", c.Scenario, c.KVType, c.Batch, c.PromptTokens, c.GenTokens, c.Rows, "", "", note}
			if i == 0 {
				row[0], row[1], row[8], row[9] = g.Model, g.Backend, mib(g.NeedBytes), mib(g.FreeBytes)
			}
			t.AppendRow(row)
		}
		t.AppendSeparator()
		switch {
		case g.EstimateS != nil:
			total += *g.EstimateS
			if g.WindowsS != nil {
				windows += *g.WindowsS
			}
		case anyRuns(g):
			known = false
		}
	}
	fmt.Fprintln(io.out, t.Render())
	fmt.Fprintf(io.out, "%d rows: %d to measure, %d skipped", plan.Rows(), measured, skipped)
	if waiting > 0 {
		fmt.Fprintf(io.out, ", %d wait for model files", waiting)
	}
	if failing > 0 {
		fmt.Fprintf(io.out, ", %d would fail", failing)
	}
	fmt.Fprintln(io.out)
	round := func(s float64) time.Duration { return time.Duration(s * 1e9).Round(time.Second) }
	part := ""
	if windows > 0 {
		part = fmt.Sprintf(", at least %v of it energy windows", round(windows))
	}
	switch {
	case total > 0 && known:
		fmt.Fprintf(io.out, "about %v%s, from a short probe of each model on each backend\n", round(total), part)
	case total > 0:
		fmt.Fprintf(io.out, "about %v%s for what could be probed\n", round(total), part)
	default:
		fmt.Fprintln(io.out, "no estimate of the time: nothing was probed")
	}
	if q := plan.Spec.Quality; q != nil {
		fmt.Fprintf(io.out, "then each model is scored on %s, which takes time beyond that\n", q.Text)
	}
}

func anyRuns(g planGroup) bool {
	for _, c := range g.Cells {
		if c.Skip == "" {
			return true
		}
	}
	return false
}
