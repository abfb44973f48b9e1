package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/measure"
	"github.com/phasebench/phasebench/internal/wire"
)

// logitsResult is what `bench logits` prints about the file it wrote.
type logitsResult struct {
	Model     string `json:"model"`
	Device    string `json:"device"`
	Synthetic bool   `json:"synthetic"`
	Vocab     int    `json:"vocab"`     // float32 values of each position
	Positions int    `json:"positions"` // after the prompt, and after each token fed behind it
}

// logitsCommand writes down what the model makes of given tokens, by the same
// calls that the timed phases use. It measures nothing: it is there to check the
// engine against another implementation.
func logitsCommand(_ context.Context, args []string, io stdio) error {
	fs := pflag.NewFlagSet("logits", pflag.ContinueOnError)
	model := fs.String("model", "", "GGUF file")
	list := fs.String("tokens", "", "token ids to feed, separated by commas or spaces; @FILE reads them from a file")
	prefill := fs.Int("prefill", 1, "how many of them to evaluate in one call; the others follow one by one")
	device := fs.String("device", "cpu", "cpu or cuda")
	flash := fs.String("flash-attn", "on", "on, off or auto")
	out := fs.StringP("out", "o", "", "file to write: the logits of each position in turn, as little-endian float32")
	if err := parse(fs, "logits --model FILE --tokens IDS --out FILE [flags]"+examples("logits --model models/gpt2.gguf --tokens 15496,995 --out logits.f32"), args, io.out); err != nil {
		return err
	}
	if *model == "" || *out == "" || fs.NArg() > 0 {
		return usagef("need --model FILE, --tokens IDS and --out FILE; see bench logits --help")
	}
	tokens, err := tokenIDs(*list)
	if err != nil {
		return err
	}
	if *prefill < 1 || *prefill > len(tokens) {
		return usagef("--prefill %d: need 1 to %d, the number of tokens", *prefill, len(tokens))
	}
	engine, err := engineOn(*device, *model)
	if err != nil {
		return err
	}
	engine.FlashAttn, engine.Argmax = *flash, "host"
	s, opened, err := openHere(*model, engine)
	if err != nil {
		return err
	}
	defer s.Close()
	r := logitsResult{Model: *model, Device: opened.Device, Synthetic: opened.Info.Synthetic, Vocab: opened.Info.Vocab}
	spec := wire.ContextSpec{NCtx: len(tokens), Batch: 1, TypeK: "f16", TypeV: "f16"}
	if r.Positions, err = writeLogits(*out, s, spec, tokens[:*prefill], tokens[*prefill:]); err != nil {
		return err
	}
	return json.NewEncoder(io.out).Encode(r)
}

// writeLogits returns the number of positions it wrote.
func writeLogits(path string, s *measure.Session, spec wire.ContextSpec, prompt, rest []int32) (positions int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	err = s.Forced(spec, prompt, rest, func(logits []float32) error {
		positions++
		return binary.Write(w, binary.LittleEndian, logits)
	})
	return positions, errors.Join(err, w.Flush())
}

// tokenIDs reads the list of --tokens, or the file it names.
func tokenIDs(list string) ([]int32, error) {
	text := list
	if file, ok := strings.CutPrefix(list, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{fmt.Errorf("--tokens: %w", err)}
		}
		text = string(data)
	}
	var ids []int32
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		id, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return nil, usagef("--tokens: %q is no token id", word)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return nil, usagef("--tokens: need at least one token id")
	}
	return ids, nil
}
