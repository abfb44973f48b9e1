package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/stats"
	"github.com/phasebench/phasebench/internal/wire"
)

// overheadLimit is how long all of it may take.
const overheadLimit = time.Hour

// overheadResult is what watching costs: rates with it over rates without, of
// rows measured in turns by one worker.
type overheadResult struct {
	Watching  string    `json:"watching"` // "power" or "events"
	Phase     string    `json:"phase"`
	Ratio     float64   `json:"ratio"` // geometric mean of the rate with over the rate without
	Low       float64   `json:"low"`   // 95 % bootstrap interval over pairs
	High      float64   `json:"high"`
	WithMs    []float64 `json:"with_ms"` // by pair, as the next
	WithoutMs []float64 `json:"without_ms"`
	Model     string    `json:"model"`
	Device    string    `json:"device"`
	Synthetic bool      `json:"synthetic"`
	Graphs    *bool     `json:"graphs,omitempty"` // CUDA graphs
	Row       [2]int    `json:"tokens"`           // prompt and generated
}

// watched is one way of watching that can be left out.
type watched struct {
	name string
	set  func(on bool, row *wire.Row) // before a row
}

// overheadCommand shows that looking on does not slow down what is looked at.
func overheadCommand(ctx context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("overhead", pflag.ContinueOnError)
	model := fs.String("model", "", "GGUF file")
	device := fs.String("device", "cpu", "cpu or cuda")
	prompt := fs.Int("prompt", 256, "prompt tokens")
	gen := fs.Int("gen", 128, "tokens to generate")
	pairs := fs.Int("pairs", 20, "pairs of rows, with and without, in alternating order")
	graphs := fs.Bool("graphs", true, "CUDA graphs")
	asJSON := fs.Bool("json", false, "print one JSON object a line")
	if err := parse(fs, "overhead --model FILE [flags]"+examples("overhead --model models/gpt2.gguf --device cuda", "overhead --model models/gpt2.gguf --pairs 10 --json"), args, io.out); err != nil {
		return err
	}
	if *model == "" || fs.NArg() > 0 || *pairs < 2 || *prompt < 1 || *gen < 1 {
		return usagef("need --model FILE, positive counts and at least two pairs; see bench overhead --help")
	}
	engine, err := engineOn(*device, *model)
	if err != nil {
		return err
	}
	launcher := &runner.Processes{Args: []string{"worker"}}
	host, err := runner.Survey(ctx, launcher)
	if err != nil {
		return err
	}
	var ways []watched
	dir, err := os.MkdirTemp("", "phasebench-overhead")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	telemetry, warning := power.Open(dir, host.Devices.Devices)
	if warning != "" {
		fmt.Fprintln(io.err, "warning:", warning)
	}
	if telemetry != nil {
		defer telemetry.Close()
		ways = append(ways, watched{"power", func(on bool, _ *wire.Row) {
			if on {
				telemetry.Resume()
			} else {
				telemetry.Pause()
			}
		}})
	}
	spec := runner.LaunchSpec{Label: "overhead"}
	out := overheadResult{Row: [2]int{*prompt, *gen}}
	if *device == "cuda" {
		ways = append(ways, watched{"events", func(on bool, row *wire.Row) { row.NoDeviceTimes = !on }})
		if out.Graphs = graphs; !*graphs {
			spec.Env = map[string]string{"GGML_CUDA_DISABLE_GRAPHS": "1"}
		}
	}
	if len(ways) == 0 {
		return errors.New("nothing is watched here: no power source can be read, and events are of CUDA")
	}
	w, err := launcher.Launch(spec)
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(ctx, overheadLimit)
	defer cancel()
	ask := func(q wire.Request) (wire.Reply, error) {
		r, err := w.Call(ctx, q)
		if err == nil && r.Error != nil {
			err = errors.New(r.Error.Message)
		}
		return r, err
	}
	opened, err := ask(wire.Request{Open: &wire.Open{ModelPath: *model, Engine: engine}})
	if err != nil {
		return err
	}
	out.Model, out.Device, out.Synthetic = opened.Opened.Info.Name, opened.Opened.Device, opened.Opened.Info.Synthetic
	row := wire.Row{
		Context:      wire.ContextSpec{NCtx: *prompt + *gen, Batch: 1, TypeK: "f16", TypeV: "f16"},
		PromptTokens: *prompt, GenTokens: *gen, DecodeMode: "cached", Seed: 42,
	}
	var results []overheadResult
	for _, way := range ways {
		prefill, decode, err := turns(way, row, *pairs, ask)
		if err != nil {
			return err
		}
		for _, p := range []struct {
			phase string
			ms    [2][]float64
		}{{"prefill", prefill}, {"decode", decode}} {
			r := out
			r.Watching, r.Phase, r.WithMs, r.WithoutMs = way.name, p.phase, p.ms[0], p.ms[1]
			ratio, ci, err := stats.PairedRatio(r.WithoutMs, r.WithMs, 0.95, 10_000, 42) // of times; of rates the other way round
			if err != nil {
				return err
			}
			r.Ratio, r.Low, r.High = ratio, ci.Lo, ci.Hi
			results = append(results, r)
			if *asJSON { // at once: of a call that is cut short there is what was done
				if err := json.NewEncoder(io.out).Encode(r); err != nil {
					return err
				}
			}
		}
	}
	if !*asJSON {
		printOverhead(results, io)
	}
	return nil
}

// turns measures pairs of rows, with and without watching, after warm-ups.
func turns(way watched, row wire.Row, pairs int, ask func(wire.Request) (wire.Reply, error)) (prefill, decode [2][]float64, err error) {
	const warmups = 3
	measure := func(on bool) (prefillMs, decodeMs float64, err error) {
		way.set(on, &row)
		time.Sleep(50 * time.Millisecond) // so that sampling is under way, or over
		reply, err := ask(wire.Request{Row: &row})
		if err != nil {
			return 0, 0, err
		}
		r := reply.Row
		return float64(r.PrefillEndNs-r.StartNs) / 1e6, float64(r.StepEndNs[len(r.StepEndNs)-1]-r.PrefillEndNs) / 1e6, nil
	}
	for range warmups {
		if _, _, err := measure(true); err != nil {
			return prefill, decode, err
		}
	}
	for pair := range pairs {
		for turn := range 2 {
			side := (pair + turn) % 2 // 0 with, 1 without; who goes first alternates
			p, d, err := measure(side == 0)
			if err != nil {
				return prefill, decode, err
			}
			prefill[side], decode[side] = append(prefill[side], p), append(decode[side], d)
		}
	}
	way.set(true, &row)
	return prefill, decode, nil
}

func printOverhead(results []overheadResult, io stdio) {
	if results[0].Synthetic {
		fmt.Fprintln(io.out, "synthetic weights")
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"Watching", "Phase", "Speed with / without", "95 % interval", "Pairs"})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, Align: text.AlignRight}, {Number: 5, Align: text.AlignRight}})
	for _, r := range results {
		t.AppendRow(table.Row{r.Watching, r.Phase, fmt.Sprintf("%.4f", r.Ratio), fmt.Sprintf("%.4f to %.4f", r.Low, r.High), len(r.WithMs)})
	}
	fmt.Fprintln(io.out, t.Render())
}
