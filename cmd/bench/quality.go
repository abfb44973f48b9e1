package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/measure"
	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/wire"
)

// qualityResult is what `bench quality --json` prints. Likelihoods are in nats.
type qualityResult struct {
	Model      string           `json:"model"`
	FileType   string           `json:"file_type"`
	Synthetic  bool             `json:"synthetic"` // of the model or the reference
	KVTypeK    string           `json:"kv_type_k"`
	KVTypeV    string           `json:"kv_type_v"`
	Device     string           `json:"device"`
	Text       string           `json:"text"`
	TokenHash  string           `json:"token_hash"` // of the text
	Vocabulary string           `json:"vocabulary"`
	NCtx       int              `json:"n_ctx"`
	Chunks     int              `json:"chunks"`
	Scored     int              `json:"tokens_scored"`
	MeanNLL    float64          `json:"mean_nll"`
	Perplexity quality.Estimate `json:"perplexity"`

	Reference         string          `json:"reference,omitempty"`
	ReferenceFileType string          `json:"reference_file_type,omitempty"`
	Versus            *quality.Versus `json:"versus,omitempty"`
}

// qualityCommand measures in this very process, as probe does.
func qualityCommand(_ context.Context, args []string, std stdio) error {
	fs := pflag.NewFlagSet("quality", pflag.ContinueOnError)
	text := fs.String("text", "", "file of plain text to score")
	ctxTokens := fs.Int("ctx", 512, "tokens of a chunk, of which the second half is scored")
	chunks := fs.Int("chunks", 0, "how many chunks to score (default: all of the text)")
	kvType := fs.String("kv-type", "f16", "element type of the cache, e.g. q8_0; K/V for two, e.g. q8_0/f16")
	reference := fs.String("reference", "", "GGUF file to hold the model against, with an f16 cache; the model's own file shows what its cache type loses")
	device := fs.String("device", "cpu", "cpu or cuda")
	threads := fs.Int("threads", 0, "CPU threads (default: physical cores, or 1 with everything on a GPU)")
	synthetic := fs.Bool("allow-synthetic", false, "take random weights too, of which the numbers say nothing")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, "quality FILE --text FILE [flags]"+examples(
		"quality models/gpt2.gguf --text wiki.txt",
		"quality models/gpt2.gguf --text wiki.txt --kv-type q8_0 --reference models/gpt2.gguf",
		"quality models/gpt2-q4.gguf --text wiki.txt --reference models/gpt2.gguf --chunks 20 --json"), args, std.out); err != nil {
		return err
	}
	if fs.NArg() != 1 || *text == "" || *chunks < 0 || *threads < 0 {
		return usagef("need one model file, --text FILE and positive counts; see bench quality --help")
	}
	k, v, err := cacheTypes(*kvType)
	if err != nil {
		return err
	}
	q := wire.Quality{
		Model: wire.Scored{Path: fs.Arg(0), TypeK: k, TypeV: v},
		Text:  wire.QualityText{Path: *text, NCtx: *ctxTokens, AllowSynthetic: *synthetic},
	}
	files := []string{fs.Arg(0), *text}
	if *reference != "" {
		q.Reference = &wire.Scored{Path: *reference, TypeK: "f16", TypeV: "f16"}
		files = append(files, *reference)
	}
	if q.Engine, err = engineOn(*device, files...); err != nil {
		return err
	}
	q.Engine.Threads = *threads
	if err := engineHere(); err != nil {
		return err
	}
	s, err := measure.OpenScorer(q)
	if err != nil {
		return err
	}
	defer s.Close()
	result, err := scoreText(s, q, *chunks, std.err)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(result)
	}
	printQuality(result, std.out)
	return nil
}

// cacheTypes reads one type for K and V, or two with a slash between.
func cacheTypes(text string) (k, v string, err error) {
	k, v, two := strings.Cut(text, "/")
	if !two {
		v = k
	}
	for _, name := range []string{k, v} {
		if _, err := econ.ElemTypeNamed(name); err != nil {
			return "", "", usageError{err}
		}
	}
	return k, v, nil
}

// scoreText scores the first so many chunks of what was opened, or all, and says
// how far it is about every ten seconds.
func scoreText(s *measure.Scorer, q wire.Quality, chunks int, progress io.Writer) (*qualityResult, error) {
	about := s.About()
	if chunks > about.Chunks {
		return nil, usagef("--chunks %d: %s has %d of %d tokens", chunks, q.Text.Path, about.Chunks, q.Text.NCtx)
	}
	if chunks == 0 {
		chunks = about.Chunks
	}
	var tally quality.Tally
	start := time.Now()
	told := start
	for i := range chunks {
		reply, err := s.Chunk(i)
		if err != nil {
			return nil, err
		}
		tally.Merge(reply.Tally)
		if time.Since(told) > 10*time.Second && i+1 < chunks {
			told = time.Now()
			left := time.Since(start) / time.Duration(i+1) * time.Duration(chunks-i-1)
			fmt.Fprintf(progress, "[%d/%d] perplexity so far %.4f, about %v left\n", i+1, chunks, tally.Perplexity().Value, left.Round(time.Second))
		}
	}
	r := &qualityResult{
		Model: q.Model.Path, FileType: about.Info.FileType, Synthetic: about.Info.Synthetic,
		KVTypeK: q.Model.TypeK, KVTypeV: q.Model.TypeV, Device: about.Device,
		Text: q.Text.Path, TokenHash: about.TokenHash, Vocabulary: about.Vocabulary,
		NCtx: q.Text.NCtx, Chunks: chunks, Scored: tally.NLL.N, MeanNLL: tally.NLL.Mean,
		Perplexity: tally.Perplexity(), Versus: tally.Versus(),
	}
	if about.Reference != nil {
		r.Reference, r.ReferenceFileType = q.Reference.Path, about.Reference.FileType
		r.Synthetic = r.Synthetic || about.Reference.Synthetic
	}
	return r, nil
}

func printQuality(r *qualityResult, out io.Writer) {
	if r.Synthetic {
		fmt.Fprintln(out, "synthetic weights: these numbers show that the way works and say nothing of a model")
	}
	fmt.Fprintf(out, "%s (%s, K %s, V %s) on %s, %d tokens of %s in %d chunks of %d\n",
		r.Model, r.FileType, r.KVTypeK, r.KVTypeV, r.Device, r.Scored, r.Text, r.Chunks, r.NCtx)
	line := func(name, format string, e quality.Estimate, scale float64) {
		value := func(x float64) string { return fmt.Sprintf(format, scale*x) }
		fmt.Fprintf(out, "  %-22s %s, standard error %s, 95 %% from %s to %s\n", name, value(e.Value), value(e.SE), value(e.Low), value(e.High))
	}
	line("perplexity", "%.4f", r.Perplexity, 1)
	v := r.Versus
	if v == nil {
		return
	}
	fmt.Fprintf(out, "against %s (%s, K f16, V f16)\n", r.Reference, r.ReferenceFileType)
	line("its perplexity", "%.4f", v.Perplexity, 1)
	line("ratio of the two", "%.6f", v.Ratio, 1)
	line("difference", "%.6f", v.Delta, 1)
	line("KL divergence, nats", "%.6f", v.KL, 1)
	line("same top token, %", "%.3f", v.SameTop, 100)
}
