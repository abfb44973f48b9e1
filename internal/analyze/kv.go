package analyze

import (
	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// KV compares the cache payload of a group with the formula.
type KV struct {
	Key
	Positions    int    // prompt + generated tokens in the cache after decode
	UsedBytes    int64  // K and V payload of one sequence, as the engine holds it
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
	p := *k.AllocBytes - k.UsedBytes*int64(k.Batch)
	return &p
}

// modelInfos collects the shape of each model from the rows that carry it.
func modelInfos(rows []record.Record) map[string]*record.ModelInfo {
	out := map[string]*record.ModelInfo{}
	for i := range rows {
		if info := rows[i].ModelInfo; info != nil && out[rows[i].Model] == nil {
			out[rows[i].Model] = info
		}
	}
	return out
}

// kvRows returns a row for each cached group that has its payload.
func kvRows(groups []*Group, infos map[string]*record.ModelInfo, w *warnings) []KV {
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
			formula, err := kvFormula(info, g.KVTypeK, g.KVTypeV, kv.Positions)
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

func kvFormula(info *record.ModelInfo, typeK, typeV string, positions int) (int64, error) {
	k, err := econ.ElemTypeNamed(typeK)
	if err != nil {
		return 0, err
	}
	v, err := econ.ElemTypeNamed(typeV)
	if err != nil {
		return 0, err
	}
	shape := econ.KVShape{Layers: info.Layers, KVHeads: info.KVHeads, HeadDimK: info.HeadDimK, HeadDimV: info.HeadDimV}
	return econ.KVBytes(shape, k, v, 1, positions)
}
