package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

// kvRow is one line of `bench kv --json`.
type kvRow struct {
	Model     string `json:"model"`
	Synthetic bool   `json:"synthetic"`
	wire.KVPoint
	FormulaBytes *int64 `json:"formula_bytes,omitempty"` // for Tokens; absent with Irregular
	Exact        *bool  `json:"exact,omitempty"`         // after prefill and at Tokens, and nothing left after clearing
	Irregular    string `json:"kv_irregular,omitempty"`  // why there is no formula
}

func kvCommand(ctx context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("kv", pflag.ContinueOnError)
	lengths := fs.IntSlice("lengths", runner.KVLengths, "tokens in the cache")
	kvType := fs.String("kv-type", "f16", "element type of the cache, e.g. f16 or q8_0")
	device := fs.String("device", "cpu", "cpu or cuda")
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	if err := parse(fs, "kv FILE... [flags]"+examples("kv models/gpt2.gguf", "kv models/*.gguf --lengths 512,4096 --kv-type q8_0 --json"), args, io.out); err != nil {
		return err
	}
	elem, err := econ.ElemTypeNamed(*kvType)
	if err != nil {
		return usageError{err}
	}
	for _, n := range *lengths {
		if n < 2 {
			return usagef("length %d: need at least 2, one for prefill and one for decode", n)
		}
	}
	if fs.NArg() == 0 {
		return usagef("need model files")
	}
	engine, err := engineOn(*device, fs.Args()...)
	if err != nil {
		return err
	}
	var rows []kvRow
	for _, file := range fs.Args() {
		q := wire.KV{ModelPath: file, TypeK: *kvType, TypeV: *kvType, Lengths: *lengths, Seed: 42, Engine: engine}
		reply, err := runner.Ask(ctx, &runner.Processes{Args: []string{"worker"}}, runner.LaunchSpec{Label: "kv " + file}, wire.Request{KV: &q}, runner.KVLimit)
		if err != nil {
			return err
		}
		more, err := kvRows(reply.KV, elem)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	if *asJSON {
		enc := json.NewEncoder(io.out)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
	} else {
		printKV(rows, io)
	}
	for _, r := range rows {
		if r.Exact != nil && !*r.Exact {
			return failedError{}
		}
	}
	return nil
}

// kvRows puts the formula beside what was found, where there is one.
func kvRows(r *wire.KVReply, elem econ.ElemType) ([]kvRow, error) {
	shape := econ.KVShape{Layers: r.Info.Layers, KVHeads: r.Info.KVHeads, HeadDimK: r.Info.HeadDimK, HeadDimV: r.Info.HeadDimV}
	var rows []kvRow
	for _, p := range r.Points {
		row := kvRow{Model: r.Info.Name, Synthetic: r.Info.Synthetic, KVPoint: p, Irregular: r.Info.KVIrregular}
		if row.Irregular == "" {
			want, err := econ.KVBytes(shape, elem, elem, 1, p.Tokens)
			if err != nil {
				return nil, err
			}
			wantPrefill, err := econ.KVBytes(shape, elem, elem, 1, p.PrefillTokens)
			if err != nil {
				return nil, err
			}
			exact := p.UsedBytes == want && p.PrefillUsedBytes == wantPrefill && p.ClearedUsedBytes == 0
			row.FormulaBytes, row.Exact = &want, &exact
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printKV(rows []kvRow, io stdio) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Model", "Tokens", "Formula B", "Used B", "After prefill B", "Cleared B", "Exact", "Allocated B", "Padding B", "Positions"})
	var numbers []table.ColumnConfig
	for i := 2; i <= 10; i++ {
		numbers = append(numbers, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(numbers)
	clamped, irregular := false, map[string]string{}
	for _, r := range rows {
		if r.Irregular != "" {
			irregular[r.Model] = r.Irregular
		}
		tokens := fmt.Sprint(r.Tokens)
		if r.Tokens != r.Asked {
			tokens, clamped = fmt.Sprintf("%d*", r.Tokens), true
		}
		formula, exact := "–", "–"
		if r.Exact != nil {
			formula, exact = fmt.Sprint(*r.FormulaBytes), "yes"
			if !*r.Exact {
				exact = "NO"
			}
		}
		t.AppendRow(table.Row{r.Model, tokens, formula, r.UsedBytes, r.PrefillUsedBytes, r.ClearedUsedBytes, exact, r.AllocBytes, r.AllocBytes - r.UsedBytes, r.NCtx})
	}
	fmt.Fprintln(io.out, t.Render())
	if clamped {
		fmt.Fprintln(io.out, "* fewer than asked: the model has no more positions")
	}
	for _, model := range slices.Sorted(maps.Keys(irregular)) {
		fmt.Fprintf(io.out, "no formula for %s: %s\n", model, irregular[model])
	}
}
