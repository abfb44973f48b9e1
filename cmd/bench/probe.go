package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/measure"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// probeResult is what `bench probe --json` prints: one entry per repetition.
type probeResult struct {
	Model        string    `json:"model"`
	Device       string    `json:"device"`
	Synthetic    bool      `json:"synthetic"`
	Threads      int       `json:"threads"`
	Batch        int       `json:"batch"`         // sequences evaluated together
	PromptTokens int       `json:"prompt_tokens"` // of each
	GenTokens    int       `json:"gen_tokens"`    // of each
	TokenHashes  []string  `json:"token_hashes"`  // of what was sampled, without the warm-up
	PrefillMs    []float64 `json:"prefill_ms"`
	DecodeMs     []float64 `json:"decode_ms,omitempty"` // absent when no tokens were generated
}

// probeCommand measures in this very process: no matrix, no rows on disk. It is
// the counterpart of a llama-bench call.
func probeCommand(_ context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("probe", pflag.ContinueOnError)
	model := fs.String("model", "", "GGUF file")
	device := fs.String("device", "cpu", "cpu or cuda")
	prompt := fs.Int("prompt", 256, "prompt tokens")
	gen := fs.Int("gen", 128, "tokens to generate; 0 for prefills alone, one right after the other")
	reps := fs.Int("reps", 3, "repetitions")
	warmup := fs.Int("warmup", 1, "repetitions before them that are not reported")
	threads := fs.Int("threads", 0, "CPU threads (default: physical cores, or 1 with everything on a GPU)")
	ubatch := fs.Int("ubatch", 0, "most tokens computed at once (default: 512)")
	flash := fs.String("flash-attn", "on", "on, off or auto")
	argmax := fs.String("argmax", "graph", "where the greedy token is chosen: graph, graph-split (on a GPU in two passes) or host")
	batch := fs.Int("batch", 1, "sequences evaluated together, each with a prompt of its own; times are of all")
	mmap := fs.Bool("mmap", true, "map the model file instead of reading it")
	unified := fs.Bool("kv-unified", false, "one buffer for the cells of all sequences instead of one each")
	uncached := fs.Bool("uncached", false, "decode without the KV cache, re-evaluating everything at every step")
	noDeviceTimes := fs.Bool("no-device-times", false, "record no events on the GPU's stream")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, "probe --model FILE [flags]"+examples("probe --model models/gpt2.gguf --prompt 512 --gen 128 --reps 5", "probe --model models/gpt2.gguf --device cuda --json"), args, io.out); err != nil {
		return err
	}
	if *model == "" || fs.NArg() > 0 || *reps < 1 || *warmup < 0 || *prompt < 1 || *gen < 0 || *batch < 1 {
		return usagef("need --model FILE and positive counts; see bench probe --help")
	}
	if !slices.Contains([]string{"graph", "graph-split", "host"}, *argmax) {
		return usagef("--argmax %s: need graph, graph-split or host", *argmax)
	}
	engine, err := engineOn(*device, *model)
	if err != nil {
		return err
	}
	engine.Threads, engine.NUbatch, engine.FlashAttn, engine.Argmax, engine.Mmap, engine.KVUnified = *threads, *ubatch, *flash, *argmax, *mmap, *unified
	s, opened, err := openHere(*model, engine)
	if err != nil {
		return err
	}
	defer s.Close()
	row := wire.Row{
		Context:      wire.ContextSpec{NCtx: *prompt + *gen, Batch: *batch, TypeK: "f16", TypeV: "f16"},
		PromptTokens: *prompt, GenTokens: *gen, Seed: 42, NoDeviceTimes: *noDeviceTimes,
	}
	if *uncached {
		row.DecodeMode = "uncached"
	}
	out := probeResult{Model: *model, Device: opened.Device, Synthetic: opened.Info.Synthetic, Threads: opened.Threads, Batch: *batch, PromptTokens: *prompt, GenTokens: *gen}
	for i := range *warmup + *reps {
		r, err := s.Row(row)
		if err != nil {
			return err
		}
		if i >= *warmup {
			out.TokenHashes = append(out.TokenHashes, r.TokenHash)
			out.PrefillMs = append(out.PrefillMs, float64(r.PrefillEndNs-r.StartNs)/1e6)
			if n := len(r.StepEndNs); n > 0 {
				out.DecodeMs = append(out.DecodeMs, float64(r.StepEndNs[n-1]-r.PrefillEndNs)/1e6)
			}
		}
	}
	if slices.ContainsFunc(out.TokenHashes, func(hash string) bool { return hash != out.TokenHashes[0] }) {
		fmt.Fprintln(io.err, "the repetitions sampled different tokens: with these settings the engine does not compute the same twice")
	}
	if *asJSON {
		return json.NewEncoder(io.out).Encode(out)
	}
	if out.Synthetic {
		fmt.Fprintln(io.out, "synthetic weights")
	}
	for i, ms := range out.PrefillMs {
		fmt.Fprintf(io.out, "prefill %d tokens: %8.2f ms, %8.1f tok/s", *batch**prompt, ms, float64(*batch**prompt)/ms*1e3)
		if i < len(out.DecodeMs) {
			fmt.Fprintf(io.out, "   decode %d tokens: %8.2f ms, %8.1f tok/s", *batch**gen, out.DecodeMs[i], float64(*batch**gen)/out.DecodeMs[i]*1e3)
		}
		fmt.Fprintln(io.out)
	}
	return nil
}

// openHere loads a model in this very process, not in a worker.
func openHere(model string, engine wire.Engine) (*measure.Session, *wire.Opened, error) {
	if err := engineHere(); err != nil {
		return nil, nil, err
	}
	return measure.Open(wire.Open{ModelPath: model, Engine: engine})
}

// engineHere makes the engine ready in this very process. It keeps a team of
// threads for each thread that calls it, so the caller stays on its own.
func engineHere() error {
	runtime.LockOSThread()
	return llama.Init()
}
