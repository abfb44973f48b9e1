package llama

import (
	"fmt"
	"math"
	"strings"
)

// SynthArch is a model shape that Synth can fill with random weights.
type SynthArch struct {
	Name        string // what Synth takes, e.g. "llama-3.2-1b"
	Description string // what it stands for, one line
	Layers      int    // transformer blocks of the published model; 2 for a tiny one

	shape
}

// Params is the number of learned weights with the given number of layers, as
// the publisher counts them: tied embeddings once, and not the 64 or fewer
// rope factors of the Llama 3 files, which are computed from the configuration
// but lie in the file as a tensor.
func (a SynthArch) Params(layers int) int64 {
	var n int64
	for _, t := range a.tensors(layers) {
		if t.values == nil {
			n += t.elements()
		}
	}
	return n
}

// WeightBytes is the size of the tensors with the given number of layers, that
// of the published weights converted to F16. The file is larger by its header,
// mostly the tokenizer: 2 to 10 MB.
func (a SynthArch) WeightBytes(layers int) int64 {
	var n int64
	for _, t := range a.tensors(layers) {
		n += t.bytes()
	}
	return n
}

// SynthArchs lists the shapes that Synth knows: the five models of the TR123
// study with their published dimensions, then a small relative of each for
// tests. The small ones have two layers, narrow embeddings and the real
// tokenizer; the two Llamas keep the published attention heads. With 4096
// positions even the shapes that learn a vector per position hold a prompt of
// 2048 tokens and what follows it.
func SynthArchs() []SynthArch {
	return []SynthArch{
		{"gpt2", "GPT-2 small, 124 M", 12, shape{
			family: gpt2, vocab: 50257, ctx: 1024, embd: 768, ff: 3072, heads: 12, kvHeads: 12, headDim: 64, initStd: 0.02}},
		{"llama-3.2-1b", "Llama 3.2 1B", 16, shape{
			family: llama3, vocab: 128256, ctx: 131072, embd: 2048, ff: 8192, heads: 32, kvHeads: 8, headDim: 64, initStd: 0.02}},
		{"qwen2.5-1.5b", "Qwen2.5 1.5B", 28, shape{
			family: qwen2, vocab: 151936, ctx: 131072, embd: 1536, ff: 8960, heads: 12, kvHeads: 2, headDim: 128, initStd: 0.02}},
		{"phi-2", "Phi-2, 2.8 B", 32, shape{
			family: phi2, vocab: 51200, ctx: 2048, embd: 2560, ff: 10240, heads: 32, kvHeads: 32, headDim: 80, initStd: 0.02}},
		{"llama-3.2-3b", "Llama 3.2 3B", 28, shape{
			family: llama3, vocab: 128256, ctx: 131072, embd: 3072, ff: 8192, heads: 24, kvHeads: 8, headDim: 128, initStd: 0.02}},

		{"tiny-gpt2", "gpt2 for tests", 2, shape{
			family: gpt2, vocab: 50257, ctx: 4096, embd: 128, ff: 512, heads: 2, kvHeads: 2, headDim: 64}},
		{"tiny-llama", "llama-3.2-1b for tests, with all its heads", 2, shape{
			family: llama3, vocab: 128256, ctx: 131072, embd: 128, ff: 512, heads: 32, kvHeads: 8, headDim: 64}},
		{"tiny-qwen2", "qwen2.5-1.5b for tests", 2, shape{
			family: qwen2, vocab: 151936, ctx: 131072, embd: 128, ff: 512, heads: 2, kvHeads: 1, headDim: 64}},
		{"tiny-phi2", "phi-2 for tests", 2, shape{
			family: phi2, vocab: 51200, ctx: 4096, embd: 160, ff: 640, heads: 2, kvHeads: 2, headDim: 80}},
		{"tiny-llama-3b", "llama-3.2-3b for tests, with all its heads", 2, shape{
			family: llama3, vocab: 128256, ctx: 131072, embd: 128, ff: 256, heads: 24, kvHeads: 8, headDim: 128}},
		{"tiny-moe", "a Llama with 8 experts, of which a token uses 2, for tests", 2, shape{
			family: llama3, vocab: 128256, ctx: 131072, embd: 128, ff: 256, heads: 4, kvHeads: 2, headDim: 64, experts: 8, expertsUsed: 2}},
	}
}

