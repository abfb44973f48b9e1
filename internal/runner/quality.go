package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// QualityLimit is how long a worker may take to load what is scored and to
// evaluate a chunk of the text.
const QualityLimit = time.Hour

// QualityOptions says how to score the models of a run.
type QualityOptions struct {
	RunID    string
	Place    record.Place // that records carry
	Launcher Launcher
	Rows     []record.Record        // of the run: only models with an ok row are scored
	Done     []record.QualityRecord // what is there already
	Sink     QualitySink
	Progress func(text string) // is told what is being scored, and how far it is
	Note     func(text string) // is told what was not scored
	Stop     <-chan struct{}   // closed to end after the chunk at hand; may be nil
}

// QualitySink keeps records. A *record.Store is one.
type QualitySink interface {
	AppendQuality(r *record.QualityRecord) error
}

// ScoreQuality scores each model of a plan on the text of its matrix, with each
// kv type and on each kind of device, on the first backend that measured it
// there. What is at hand when Stop or ctx end it is lost, and done by a resumed
// run. The error is for records that could not be kept, and for the end of ctx; a
// model that cannot be scored is a record that says why.
func ScoreQuality(ctx context.Context, plan *matrix.Plan, opts QualityOptions) error {
	if plan.Spec.Quality == nil {
		return nil
	}
	s := scoring{opts, plan, map[record.QualityKey]record.QualityRecord{}}
	for _, r := range opts.Done {
		s.ended[r.Key()] = r
	}
	measured := measuredCaches(opts.Rows)
	seen := map[record.QualityKey]bool{}
	for _, c := range plan.Cells {
		row := measured[cacheOn{cache{c.Model.Name, c.KV}, c.Backend.Name}]
		rec := s.record(c)
		if row == nil || seen[rec.Key()] {
			continue
		}
		seen[rec.Key()] = true
		if was, ok := s.ended[rec.Key()]; ok && was.Status == record.StatusOK {
			continue
		}
		if stopped(ctx, opts.Stop) {
			return ctx.Err()
		}
		if err := s.score(ctx, c, row, rec); errors.Is(err, errStopped) {
			return ctx.Err()
		} else if err != nil {
			return err
		}
	}
	return nil
}

type scoring struct {
	QualityOptions
	plan  *matrix.Plan
	ended map[record.QualityKey]record.QualityRecord
}

func (s *scoring) record(c matrix.Cell) *record.QualityRecord {
	q := s.plan.Spec.Quality
	return &record.QualityRecord{
		Timestamp: time.Now().UTC(), RunID: s.RunID, Place: s.Place,
		Model: c.Model.Name, Backend: c.Backend.Name, DeviceKind: deviceKind(c.Backend), KVTypeK: c.KV.K, KVTypeV: c.KV.V,
		Text: q.Text, NCtx: q.Ctx,
	}
}

// score keeps what comes out for one cache of one model.
func (s *scoring) score(ctx context.Context, c matrix.Cell, row *record.Record, rec *record.QualityRecord) error {
	reference, err := s.reference(c)
	switch {
	case row.Synthetic && !s.plan.Spec.Quality.AllowSynthetic:
		rec.Synthetic, rec.Status, rec.Reason = true, record.StatusSkipped, "synthetic weights, of which a text says nothing (quality: allow_synthetic would score them all the same)"
	case err != nil:
		rec.Status, rec.Reason = record.StatusSkipped, err.Error()
	default:
		if err := s.ask(ctx, c, reference, rec); errors.Is(err, errStopped) || ctx.Err() != nil {
			return errStopped
		} else if err != nil {
			rec.Status, rec.Error, rec.Tally = record.StatusError, failure(err, "scoring"), nil
		}
	}
	what := fmt.Sprintf("quality of %s with a %s cache on %s", rec.Model, c.KV, rec.Backend)
	switch rec.Status {
	case record.StatusSkipped:
		if was := s.ended[rec.Key()]; was.Status == rec.Status && was.Reason == rec.Reason {
			return nil // the same answer as last time needs no second record
		}
		s.Note(what + " skipped: " + rec.Reason)
	case record.StatusError:
		s.Note(what + " not measured: " + rec.Error.Message)
	}
	return s.Sink.AppendQuality(rec)
}

// reference returns what a model is held against: the reference that the matrix
// names for it, else its own f16 cache, if the plan has that and this is another;
// nil for none.
func (s *scoring) reference(c matrix.Cell) (*matrix.Cell, error) {
	f16 := matrix.KVType{K: "f16", V: "f16"}
	name := c.Model.Reference
	if name == "" {
		if name = c.Model.Name; c.KV == f16 {
			return nil, nil
		}
	}
	i := slices.IndexFunc(s.plan.Cells, func(r matrix.Cell) bool { return r.Model.Name == name && (r.KV == f16 || name != c.Model.Name) })
	switch {
	case i >= 0:
		r := s.plan.Cells[i]
		r.KV = f16
		return &r, nil
	case name != c.Model.Name:
		return nil, fmt.Errorf("its reference %s is not part of this run", name)
	}
	return nil, nil
}

// ask has a worker score the text, chunk by chunk.
func (s *scoring) ask(ctx context.Context, c matrix.Cell, reference *matrix.Cell, rec *record.QualityRecord) error {
	asked := s.plan.Spec.Quality
	q := wire.Quality{
		Engine: engine(c.Backend),
		Model:  wire.Scored{Path: c.Model.Path, TypeK: c.KV.K, TypeV: c.KV.V},
		Text:   wire.QualityText{Path: s.plan.Spec.QualityText(), NCtx: asked.Ctx, AllowSynthetic: asked.AllowSynthetic},
	}
	if reference != nil {
		q.Reference = &wire.Scored{Path: reference.Model.Path, TypeK: reference.KV.K, TypeV: reference.KV.V}
		rec.Reference = &record.QualityReference{Model: reference.Model.Name, KVTypeK: reference.KV.K, KVTypeV: reference.KV.V}
	}
	w, err := s.Launcher.Launch(LaunchSpec{Label: "quality of " + c.Model.Name + " on " + c.Backend.Name, Env: c.Backend.EngineEnv()})
	if err != nil {
		return err
	}
	defer w.Close()
	s.Progress(fmt.Sprintf("scoring %s with a %s cache on %s", c.Model.Name, c.KV, c.Backend.Name))
	var total quality.Tally
	told := time.Now()
	for chunks := 1; q.Chunk < chunks; q.Chunk++ {
		if stopped(ctx, s.Stop) {
			return errStopped
		}
		reply, err := call(ctx, w, wire.Request{Quality: &q}, QualityLimit)
		if err != nil {
			return err
		}
		r := reply.Quality
		total.Merge(r.Tally)
		chunks = r.Chunks
		if asked.Chunks > 0 {
			chunks = min(chunks, asked.Chunks)
		}
		if q.Chunk == 0 {
			rec.Device, rec.EngineVersion, rec.FileType = r.Device, r.Version, r.Info.FileType
			rec.TokenHash, rec.Vocabulary, rec.Chunks = r.TokenHash, r.Vocabulary, chunks
			rec.Synthetic = r.Info.Synthetic || r.Reference != nil && r.Reference.Synthetic
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			s.Progress(fmt.Sprintf("chunk %d of %d", q.Chunk+1, chunks))
		}
	}
	rec.Status, rec.Tally = record.StatusOK, &total
	return nil
}
