package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/llama"
)

func synthCommand(ctx context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("synth", pflag.ContinueOnError)
	out := flags.StringP("out", "o", "", "file to write, e.g. models/gpt2-synthetic.gguf")
	layers := flags.Int("layers", 0, "layers instead of the published number")
	seed := flags.Int64("seed", models.Seed, "what the weights are drawn from")
	weights := flags.String("type", "f16", "of the weights: "+strings.Join(llama.SynthTypes(), ", "))
	force := flags.Bool("force", false, "replace a file that is something else")
	vocab := flags.String("vocab-dir", vocabDir(), "folder of the tokenizer files ggml-vocab-*.gguf")
	flags.Lookup("vocab-dir").DefValue = "the engine's models folder"
	var names strings.Builder
	for _, a := range llama.SynthArchs() {
		fmt.Fprintf(&names, "  %-16s %s\n", a.Name, a.Description)
	}
	if err := parse(flags, "synth ARCH -o FILE [flags]\n\nArchitectures:\n"+strings.TrimRight(names.String(), "\n")+examples("synth llama-3.2-1b -o models/llama-3.2-1b.gguf", "synth llama-3.2-1b --type q4_k_m -o models/llama-3.2-1b-q4_k_m.gguf"), args, io.out); err != nil {
		return err
	}
	if flags.NArg() != 1 || *out == "" {
		return usagef("need one architecture and -o FILE; bench synth --help lists the architectures")
	}
	r, err := llama.Synth(ctx, flags.Arg(0), *out, llama.SynthOptions{Layers: *layers, Seed: *seed, Type: *weights, VocabDir: *vocab, Force: *force})
	if errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	verb := "wrote"
	if r.Reused {
		verb = "kept"
	}
	fmt.Fprintf(io.out, "%s %s: %d parameters in %d tensors, %.2f GB, synthetic weights (seed %d)\n", verb, r.Path, r.Params, r.Tensors, float64(r.Bytes)/1e9, *seed)
	for _, t := range r.Types {
		fmt.Fprintf(io.out, "  %-6s %4d tensors %8.1f MB", t.Type, t.Tensors, float64(t.Bytes)/1e6)
		if t.Fallback > 0 {
			fmt.Fprintf(io.out, "; %d of them because blocks of the type that %s has for them do not divide their rows", t.Fallback, *weights)
		}
		fmt.Fprintln(io.out)
	}
	return nil
}
