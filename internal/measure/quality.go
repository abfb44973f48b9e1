package measure

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Scorer asks a model, and a reference beside it, what they expect at each token
// of a text, chunk by chunk. It belongs to one goroutine, which must be locked to
// its thread.
type Scorer struct {
	asked     wire.Quality
	about     wire.QualityReply // without a tally
	tokens    []int32           // of the text
	bos       *int32
	model     *llama.Model
	other     *llama.Model // that of the reference; nil when it is the same file, or there is none
	own       *llama.Context
	reference *llama.Context // nil without one
}

// callTokens is how many tokens of a chunk are evaluated in one call, unless the
// backend says otherwise: as many as llama.cpp's tool computes at once. It bounds
// the logits that are held, of which there are some 600 kB for each token.
const callTokens = 512

// OpenScorer loads what is asked for and cuts the text. It fails with
// llama.ErrBadInput when the text cannot be read or is shorter than a chunk, when
// a chunk is longer than the models have positions for, when the tokens of the
// two do not mean the same, and for synthetic weights that were not allowed.
func OpenScorer(q wire.Quality) (*Scorer, error) {
	s := &Scorer{asked: q}
	s.asked.Chunk = 0
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// serves reports whether q asks for a chunk of what is open.
func (s *Scorer) serves(q wire.Quality) bool {
	q.Chunk = 0
	return reflect.DeepEqual(q, s.asked)
}

// Close frees contexts and models.
func (s *Scorer) Close() error {
	var errs []error
	for _, c := range []*llama.Context{s.own, s.reference} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	for _, m := range []*llama.Model{s.model, s.other} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Scorer) open() (err error) {
	q := s.asked
	text, err := readText(q.Text.Path)
	if err != nil {
		return err
	}
	if q.Text.NCtx < 8 {
		return refuse("chunks of %d tokens: need at least 8, of which the second half is scored", q.Text.NCtx)
	}
	device, err := pickDevice(q.Engine.Device)
	if err != nil {
		return err
	}
	if s.model, err = s.load(q.Model); err != nil {
		return err
	}
	info := s.model.Info()
	if q.Text.NCtx > info.CtxTrain {
		return refuse("chunks of %d tokens: %s has positions for %d", q.Text.NCtx, q.Model.Path, info.CtxTrain)
	}
	s.about = wire.QualityReply{Info: modelInfo(info), Device: device.Description, Threads: threads(q.Engine), Version: llama.Version()}
	v, err := s.model.Vocabulary()
	if err != nil {
		return err
	}
	if v.AddsEOS {
		return refuse("%s puts a token behind every text, for which the method is not made", q.Model.Path)
	}
	s.bos = v.BOS
	if s.tokens, err = s.model.Tokenize(text); err != nil {
		return err
	}
	s.about.Vocabulary, s.about.TokenHash = v.Hash, prompt.Hash(s.tokens)
	s.about.Tokens, s.about.Chunks = len(s.tokens), len(s.tokens)/q.Text.NCtx
	if s.about.Chunks == 0 {
		return refuse("%s has %d tokens, less than one chunk of %d: give a longer text or a smaller context", q.Text.Path, len(s.tokens), q.Text.NCtx)
	}
	if s.own, err = s.context(s.model, q.Model); err != nil || q.Reference == nil {
		return err
	}
	of := s.model
	if q.Reference.Path != q.Model.Path {
		if s.other, err = s.load(*q.Reference); err != nil {
			return err
		}
		if err := s.sameTokens(text, v); err != nil {
			return err
		}
		of = s.other
	}
	ref := modelInfo(of.Info())
	s.about.Reference = &ref
	s.reference, err = s.context(of, *q.Reference)
	return err
}

// refused is what a caller asked for and cannot have, in words for them.
type refused string

func (e refused) Error() string { return string(e) }

// Unwrap returns the kind of error.
func (refused) Unwrap() error { return llama.ErrBadInput }

func refuse(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// readText returns what is in a file, less one line break at its end, which
// llama.cpp's tool takes off too.
func readText(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", refuse("the text cannot be read: %v", err)
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}

func (s *Scorer) load(of wire.Scored) (*llama.Model, error) {
	params, _, err := modelParams(of.Path, s.asked.Engine)
	if err != nil {
		return nil, err
	}
	m, err := llama.Load(params)
	if err == nil && m.Info().Synthetic && !s.asked.Text.AllowSynthetic {
		err = errors.Join(refuse("%s has synthetic weights: what random numbers make of a text says nothing of a model. Give a file with trained weights, or --allow-synthetic (in a matrix allow_synthetic) to try the way there", of.Path), m.Close())
	}
	return m, err
}

// context returns one for a chunk, whose second half has logits.
func (s *Scorer) context(m *llama.Model, of wire.Scored) (*llama.Context, error) {
	n := s.asked.Text.NCtx
	p, err := contextParams(wire.ContextSpec{NCtx: n, Batch: 1, TypeK: of.TypeK, TypeV: of.TypeV}, s.asked.Engine)
	if err != nil {
		return nil, err
	}
	p.HostArgmax = true
	p.NBatch = min(cmp.Or(p.NBatch, callTokens), n)
	p.Outputs = min(p.NBatch, n-n/2)
	return m.NewContext(p)
}

// sameTokens refuses a reference that reads the text as other tokens.
func (s *Scorer) sameTokens(text string, v llama.Vocabulary) error {
	ref, err := s.other.Vocabulary()
	if err != nil {
		return err
	}
	tokens, err := s.other.Tokenize(text)
	if err != nil {
		return err
	}
	if ref.Hash != v.Hash || !slices.Equal(tokens, s.tokens) {
		return refuse("the tokenizers of %s and %s differ, so that their tokens cannot be compared: name a reference of the same family", s.asked.Model.Path, s.asked.Reference.Path)
	}
	return nil
}

// About says what was opened; its tally is empty.
func (s *Scorer) About() wire.QualityReply { return s.about }

// Chunk evaluates a chunk, 0-based, with empty caches, and tallies the tokens of
// its second half.
func (s *Scorer) Chunk(i int) (*wire.QualityReply, error) {
	if i < 0 || i >= s.about.Chunks {
		return nil, refuse("chunk %d of %d", i, s.about.Chunks)
	}
	n := s.asked.Text.NCtx
	text := s.tokens[i*n : (i+1)*n]
	chunk := slices.Clone(text)
	if s.bos != nil {
		chunk[0] = *s.bos // as at the start of a text, which it is to the model
	}
	s.own.Clear()
	if s.reference != nil {
		s.reference.Clear()
	}
	out := s.about
	step := s.own.Params().NBatch
	for from := 0; from < n; from += step {
		to := min(from+step, n)
		first := max(from, min(n/2, to)) // that has logits, which are for the token after it
		t, err := s.score(chunk[from:to], to-first, text[min(first+1, n):min(to+1, n)])
		if err != nil {
			return nil, err
		}
		out.Tally.Merge(t)
	}
	return &out, nil
}

// score evaluates tokens, of which the last ones have outputs, and tallies those
// that follow. The last of a chunk has none that follows.
func (s *Scorer) score(tokens []int32, outputs int, next []int32) (quality.Tally, error) {
	logits, err := s.own.Score(tokens, outputs)
	if err != nil {
		return quality.Tally{}, err
	}
	var reference []float32
	if s.reference != nil {
		if reference, err = s.reference.Score(tokens, outputs); err != nil {
			return quality.Tally{}, err
		}
		reference = reference[:len(next)*s.about.Info.Vocab]
	}
	return quality.Score(logits[:len(next)*s.about.Info.Vocab], reference, next)
}
