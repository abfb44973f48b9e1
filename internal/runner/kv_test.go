package runner

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

type pointsOf struct {
	list []record.KVRecord
	err  error
}

func (p *pointsOf) AppendKV(r *record.KVRecord) error {
	p.list = append(p.list, *r)
	return p.err
}

func TestInspectKV(t *testing.T) {
	s := spec()
	s.Backends = append(s.Backends, s.Backends[0])
	s.Backends[1].Name = "other"
	s.KVTypes = append(s.KVTypes, matrix.KVType{K: "q8_0", V: "f16"})
	plan := planOf(t, s)
	first := plan.Cells[0]
	last := plan.Cells[len(plan.Cells)-1]
	ok := record.Record{Model: first.Model.Name, Backend: last.Backend.Name, KVTypeK: "f16", KVTypeV: "f16", Status: record.StatusOK}
	mixed := ok
	mixed.KVTypeK = "q8_0"
	failed := ok
	failed.Backend, failed.Status = first.Backend.Name, record.StatusError

	e := newFake()
	e.kv = func(q wire.KV) (*wire.KVReply, error) {
		r := &wire.KVReply{Info: wire.ModelInfo{Layers: 2, WeightsBytes: 7}}
		for _, n := range q.Lengths {
			r.Points = append(r.Points, wire.KVPoint{Asked: n, Tokens: n})
		}
		return r, nil
	}
	var sink pointsOf
	looked := 0
	run := func() error {
		return InspectKV(context.Background(), plan, KVOptions{
			Launcher: e, Rows: []record.Record{failed, ok, mixed}, Done: append([]record.KVRecord(nil), sink.list...), Sink: &sink,
			Looking: func() { looked++ },
			Note:    func(text string) { t.Error(text) },
		})
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	want := len(KVLengths) * len(s.KVTypes)
	if len(sink.list) != want || sink.list[0].Backend != last.Backend.Name || sink.list[0].ModelInfo.Layers != 2 || sink.list[0].WeightsBytes != 7 {
		t.Fatalf("%d points, want %d: %+v", len(sink.list), want, sink.list)
	}
	launched := len(e.labels)
	if looked != len(s.KVTypes) {
		t.Errorf("told of %d caches, want %d", looked, len(s.KVTypes))
	}
	if err := run(); err != nil || len(e.labels) != launched || looked != len(s.KVTypes) || len(sink.list) != want {
		t.Errorf("what was done is done again: %v, %d points, %d workers", err, len(sink.list), len(e.labels)-launched)
	}
}

func TestInspectKVFailures(t *testing.T) {
	plan := planOf(t, spec())
	c := plan.Cells[0]
	opts := KVOptions{Rows: []record.Record{{Model: c.Model.Name, Backend: c.Backend.Name, KVTypeK: c.KV.K, KVTypeV: c.KV.V, Status: record.StatusOK}}}
	var notes []string
	opts.Looking, opts.Note = func() {}, func(text string) { notes = append(notes, text) }

	e := newFake()
	opts.Launcher, opts.Sink = e, &pointsOf{}
	e.kv = func(wire.KV) (*wire.KVReply, error) { return nil, &Death{Signal: "SIGKILL"} }
	if err := InspectKV(context.Background(), plan, opts); err != nil || len(notes) == 0 || !strings.Contains(notes[0], "SIGKILL") {
		t.Errorf("a worker's death: %v, notes %q", err, notes)
	}

	full := errors.New("no space left")
	e = newFake()
	opts.Launcher, opts.Sink = e, &pointsOf{err: full}
	e.kv = func(wire.KV) (*wire.KVReply, error) {
		return &wire.KVReply{Points: []wire.KVPoint{{Asked: 64, Tokens: 64}}}, nil
	}
	if err := InspectKV(context.Background(), plan, opts); !errors.Is(err, full) {
		t.Errorf("a point that cannot be kept: %v", err)
	}
}
