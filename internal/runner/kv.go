package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// KVLengths are the tokens a cache is filled to, as in TR123 8.2.
var KVLengths = []int{64, 128, 256, 512, 1024, 2048}

// KVLimit is how long a worker may take to fill all caches of one model.
const KVLimit = time.Hour

// KVOptions says how to look into the caches of a run's models.
type KVOptions struct {
	Place    record.Place // that points carry
	Launcher Launcher
	Rows     []record.Record   // of the run: only models with an ok row are looked at
	Done     []record.KVRecord // points that are there already
	Sink     KVSink
	Looking  func()            // is called before each cache is filled
	Note     func(text string) // is told what could not be inspected
	Stop     <-chan struct{}   // closed to end between two models; may be nil
}

// KVSink keeps points. A *record.Store is one.
type KVSink interface {
	AppendKV(r *record.KVRecord) error
}

// cache is a model with a type of its KV cache.
type cache struct {
	model string
	kv    matrix.KVType
}

// cacheOn is a cache on a backend.
type cacheOn struct {
	cache
	backend string
}

// measuredCaches returns what some row was measured with, each with its first ok row.
func measuredCaches(rows []record.Record) map[cacheOn]*record.Record {
	measured := map[cacheOn]*record.Record{}
	for i := range rows {
		r := &rows[i]
		k := cacheOn{cache{r.Model, matrix.KVType{K: r.KVTypeK, V: r.KVTypeV}}, r.Backend}
		if r.Status == record.StatusOK && measured[k] == nil {
			measured[k] = r
		}
	}
	return measured
}

// InspectKV fills the cache of each model of a plan to the KVLengths, with each
// kv type on the first backend that measured it, and keeps what was found. A model
// that cannot be inspected is told and left out; the error is for points that could
// not be kept, and for the end of ctx.
func InspectKV(ctx context.Context, plan *matrix.Plan, opts KVOptions) error {
	measured := measuredCaches(opts.Rows)
	done := map[cache]map[int]bool{}
	for i := range opts.Done {
		r := &opts.Done[i]
		k := cache{r.Model, matrix.KVType{K: r.KVTypeK, V: r.KVTypeV}}
		if done[k] == nil {
			done[k] = map[int]bool{}
		}
		done[k][r.Asked] = true
	}
	asked := map[cache]bool{}
	for _, c := range plan.Cells {
		k := cache{c.Model.Name, c.KV}
		if asked[k] || measured[cacheOn{k, c.Backend.Name}] == nil {
			continue
		}
		asked[k] = true
		var lengths []int
		for _, n := range KVLengths {
			if !done[k][n] {
				lengths = append(lengths, n)
			}
		}
		select {
		case <-opts.Stop:
			return nil
		default:
		}
		if len(lengths) == 0 {
			continue
		}
		opts.Looking()
		err := inspectKV(ctx, c, lengths, opts)
		var kept *keepError
		if errors.As(err, &kept) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			opts.Note(fmt.Sprintf("KV cache of %s on %s not inspected: %v", c.Model.Name, c.Backend.Name, err))
		}
	}
	return nil
}

// keepError is a point that was measured and could not be kept.
type keepError struct{ error }

func (e *keepError) Unwrap() error { return e.error }

func inspectKV(ctx context.Context, c matrix.Cell, lengths []int, opts KVOptions) error {
	q := wire.KV{ModelPath: c.Model.Path, Engine: engine(c.Backend), TypeK: c.KV.K, TypeV: c.KV.V, Lengths: lengths, Seed: c.Seed}
	spec := LaunchSpec{Label: "kv " + c.Model.Name + " on " + c.Backend.Name, Env: c.Backend.EngineEnv()}
	reply, err := Ask(ctx, opts.Launcher, spec, wire.Request{KV: &q}, KVLimit)
	if err != nil {
		return err
	}
	for _, p := range reply.KV.Points {
		info := reply.KV.Info
		r := record.KVRecord{
			Model: c.Model.Name, Backend: c.Backend.Name, Synthetic: info.Synthetic, Device: reply.KV.Device, Place: opts.Place,
			KVTypeK: c.KV.K, KVTypeV: c.KV.V,
			Asked: p.Asked, Tokens: p.Tokens, PrefillTokens: p.PrefillTokens,
			PrefillUsedBytes: p.PrefillUsedBytes, UsedBytes: p.UsedBytes, ClearedUsedBytes: p.ClearedUsedBytes,
			AllocBytes: p.AllocBytes, NCtx: p.NCtx,
			GPUUsedBytes: p.GPUUsedBytes, GPUUsedAfterBytes: p.GPUUsedAfterBytes,
			HostRSSBytes: p.HostRSSBytes, HostRSSAfterBytes: p.HostRSSAfterBytes,
			WeightsBytes: info.WeightsBytes, ModelInfo: shape(info),
		}
		if err := opts.Sink.AppendKV(&r); err != nil {
			return &keepError{err}
		}
	}
	return nil
}
