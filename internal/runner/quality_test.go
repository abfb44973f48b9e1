package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/quality"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

type qualitiesOf struct {
	list []record.QualityRecord
	err  error
}

func (q *qualitiesOf) AppendQuality(r *record.QualityRecord) error {
	q.list = append(q.list, *r)
	return q.err
}

// scoredPlan is a plan of models with four caches on two backends of one device,
// and what a run of it left; the second backend measured three of them.
func scoredPlan(t *testing.T, q matrix.Quality) (*matrix.Plan, []record.Record) {
	s := spec()
	s.Backends = append(s.Backends, s.Backends[0])
	s.Backends[1].Name = "other"
	s.KVTypes = []matrix.KVType{{K: "q8_0", V: "q8_0"}, {K: "f16", V: "f16"}, {K: "q8_0", V: "f16"}, {K: "q4_0", V: "q4_0"}}
	s.Quality = &q
	plan := planOf(t, s)
	var rows []record.Record
	for _, m := range s.Models {
		for _, kv := range s.KVTypes {
			r := record.Record{Model: m.Name, Backend: s.Backends[0].Name, KVTypeK: kv.K, KVTypeV: kv.V, Status: record.StatusError}
			rows = append(rows, r)
			r.Backend, r.Status = "other", record.StatusOK
			if kv.K == "q4_0" {
				r.Status = record.StatusSkipped
			}
			rows = append(rows, r)
		}
	}
	return plan, rows
}

// chunkReply has one token in chunk n with the likelihood n, of a text of five.
func chunkReply(q wire.Quality) *wire.QualityReply {
	r := &wire.QualityReply{Info: wire.ModelInfo{FileType: "F16"}, Device: "Fake", Version: "v", Vocabulary: "w", TokenHash: "h", Tokens: 5 * q.Text.NCtx, Chunks: 5}
	r.Tally.NLL.Add(float64(q.Chunk))
	if q.Reference != nil {
		r.Reference, r.Tally.Reference = &wire.ModelInfo{}, &quality.Comparison{NLL: quality.Moments{N: 1}}
	}
	return r
}

func TestScoreQuality(t *testing.T) {
	plan, rows := scoredPlan(t, matrix.Quality{Text: "t.txt", Ctx: 64, Chunks: 3})
	e := newFake()
	var asked []string
	e.quality = func(q wire.Quality) (*wire.QualityReply, error) {
		of := "alone"
		if q.Reference != nil {
			of = q.Reference.TypeK + "-" + q.Reference.TypeV
		}
		asked = append(asked, fmt.Sprintf("%s-%s %s %d", q.Model.TypeK, q.Model.TypeV, of, q.Chunk))
		if q.Text.NCtx != 64 || !strings.HasSuffix(q.Text.Path, "t.txt") {
			t.Errorf("asked for %+v", q.Text)
		}
		return chunkReply(q), nil
	}
	var sink qualitiesOf
	run := func() error {
		return ScoreQuality(context.Background(), plan, QualityOptions{
			RunID: "r", Launcher: e, Rows: rows, Done: append([]record.QualityRecord(nil), sink.list...), Sink: &sink,
			Progress: func(string) {}, Note: func(text string) { t.Error(text) },
		})
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	models := len(plan.Spec.Models)
	if len(sink.list) != 3*models {
		t.Fatalf("%d records, want %d: %+v", len(sink.list), 3*models, sink.list)
	}
	want := []string{"q8_0-q8_0 f16-f16 0", "q8_0-q8_0 f16-f16 1", "q8_0-q8_0 f16-f16 2",
		"f16-f16 alone 0", "f16-f16 alone 1", "f16-f16 alone 2", "q8_0-f16 f16-f16 0", "q8_0-f16 f16-f16 1", "q8_0-f16 f16-f16 2"}
	if got := asked[:9]; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", got, want)
	}
	first := sink.list[0]
	if first.Backend != "other" || first.Status != record.StatusOK || first.Chunks != 3 || first.Tally.NLL.N != 3 || first.Tally.NLL.Mean != 1 ||
		first.Reference == nil || first.Reference.Model != first.Model || first.TokenHash != "h" || first.Vocabulary != "w" || first.FileType != "F16" {
		t.Errorf("record %+v", first)
	}
	if sink.list[1].Reference != nil {
		t.Errorf("the f16 cache has the reference %+v", sink.list[1].Reference)
	}
	launched := len(e.labels)
	if err := run(); err != nil || len(e.labels) != launched || len(sink.list) != 3*models {
		t.Errorf("what was done is done again: %v, %d records, %d workers", err, len(sink.list), len(e.labels)-launched)
	}
}