// SynthOptions chooses among the files that one shape can give.
type SynthOptions struct {
	Layers   int    // 1 to 512 transformer blocks; 0 for the published number
	Seed     int64  // any value; another seed gives other weights
	Type     string // of the matrices, one of SynthTypes; "" for "f16"
	VocabDir string // folder with llama.cpp's ggml-vocab-*.gguf files
	Force    bool   // replace a file that is already there, whatever it holds

	// Progress, if not nil, is called now and then with the bytes written so
	// far and those of the whole file, before it is quantized.
	Progress func(done, total int64)
}

// SynthTypes lists the types that Synth can give the matrices of a model: "f16",
// and those of the engine's quantizer that need no importance matrix, by the
// names of its tool.
func SynthTypes() []string {
	return []string{"f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "q3_k_m", "q2_k"}
}

// SynthResult describes a synthetic model file.
type SynthResult struct {
	Path    string
	Bytes   int64 // size of the file
	Params  int64 // see SynthArch.Params
	Tensors int   // tensors in the file
	Reused  bool  // the very file asked for was there already

	// Types are those that the quantizer gave to the tensors, in order of
	// appearance; nil for "f16".
	Types []SynthTensors
}

// SynthTensors are the tensors of a file that have one type.
type SynthTensors struct {
	Type    string // ggml type name
	Tensors int
	Bytes   int64
	// Fallback is how many of them were to have another type, whose blocks do
	// not divide their rows.
	Fallback int
}

func synthArch(name string) (SynthArch, error) {
	var known []string
	for _, a := range SynthArchs() {
		if a.Name == name {
			return a, nil
		}
		known = append(known, a.Name)
	}
	return SynthArch{}, refuse("synth", fmt.Sprintf("no shape is called %q; known are %s", name, strings.Join(known, ", ")))
}

// family is what models of one architecture share, in the engine's terms.
// Which tensors and keys it needs follows the loaders in llama.cpp's
// src/models and its converter.
type family struct {
	arch      string // general.architecture
	vocabFile string // where the tokenizer comes from
	pre       string // pre-tokenizer in place of the vocabulary file's; may be empty
	epsKey    string
	eps       float32

	positions   bool    // a learned vector for each position
	ropeBase    float32 // 0 without rotary embeddings
	ropeDims    int64   // rotated part of a head; 0 for all of it
	ropeFactors bool    // the Llama 3 scaling of rotary frequencies

	fusedQKV bool
	qkvBias  bool
	bias     bool // biases of the norms and of the other matrices
	gated    bool // a gate beside the up projection
	parallel bool // attention and feed-forward share one norm
	untied   bool // an output matrix of its own

	// scaledResidual divides the deviation of the matrices that write to the
	// residual stream by sqrt(2*layers), the initialization of the GPT-2 paper.
	scaledResidual bool
}

var (
	gpt2 = family{arch: "gpt2", vocabFile: "ggml-vocab-gpt-2.gguf", epsKey: "layer_norm_epsilon", eps: 1e-5,
		positions: true, fusedQKV: true, qkvBias: true, bias: true, scaledResidual: true}
	llama3 = family{arch: "llama", vocabFile: "ggml-vocab-llama-bpe.gguf", epsKey: "layer_norm_rms_epsilon", eps: 1e-5,
		ropeBase: 500000, ropeFactors: true, gated: true}
	qwen2 = family{arch: "qwen2", vocabFile: "ggml-vocab-qwen2.gguf", epsKey: "layer_norm_rms_epsilon", eps: 1e-6,
		ropeBase: 1e6, qkvBias: true, gated: true}
	phi2 = family{arch: "phi2", vocabFile: "ggml-vocab-gpt-2.gguf", pre: "phi-2", epsKey: "layer_norm_epsilon", eps: 1e-5,
		ropeBase: 10000, ropeDims: 32, qkvBias: true, bias: true, parallel: true, untied: true}
)

// shape is one model of a family.
type shape struct {
	family

	vocab, ctx, embd, ff, heads, kvHeads, headDim int64

	experts, expertsUsed int64 // feed-forward parts, of which a token uses some; 0 for a single one

	// initStd is the standard deviation of the matrices: initializer_range of
	// the published configuration, 0.02 in all five. 0 stands for
	// 1/sqrt(columns), which keeps the activations of a narrow model as large
	// as those of a wide one.
	initStd float64
}

// tensor is one entry of a file. Its elements are normal random numbers with
// the given mean and deviation, or exactly values.
type tensor struct {
	name          string
	columns, rows int64 // rows is 0 for a vector
	experts       int64 // matrices of one tensor; 0 for one that is no stack
	f16           bool  // else F32
	mean, std     float64
	values        []float32
}

func (t tensor) elements() int64 { return t.columns * max(t.rows, 1) * max(t.experts, 1) }

func (t tensor) bytes() int64 {
	if t.f16 {
		return 2 * t.elements()
	}
	return 4 * t.elements()
}

// tensors lists what a file with so many layers holds. Types are those of
// llama.cpp's converter for F16: matrices F16, vectors, positions and what
// chooses experts F32.
func (s shape) tensors(layers int) []tensor {
	const vectorStd = 0.02 // of norms and biases

	var list []tensor
	vector := func(name string, n int64, mean, std float64) {
		list = append(list, tensor{name: name, columns: n, mean: mean, std: std})
	}
	bias := func(name string, n int64) { vector(name+".bias", n, 0, vectorStd) }
	norm := func(name string, mean, std float64) {
		vector(name+".weight", s.embd, mean, std)
		if s.bias {
			bias(name, s.embd)
		}
	}
	matrix := func(name string, columns, rows int64, withBias bool) *tensor {
		std := s.initStd
		if std == 0 {
			std = 1 / math.Sqrt(float64(columns))
		}
		if withBias {
			bias(name, rows)
		}
		list = append(list, tensor{name: name + ".weight", columns: columns, rows: rows, f16: true, std: std})
		return &list[len(list)-1]
	}
	residual := func(name string, columns int64) *tensor {
		t := matrix(name, columns, s.embd, s.bias)
		if s.scaledResidual {
			t.std /= math.Sqrt(2 * float64(layers))
		}
		return t
	}

	matrix("token_embd", s.embd, s.vocab, false)
	if s.positions {
		matrix("position_embd", s.embd, s.ctx, false).f16 = false
	}
	if s.ropeFactors {
		f := s.llama3RopeFactors()
		list = append(list, tensor{name: "rope_freqs.weight", columns: int64(len(f)), values: f})
	}
	q, kv := s.heads*s.headDim, s.kvHeads*s.headDim
	for i := range layers {
		block := fmt.Sprintf("blk.%d.", i)
		norm(block+"attn_norm", 1, vectorStd)
		if s.fusedQKV {
			matrix(block+"attn_qkv", s.embd, q+2*kv, s.qkvBias)
		} else {
			matrix(block+"attn_q", s.embd, q, s.qkvBias)
			matrix(block+"attn_k", s.embd, kv, s.qkvBias)
			matrix(block+"attn_v", s.embd, kv, s.qkvBias)
		}
		residual(block+"attn_output", q)
		if !s.parallel {
			norm(block+"ffn_norm", 1, vectorStd)
		}
		suffix := ""
		if s.experts > 0 {
			suffix = "_exps"
			matrix(block+"ffn_gate_inp", s.embd, s.experts, false).f16 = false
		}
		if s.gated {
			matrix(block+"ffn_gate"+suffix, s.embd, s.ff, s.bias).experts = s.experts
		}
		matrix(block+"ffn_up"+suffix, s.embd, s.ff, s.bias).experts = s.experts
		residual(block+"ffn_down"+suffix, s.ff).experts = s.experts
	}
	// Around 1, as a trained one is, it would let the embedding of the last
	// token through to the matrix tied to it, and every token would predict
	// itself. Around 0 the two are independent, and the logits as large.
	norm("output_norm", 0, 1)
	if s.untied {
		matrix("output", s.embd, s.vocab, s.bias)
	}
	return list
}

// llama3RopeFactors are the divisors of the rotary frequencies, one for each
// pair of dimensions. Wavelengths under the original context over highFreq
// stay, those over the original context over lowFreq are stretched by factor,
// and between the two
//
//	1 / ((1-smooth)/factor + smooth), smooth = (ctx/wavelength - lowFreq) / (highFreq - lowFreq)
//
// with rope_scaling of the published Llama 3.2 configuration. Source:
// generate_extra_tensors in llama.cpp's conversion/llama.py.
func (s shape) llama3RopeFactors() []float32 {
	const factor, lowFreq, highFreq, originalCtx = 32, 1, 4, 8192

	factors := make([]float32, s.headDim/2)
	for i := range factors {
		wavelength := 2 * math.Pi * math.Pow(float64(s.ropeBase), float64(2*i)/float64(s.headDim))
		switch {
		case wavelength < originalCtx/highFreq:
			factors[i] = 1
		case wavelength > originalCtx/lowFreq:
			factors[i] = factor
		default:
			smooth := (originalCtx/wavelength - lowFreq) / (highFreq - lowFreq)
			factors[i] = float32(1 / ((1-smooth)/factor + smooth))
		}
	}
	return factors
}

// metadata is one key of a file; value is a string, uint32, int64, float32 or
// bool.
type metadata struct {
	key   string
	value any
}

// metadata lists the keys of a file beside the tokenizer's. The phasebench
// ones mark it as synthetic and say how to make it again.
func (a SynthArch) metadata(layers int, seed int64) []metadata {
	name := a.Name
	if layers != a.Layers {
		name += fmt.Sprintf(" with %d of %d layers", layers, a.Layers)
	}
	arch := func(key string, value any) metadata { return metadata{a.arch + "." + key, value} }
	list := []metadata{
		{"general.architecture", a.arch},
		{"general.name", fmt.Sprintf("%s (synthetic weights, seed %d)", name, seed)},
		{"general.file_type", uint32(1)}, // mostly F16
		{"phasebench.synthetic", true},
		{"phasebench.synth.arch", a.Name},
		{"phasebench.synth.layers", uint32(layers)},
		{"phasebench.synth.seed", seed},
		{"phasebench.synth.generator", uint32(synthGenerator)},
		arch("vocab_size", uint32(a.vocab)),
		arch("context_length", uint32(a.ctx)),
		arch("embedding_length", uint32(a.embd)),
		arch("block_count", uint32(layers)),
		arch("feed_forward_length", uint32(a.ff)),
		arch("attention.head_count", uint32(a.heads)),
		arch("attention.head_count_kv", uint32(a.kvHeads)),
		arch("attention.key_length", uint32(a.headDim)),
		arch("attention.value_length", uint32(a.headDim)),
		arch("attention."+a.epsKey, a.eps),
	}
	if a.experts > 0 {
		list = append(list, arch("expert_count", uint32(a.experts)), arch("expert_used_count", uint32(a.expertsUsed)))
	}
	if a.ropeBase != 0 {
		dims := a.ropeDims
		if dims == 0 {
			dims = a.headDim
		}
		list = append(list,
			arch("rope.freq_base", a.ropeBase),
			arch("rope.dimension_count", uint32(dims)))
	}
	return list
}
