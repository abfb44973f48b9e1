package analyze

import (
	"cmp"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// Roofline is how much of what its device can do a group used.
type Roofline struct {
	*Group
	Ceiling     *record.DeviceRecord // of the device; without figures when it was not measured
	BytesPerTok *float64             // read for a decoded token; nil when the model's weights are not known
	MBU         *float64             // share of the device's copy rate in decode; nil when one of them is not known
	MBURead     *float64             // the same of its read rate
	FLOPs       *float64             // of a prefill of all sequences; nil when the model is not known to be dense
	MFU         *float64             // share of the device's matmul rate in prefill
}

// rooflines describes the groups that decode with the cache. Without it every
// step evaluates the whole sequence, which is neither phase. Where layers are
// left on the host there is no one device to compare with.
func (a *Analysis) rooflines() ([]Roofline, error) {
	var out []Roofline
	for _, g := range a.Groups {
		info := a.info(g.Model)
		if g.DecodeMode == "uncached" || info == nil || g.split(info) {
			continue
		}
		r, err := a.roofline(g, info)
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
	out := Roofline{Group: g, Ceiling: a.device(record.DeviceRoofline, g)}
	if out.Ceiling == nil {
		out.Ceiling = &record.DeviceRecord{}
	}
	var err error
	perToken, noFormula := kvPerToken(info, g.KVTypeK, g.KVTypeV) // kvRows has warned of it
	if noFormula == nil && info.ReadBytes > 0 {
		bytes, err := econ.DecodeBytesPerTok(info.ReadBytes, perToken, g.Batch, g.PromptTokens, g.GenTokens)
		if err != nil {
			return out, err
		}
		out.BytesPerTok = &bytes
	}
	if dense(info) {
		one, err := econ.PrefillFLOPs(denseShape(info), g.PromptTokens)
		if err != nil {
			return out, err
		}
		all := one * float64(g.Batch)
		out.FLOPs = &all
	}
	if out.MBU, err = share(out.BytesPerTok, g.Decode.TokPerS(), out.Ceiling.CopyBytesPerS, econ.MBU); err != nil {
		return out, err
	}
	if out.MBURead, err = share(out.BytesPerTok, g.Decode.TokPerS(), out.Ceiling.ReadBytesPerS, econ.MBU); err != nil {
		return out, err
	}
	out.MFU, err = share(out.FLOPs, out.prefillS(), out.Ceiling.MatmulFlopsPerS, econ.MFU)
	return out, err
}

// dense reports whether every token is multiplied with known weights and attends
// to all before it.
func dense(info *record.ModelInfo) bool {
	return info.BodyParams > 0 && info.HeadParams > 0 && info.KVIrregular == ""
}

func denseShape(info *record.ModelInfo) econ.DenseShape {
	return econ.DenseShape{
		BodyParams: info.BodyParams, HeadParams: info.HeadParams,
		Layers: info.Layers, Heads: info.Heads, HeadDimK: info.HeadDimK, HeadDimV: info.HeadDimV,
	}
}

// info returns what is known of the shape of a model with measured groups; nil
// when nothing is.
func (a *Analysis) info(model string) *record.ModelInfo {
	return a.Models[slices.IndexFunc(a.Models, func(m *Model) bool { return m.Name == model })].Info
}

// prefillS is the mean time of a prefill of all sequences.
func (r Roofline) prefillS() float64 {
	return r.Prefill.SPerTok.Value * float64(r.PromptTokens*r.Batch)
}

// share is a utilisation, nil when the work or the ceiling is not known.
func share(work *float64, pace float64, ceiling *float64, of func(work, pace, ceiling float64) (float64, error)) (*float64, error) {
	if work == nil || ceiling == nil {
		return nil, nil
	}
	v, err := of(*work, pace, *ceiling)
	return &v, err
}

func rooflineTable() definition {
	return definition{
		name: studies + "roofline", title: "How much of the device is used", needs: "the bytes and weights a token of the model takes, which the first row of a launch carries, or times from CUDA events",
		columns: append(groupColumns(),
			Column{Name: "read_bytes_per_tok", Title: "read a decoded token", Unit: "B"}, col("decode_tok_s", "decode", "tok/s"),
			col("copy_gb_s", "device copy", "GB/s"), Column{Name: "mbu_pct", Title: "MBU of decode", Unit: "%", Digits: 3},
			col("read_gb_s", "device read", "GB/s"), Column{Name: "mbu_read_pct", Title: "of that", Unit: "%", Digits: 3},
			col("prefill_gflop", "a prefill", "GFLOP"), col("prefill_ms", "prefill", "ms"),
			col("matmul_tflop_s", "device F16 matmul", "TFLOP/s"), Column{Name: "mfu_pct", Title: "MFU of prefill", Unit: "%", Digits: 3},
			Column{Name: "prefill_gap_pct", Title: "prefill host gap", Unit: "%", Digits: 3}, Column{Name: "decode_gap_pct", Title: "decode host gap", Unit: "%", Digits: 3}),
		fill: fillRoofline,
		notes: []string{
			"MBU: bytes a decoded token needs × tok/s over the measured copy rate of the device, which counts bytes read plus bytes written; decode almost only reads, so a device that reads faster than it writes can show more than 100 %. Of the read rate, which is of a product of a matrix with one vector, it cannot, but by noise and caches. Bytes: the weights once a step, without tables that are only looked up, and the K and V payload of prompt + (generated + 1)/2 positions, the mean over the steps. Where weights fit into a cache of the device they need not come from memory.",
			"MFU: 2 × the layers' weights × tokens, 2 × the output matrix for the one token with logits, and 2 × layers × heads × (K + V head size) for each pair of causal attention, over time and the measured F16 matmul rate. Host gap: the share of wall time in which the device ran no kernel of the phase; it is what CUDA graphs can remove.",
		},
	}
}

func fillRoofline(a *Analysis, t *Table) error {
	var unknown []string
	for _, m := range a.Models {
		if m.Info == nil || dense(m.Info) {
			continue
		}
		if why := cmp.Or(m.Info.CostUnknown, m.Info.KVIrregular); why != "" {
			unknown = append(unknown, m.Name+": "+why)
		}
	}
	for _, r := range a.Rooflines {
		prefillGap, decodeGap, _ := r.hostGaps()
		if r.BytesPerTok == nil && r.FLOPs == nil && prefillGap == nil && decodeGap == nil {
			continue
		}
		t.Add(append(groupCells(r.Key), r.BytesPerTok, r.Decode.TokPerS(), scale(r.Ceiling.CopyBytesPerS, 1e-9), scale(r.MBU, 100),
			scale(r.Ceiling.ReadBytesPerS, 1e-9), scale(r.MBURead, 100),
			scale(r.FLOPs, 1e-9), 1000*r.prefillS(), scale(r.Ceiling.MatmulFlopsPerS, 1e-12), scale(r.MFU, 100),
			prefillGap, decodeGap)...)
	}
	if of := strings.Join(unknown, "; "); of != "" {
		t.Notes = append(t.Notes, "No MBU and no MFU, since it is not known what a token takes, of "+of+". What was measured stands by itself.")
		if len(t.Rows) == 0 {
			t.Missing = "what a token takes, which is not known of " + of
		}
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