func TestScoreQualityNotDone(t *testing.T) {
	plan, rows := scoredPlan(t, matrix.Quality{Text: "t.txt", Ctx: 64})
	for i := range plan.Cells {
		plan.Cells[i].Model.Reference = "absent"
	}
	var notes []string
	var sink qualitiesOf
	e := newFake()
	opts := QualityOptions{Launcher: e, Rows: rows, Sink: &sink, Progress: func(string) {}, Note: func(text string) { notes = append(notes, text) }}
	check := func(what string, status record.Status, words string) {
		t.Helper()
		notes, sink.list = nil, nil
		if err := ScoreQuality(context.Background(), plan, opts); err != nil {
			t.Fatal(err)
		}
		if len(sink.list) != 3*len(plan.Spec.Models) || sink.list[0].Status != status || sink.list[0].Tally != nil || len(notes) == 0 || !strings.Contains(notes[0], words) {
			t.Errorf("%s: %q, %+v", what, notes, sink.list)
		}
	}
	check("a reference that is not there", record.StatusSkipped, "its reference absent is not part of this run")
	opts.Done = append([]record.QualityRecord(nil), sink.list...)
	if notes, sink.list = nil, nil; ScoreQuality(context.Background(), plan, opts) != nil || len(sink.list) > 0 || len(notes) > 0 {
		t.Errorf("the same reason is told again: %q, %+v", notes, sink.list)
	}
	opts.Done = nil
	for i := range plan.Cells {
		plan.Cells[i].Model.Reference = ""
	}
	e.quality = func(wire.Quality) (*wire.QualityReply, error) { return nil, &Death{Signal: "SIGKILL"} }
	check("a worker's death", record.StatusError, "SIGKILL")
	if e.live != 0 {
		t.Errorf("%d workers are left", e.live)
	}
	for i := range rows {
		rows[i].Synthetic = true
	}
	launched := len(e.labels)
	check("random weights", record.StatusSkipped, "synthetic weights")
	if len(e.labels) != launched {
		t.Error("a worker was started for random weights")
	}
	plan.Spec.Quality.AllowSynthetic = true
	e.quality = func(q wire.Quality) (*wire.QualityReply, error) { return chunkReply(q), nil }
	notes, sink.list, sink.err = nil, nil, errors.New("no space left")
	if err := ScoreQuality(context.Background(), plan, opts); !errors.Is(err, sink.err) || len(sink.list) != 1 {
		t.Errorf("a record that cannot be kept: %v, %+v", err, sink.list)
	}
}

// Ended between two chunks, a model has no record, and a later run scores it.
func TestScoreQualityStopped(t *testing.T) {
	plan, rows := scoredPlan(t, matrix.Quality{Text: "t.txt", Ctx: 64})
	e, stop := newFake(), make(chan struct{})
	e.quality = func(q wire.Quality) (*wire.QualityReply, error) {
		if q.Chunk == 2 {
			close(stop)
		}
		return chunkReply(q), nil
	}
	var sink qualitiesOf
	err := ScoreQuality(context.Background(), plan, QualityOptions{Launcher: e, Rows: rows, Sink: &sink, Stop: stop,
		Progress: func(string) {}, Note: func(text string) { t.Error(text) }})
	if err != nil || len(sink.list) != 0 || e.live != 0 {
		t.Errorf("stopped: %v, %+v, %d workers left", err, sink.list, e.live)
	}
}
