package analyze

import (
	"errors"
	"slices"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// KV compares the cache payload of a group with the formula.
type KV struct {
	Key
	Positions    int    // prompt + generated tokens of each sequence in the cache after decode
	UsedBytes    int64  // K and V payload of all sequences, as the engine holds it
	AllocBytes   *int64 // reserved for K and V, all sequences
	FormulaBytes *int64 // econ.KVBytes; nil when the model's shape is not known
	Exact        *bool  // UsedBytes = FormulaBytes; nil with FormulaBytes
}

// PaddingBytes returns what is reserved beyond the payload; nil when the
// reservation is not known.
func (k KV) PaddingBytes() *int64 {
	if k.AllocBytes == nil {
		return nil
	}
	p := *k.AllocBytes - k.UsedBytes
	return &p
}

// Model is what is known of a model besides its speed.
type Model struct {
	Name         string
	Info         *record.ModelInfo // nil when no row carries it
	WeightsBytes *int64            // of the file; as loaded when no KV point tells
	Workspace    *int64            // work buffers of the engine, the largest seen
	KVTypes      [][2]string       // of the caches measured, K and V
	Device       string            // that it was measured on first
}

// models collects what rows and KV points say about each model, in order of
// the groups.
func models(groups []*Group, rows []record.Record, points []record.KVRecord) []*Model {
	var out []*Model
	byName := map[string]*Model{}
	for _, g := range groups {
		m := byName[g.Model]
		if m == nil {
			m = &Model{Name: g.Model, Device: g.Device}
			byName[g.Model] = m
			out = append(out, m)
		}
		if kv := [2]string{g.KVTypeK, g.KVTypeV}; !slices.Contains(m.KVTypes, kv) {
			m.KVTypes = append(m.KVTypes, kv)
		}
	}
	for i := range points {
		if m := byName[points[i].Model]; m != nil {
			m.Info, m.WeightsBytes = points[i].ModelInfo, &points[i].WeightsBytes
		}
	}
	for i := range rows {
		r := &rows[i]
		m := byName[r.Model]
		if m == nil {
			continue
		}
		if m.Info == nil {
			m.Info = r.ModelInfo
		}
		if m.WeightsBytes == nil {
			m.WeightsBytes = r.WeightsBytes
		}
		if r.ComputeBytes != nil && (m.Workspace == nil || *r.ComputeBytes > *m.Workspace) {
			m.Workspace = r.ComputeBytes
		}
	}
	return out
}

// kvRows returns a row for each cached group that has its payload.
func kvRows(groups []*Group, models []*Model, w *warnings) []KV {
	infos := map[string]*record.ModelInfo{}
	for _, m := range models {
		infos[m.Name] = m.Info
	}
	var out []KV
	for _, g := range groups {
		first := g.Rows[0]
		if g.DecodeMode == "uncached" || first.KVUsedBytes == nil {
			continue
		}
		for _, r := range g.Rows {
			if r.KVUsedBytes != nil && *r.KVUsedBytes != *first.KVUsedBytes {
				w.add(g.Key.String(), "repetitions differ in KV payload (%d and %d bytes)", *first.KVUsedBytes, *r.KVUsedBytes)
				break
			}
		}
		kv := KV{
			Key: g.Key, Positions: g.PromptTokens + g.GenTokens,
			UsedBytes: *first.KVUsedBytes, AllocBytes: first.KVAllocBytes,
		}
		if info := infos[g.Model]; info != nil {
			formula, err := kvFormula(info, g.KVTypeK, g.KVTypeV, g.Batch, kv.Positions)
			if err != nil {
				w.add(g.Key.String(), "no KV formula: %v", err)
			} else {
				exact := formula == kv.UsedBytes
				kv.FormulaBytes, kv.Exact = &formula, &exact
			}
		}
		out = append(out, kv)
	}
	return out
}

// kvFormula is econ.KVBytes for a model.
func kvFormula(info *record.ModelInfo, typeK, typeV string, batch, positions int) (int64, error) {
	shape, k, v, err := kvShape(info, typeK, typeV)
	if err != nil {
		return 0, err
	}
	return econ.KVBytes(shape, k, v, batch, positions)
}

func kvPerToken(info *record.ModelInfo, typeK, typeV string) (int64, error) {
	shape, k, v, err := kvShape(info, typeK, typeV)
	if err != nil {
		return 0, err
	}
	return econ.KVBytesPerToken(shape, k, v)
}

// kvShape returns what the formulas take of a model and its cache types; an error
// for a model whose cache is of another kind.
func kvShape(info *record.ModelInfo, typeK, typeV string) (shape econ.KVShape, k, v econ.ElemType, err error) {
	if info.KVIrregular != "" {
		return shape, k, v, errors.New(info.KVIrregular + "; what was measured stands by itself")
	}
	if k, err = econ.ElemTypeNamed(typeK); err != nil {
		return shape, k, v, err
	}
	v, err = econ.ElemTypeNamed(typeV)
	return econ.KVShape{Layers: info.Layers, KVHeads: info.KVHeads, HeadDimK: info.HeadDimK, HeadDimV: info.HeadDimV}, k, v, err
}

// Point is the cache of one model at one length, against the formula.
type Point struct {
	record.KVRecord
	FormulaBytes *int64 // nil when the model's shape is not known
	Exact        *bool  // payload after prefill and at Tokens as the formula has it, and none after clearing
}

func points(records []record.KVRecord, w *warnings) []Point {
	var out []Point
	for _, r := range records {
		p := Point{KVRecord: r}
		if r.ModelInfo != nil {
			per, err := kvPerToken(r.ModelInfo, r.KVTypeK, r.KVTypeV)
			if err != nil {
				w.add(r.Model, "no KV formula: %v", err)
			} else {
				formula := per * int64(r.Tokens)
				exact := r.UsedBytes == formula && r.PrefillUsedBytes == per*int64(r.PrefillTokens) && r.ClearedUsedBytes == 0
				p.FormulaBytes, p.Exact = &formula, &exact
			}
		}
		out = append(out, p)
	}
	return out
}
