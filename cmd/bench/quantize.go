package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/llama"
)

func quantizeCommand(ctx context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("quantize", pflag.ContinueOnError)
	weights := flags.String("type", "", "of the weights: "+strings.Join(llama.SynthTypes()[1:], ", "))
	out := flags.StringP("out", "o", "", "file to write, e.g. models/gpt2-q8_0.gguf")
	force := flags.Bool("force", false, "replace a file that is there")
	if err := parse(flags, "quantize FILE --type TYPE -o FILE [flags]"+examples("quantize models/llama-3.2-1b-f16.gguf --type q4_k_m -o models/llama-3.2-1b-q4_k_m.gguf"), args, io.out); err != nil {
		return err
	}
	if flags.NArg() != 1 || *weights == "" || *out == "" {
		return usagef("need one F16 file, --type TYPE and -o FILE; bench quantize --help lists the types")
	}
	err := llama.Quantize(ctx, flags.Arg(0), *out, *weights, *force)
	if errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	before, err := os.Stat(flags.Arg(0))
	if err != nil {
		return err
	}
	after, err := os.Stat(*out)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.out, "wrote %s: %.2f GB in %s, of %.2f GB\n", *out, float64(after.Size())/1e9, *weights, float64(before.Size())/1e9)
	return nil
}
