package analyze

import (
	"slices"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// Roofline is how much of what its device can do a group used.
type Roofline struct {
	*Group
	CopyBytesPerS, MatmulFlopsPerS *float64 // ceilings of the device; nil when not measured
	BytesPerTok                    *float64 // read for a decoded token; nil when the model's weights are not known
	MBU                            *float64 // share of the copy rate in decode; nil without the two
	FLOPs                          *float64 // of a prefill of all sequences; nil when the model is not known to be dense
	MFU                            *float64 // share of the matmul rate in prefill
}

// rooflines describes the groups that decode with the cache. Without it every
// step evaluates the whole sequence, which is neither phase. Where layers are
// left on the host there is no one device to compare with.
func (a *Analysis) rooflines() ([]Roofline, error) {
	var out []Roofline
	for _, g := range a.Groups {
		i := slices.IndexFunc(a.Models, func(m *Model) bool { return m.Name == g.Model })
		if g.DecodeMode == "uncached" || a.Models[i].Info == nil || g.split(a.Models[i].Info) {
			continue
		}
		r, err := a.roofline(g, a.Models[i].Info)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// split reports whether a group ran on the GPU with layers left on the host.
func (g *Group) split(info *record.ModelInfo) bool {
	n := g.Rows[0].GPULayers
	return g.DeviceKind == "gpu" && n > 0 && n <= info.Layers
}

func (a *Analysis) roofline(g *Group, info *record.ModelInfo) (Roofline, error) {
	out := Roofline{Group: g}
	if d := a.device(record.DeviceRoofline, g); d != nil {
		out.CopyBytesPerS, out.MatmulFlopsPerS = d.CopyBytesPerS, d.MatmulFlopsPerS
	}
	perToken, err := kvPerToken(info, g.KVTypeK, g.KVTypeV)
	if err == nil && info.ReadBytes > 0 { // kvRows has warned of a cache without a formula
		bytes, err := econ.DecodeBytesPerTok(info.ReadBytes, perToken, g.Batch, g.PromptTokens, g.GenTokens)
		if err != nil {
			return out, err
		}
		out.BytesPerTok = &bytes
	}
	if info.BodyParams > 0 && info.HeadParams > 0 {
		one, err := econ.PrefillFLOPs(econ.DenseShape{
			BodyParams: info.BodyParams, HeadParams: info.HeadParams,
			Layers: info.Layers, Heads: info.Heads, HeadDimK: info.HeadDimK, HeadDimV: info.HeadDimV,
		}, g.PromptTokens)
		if err != nil {
			return out, err
		}
		all := one * float64(g.Batch)
		out.FLOPs = &all
	}
	if out.BytesPerTok != nil && out.CopyBytesPerS != nil {
		mbu, err := econ.MBU(*out.BytesPerTok, g.Decode.TokPerS(), *out.CopyBytesPerS)
		if err != nil {
			return out, err
		}
		out.MBU = &mbu
	}
	if out.FLOPs != nil && out.MatmulFlopsPerS != nil {
		seconds := g.Prefill.SPerTok.Value * float64(g.PromptTokens*g.Batch)
		mfu, err := econ.MFU(*out.FLOPs, seconds, *out.MatmulFlopsPerS)
		if err != nil {
			return out, err
		}
		out.MFU = &mfu
	}
	return out, nil
}

func rooflineTable() definition {
	return definition{
		name: studies + "roofline", title: "How much of the device is used", needs: "the bytes and weights a token of the model takes, which the first row of a launch carries, or times from CUDA events",
		columns: append(groupColumns(),
			Column{Name: "read_bytes_per_tok", Title: "read a decoded token", Unit: "B"}, col("decode_tok_s", "decode", "tok/s"),
			col("copy_gb_s", "device copy", "GB/s"), Column{Name: "mbu_pct", Title: "MBU of decode", Unit: "%", Digits: 3},
			col("prefill_gflop", "a prefill", "GFLOP"), col("prefill_ms", "prefill", "ms"),
			col("matmul_tflop_s", "device F16 matmul", "TFLOP/s"), Column{Name: "mfu_pct", Title: "MFU of prefill", Unit: "%", Digits: 3},
			Column{Name: "prefill_gap_pct", Title: "prefill host gap", Unit: "%", Digits: 3}, Column{Name: "decode_gap_pct", Title: "decode host gap", Unit: "%", Digits: 3}),
		fill: fillRoofline,
		notes: []string{
			"MBU: bytes a decoded token needs × tok/s over the measured copy rate of the device, which counts bytes read plus bytes written; decode almost only reads, so a device that reads faster than it writes can show a little more than 100 %. Bytes: the weights once a step, without tables that are only looked up, and the K and V payload of prompt + (generated + 1)/2 positions, the mean over the steps. Where weights fit into a cache of the device they need not come from memory.",
			"MFU: 2 × the layers' weights × tokens, 2 × the output matrix for the one token with logits, and 2 × layers × heads × (K + V head size) for each pair of causal attention, over time and the measured F16 matmul rate. Host gap: the share of wall time in which the device ran no kernel of the phase; it is what CUDA graphs can remove.",
		},
	}
}

func fillRoofline(a *Analysis, t *Table) error {
	for _, r := range a.Rooflines {
		prefillGap, decodeGap, _ := r.hostGaps()
		if r.BytesPerTok == nil && r.FLOPs == nil && prefillGap == nil && decodeGap == nil {
			continue
		}
		t.Add(append(groupCells(r.Key), r.BytesPerTok, r.Decode.TokPerS(), scale(r.CopyBytesPerS, 1e-9), scale(r.MBU, 100),
			scale(r.FLOPs, 1e-9), 1000*r.Prefill.SPerTok.Value*float64(r.PromptTokens*r.Batch), scale(r.MatmulFlopsPerS, 1e-12), scale(r.MFU, 100),
			prefillGap, decodeGap)...)
	}
	return nil
}

// scale returns k times v; nil for nil.
func scale(v *float64, k float64) *float64 {
	if v == nil {
		return nil
	}
	out := k * *v
	return &out
}
