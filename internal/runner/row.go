package runner

import (
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// newRow returns a row that says what was asked, and nothing yet of how it
// ended.
func (r *run) newRow(c *CellCheck, launch, rep int, warmup bool) *record.Record {
	e := engine(c.Backend)
	return &record.Record{
		Timestamp:  time.Now().UTC(),
		RunID:      r.RunID,
		CellID:     c.ID,
		Place:      r.Place,
		Model:      c.Model.Name,
		Backend:    c.Backend.Name,
		Scenario:   c.Scenario.Name,
		Launch:     launch,
		Rep:        rep,
		Warmup:     warmup,
		Batch:      c.Batch,
		KVUnified:  e.KVUnified && c.Batch > 1,
		KVTypeK:    c.KV.K,
		KVTypeV:    c.KV.V,
		DecodeMode: c.Scenario.Decode,
		Seed:       c.Seed,
		DeviceKind: deviceKind(c.Backend),
		EngineEnv:  c.Backend.EngineEnv(),
		Threads:    e.Threads,
		NBatch:     e.NBatch,
		NUbatch:    e.NUbatch,
		FlashAttn:  e.FlashAttn,
		GPULayers:  e.GPULayers,
		Graphs:     c.Backend.Graphs,
		Mmap:       &e.Mmap,
		Argmax:     e.Argmax,
		Warnings:   append([]string(nil), c.Warnings...),
	}
}

// row returns the question for a row of the cell.
func (c *CellCheck) row() wire.Row {
	return wire.Row{
		Context:      c.Context,
		PromptTokens: c.PromptTokens,
		GenTokens:    c.Scenario.GenTokens,
		DecodeMode:   c.Scenario.Decode,
		Seed:         c.Seed,
	}
}

// describe adds what is known since the model is open, and what the row is
// measured beside. The one-time costs and the model's shape go on the first row
// of the worker.
func (s *session) describe(rec *record.Record) {
	o := s.opened
	rec.Device, rec.Threads, rec.EngineVersion = o.Device, o.Threads, o.Version
	rec.Synthetic = o.Info.Synthetic
	if rec.DeviceKind == "cpu" {
		rec.AssumedCPUW = s.plan.Spec.Energy.AssumedCPUW
	}
	if len(s.beside) > 0 {
		rec.Warnings = append(rec.Warnings, computes(s.beside))
	}
	if s.fresh {
		s.fresh = false
		rec.LoadMs = &o.LoadMs
		rec.ModelInfo = shape(o.Info)
	}
}

// shape is what rows keep of a model's description.
func shape(i wire.ModelInfo) *record.ModelInfo {
	return &record.ModelInfo{
		Arch: i.Arch, Layers: i.Layers, Heads: i.Heads, KVHeads: i.KVHeads,
		HeadDimK: i.HeadDimK, HeadDimV: i.HeadDimV, CtxTrain: i.CtxTrain,
		Params: i.Params, FileType: i.FileType,
		ReadBytes: i.ReadBytes, BodyParams: i.BodyParams, HeadParams: i.HeadParams,
		CostUnknown: i.CostUnknown, KVIrregular: i.KVIrregular,
	}
}

// fill makes rec the ok row that a reply tells of, or says why the reply
// cannot be one.
func fill(rec *record.Record, c *CellCheck, a *wire.RowReply) error {
	if err := consistent(a); err != nil {
		return err
	}
	rec.Status = record.StatusOK
	rec.PromptTokens, rec.GenTokens = a.PromptTokens, a.GenTokens
	rec.PromptHash, rec.TokenHash = a.PromptHash, a.TokenHash
	if a.PromptTokens != c.PromptTokens || a.GenTokens != c.Scenario.GenTokens {
		rec.Warnings = append(rec.Warnings, fmt.Sprintf("asked for %d+%d tokens, the worker did %d+%d",
			c.PromptTokens, c.Scenario.GenTokens, a.PromptTokens, a.GenTokens))
	}

	end := a.StepEndNs[len(a.StepEndNs)-1]
	rec.StartNs = a.StartNs
	rec.PrefillMs = msBetween(a.StartNs, a.PrefillEndNs)
	rec.DecodeMs = msBetween(a.PrefillEndNs, end)
	rec.TotalMs = msBetween(a.StartNs, end)
	last := a.PrefillEndNs
	for _, ns := range a.StepEndNs {
		rec.StepMs = append(rec.StepMs, *msBetween(last, ns))
		last = ns
	}
	rec.Rates = batchRates(rec)
	rec.PrefillCudaMs, rec.DecodeCudaMs = a.PrefillCudaMs, a.DecodeCudaMs
	rec.PrefillCudaBusyMs, rec.StepCudaMs = a.PrefillBusyMs, a.StepCudaMs

	rec.ContextMs = a.ContextMs
	rec.KVUsedBytes = known(a.KVUsedBytes)
	rec.KVAllocBytes = known(a.KVAllocBytes)
	rec.WeightsBytes = known(a.WeightsBytes)
	rec.ComputeBytes = known(a.ComputeBytes)
	rec.EngineGPUBytes = known(a.EngineGPUBytes)
	rec.HostPeakRSSBytes = known(a.HostPeakRSSBytes)
	rec.HostRSSBytes = known(a.HostRSSBytes)
	rec.NCtx, rec.NBatch, rec.NUbatch = a.NCtx, a.NBatch, a.NUbatch
	rec.Warnings = append(rec.Warnings, a.Warnings...)
	return nil
}

// batchRates returns what the times of an ok row mean; nil for one sequence.
func batchRates(rec *record.Record) *record.BatchRates {
	if rec.Batch < 2 {
		return nil
	}
	prefill := float64(rec.PromptTokens) / *rec.PrefillMs * 1e3
	decode := float64(rec.GenTokens) / *rec.DecodeMs * 1e3
	return &record.BatchRates{
		PrefillTokS: float64(rec.Batch) * prefill, DecodeTokS: float64(rec.Batch) * decode,
		PrefillTokSPerSeq: prefill, DecodeTokSPerSeq: decode,
		TTFTMs: *rec.PrefillMs, TPOTMs: *rec.DecodeMs / float64(rec.GenTokens),
	}
}

// consistent reports whether a reply's times can be what they are said to be.
func consistent(a *wire.RowReply) error {
	if a.PromptTokens < 1 || a.GenTokens < 1 || len(a.StepEndNs) != a.GenTokens {
		return nonsense("%d prompt tokens, %d generated in %d timed steps", a.PromptTokens, a.GenTokens, len(a.StepEndNs))
	}
	if n := len(a.StepCudaMs); n != 0 && n != a.GenTokens {
		return nonsense("%d generated tokens, %d steps timed on the device", a.GenTokens, n)
	}
	if a.PrefillEndNs <= a.StartNs {
		return nonsense("prefill ended at %d ns, having started at %d ns", a.PrefillEndNs, a.StartNs)
	}
	last := a.PrefillEndNs
	for i, ns := range a.StepEndNs {
		if ns <= last {
			return nonsense("decode step %d ended at %d ns, the one before at %d ns", i, ns, last)
		}
		last = ns
	}
	return nil
}

func nonsense(format string, args ...any) error {
	return refusal{"engine", "the worker's reply makes no sense: " + fmt.Sprintf(format, args...)}
}

func span(pid int, a *wire.RowReply) Span {
	return Span{pid, a.StartNs, a.PrefillEndNs, a.StepEndNs[len(a.StepEndNs)-1]}
}

func msBetween(startNs, endNs int64) *float64 {
	v := float64(endNs-startNs) / 1e6
	return &v
}

// known returns a number of bytes that cannot be 0 once it was measured, or
// nil.
func known(bytes int64) *int64 {
	if bytes <= 0 {
		return nil
	}
	return &bytes
}
