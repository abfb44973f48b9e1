//go:build cgo

package llama

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every type makes a file that loads, says of itself what it is, generates, and
// has the bytes it says, in the file and as the engine counts them.
func TestSynthTypes(t *testing.T) {
	f16 := tinyModel(t, "tiny-llama").Info()
	for _, weights := range SynthTypes()[1:] {
		r := synthFile(t, "tiny-llama", SynthOptions{Seed: 42, Type: weights})
		m, err := Load(ModelParams{Path: r.Path, CheckTensors: true})
		if err != nil {
			t.Fatal(weights, err)
		}
		i := m.Info()
		name := strings.ToUpper(strings.NewReplacer("_k_m", "_k - Medium", "_k_s", "_k - Small", "q2_k", "q2_k - Medium").Replace(weights))
		if !i.Synthetic || i.Name != f16.Name || i.Params != f16.Params || i.BodyParams != f16.BodyParams || !strings.HasPrefix(strings.ToUpper(i.FileType), strings.ToUpper(name)) {
			t.Errorf("%s: %+v", weights, i)
		}
		for key, want := range map[string]string{"phasebench.synth.type": weights, "phasebench.synth.seed": "42", "phasebench.synth.quantizer": Version()} {
			if got, _ := m.Meta(key); got != want {
				t.Errorf("%s: %s is %q, want %q", weights, key, got, want)
			}
		}
		var bytes int64
		tensors, fallbacks := 0, 0
		for _, s := range r.Types {
			bytes, tensors, fallbacks = bytes+s.Bytes, tensors+s.Tensors, fallbacks+s.Fallback
		}
		if bytes != i.WeightsBytes || tensors != r.Tensors || i.ReadBytes >= i.WeightsBytes+1 || i.ReadBytes <= 0 {
			t.Errorf("%s: %d bytes in %d tensors, the engine has %d, a token reads %d", weights, bytes, tensors, i.WeightsBytes, i.ReadBytes)
		}
		if weights != "bf16" && i.WeightsBytes >= f16.WeightsBytes*3/4 {
			t.Errorf("%s: %d bytes, F16 has %d", weights, i.WeightsBytes, f16.WeightsBytes)
		}
		// Rows of 128 are half a block of 256.
		if falls := strings.Contains(weights, "_k") || weights == "iq4_xs"; (fallbacks > 0) != falls {
			t.Errorf("%s: %d fallbacks: %+v", weights, fallbacks, r.Types)
		}
		c := newContext(t, m, ContextParams{NCtx: 16})
		generate(t, c, promptOf(m, 8), 4)
		c.Close()
		closeModel(t, m)
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(r.Path), ".*")); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", weights, left, err)
		}
	}
}

// irregular writes a model file of an architecture that Synth has no shape for:
// one layer of the given tensors, and what is said of it.
func irregular(t *testing.T, arch string, layer []tensor, keys ...metadata) *Model {
	t.Helper()
	const embd, vocab = 64, 50257
	list := []metadata{{"general.architecture", arch}, {"phasebench.synthetic", true}}
	for _, m := range append([]metadata{{"vocab_size", uint32(vocab)}, {"context_length", uint32(4096)}, {"embedding_length", uint32(embd)}, {"block_count", uint32(1)},
		{"attention.layer_norm_rms_epsilon", float32(1e-5)}}, keys...) {
		list = append(list, metadata{arch + "." + m.key, m.value})
	}
	tensors := []tensor{{name: "token_embd.weight", columns: embd, rows: vocab, f16: true, std: 0.1}, {name: "output_norm.weight", columns: embd, mean: 1}}
	for _, one := range layer {
		one.name, one.std = "blk.0."+one.name, 0.1
		tensors = append(tensors, one)
	}
	h, err := newHeader("test", filepath.Join(vocabDir, "ggml-vocab-gpt-2.gguf"), "", vocab, list, tensors)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	path := filepath.Join(t.TempDir(), arch+".gguf")
	err = replaceFile(path, func(f *os.File) error {
		return (&synthWriter{ctx: t.Context(), file: f}).all(h.bytes, tensors, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(ModelParams{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeModel(t, m) })
	return m
}

// A cache that is not keys and values of all positions says so, and is counted by
// the engine all the same; models with nothing but attention have a formula.
func vector(name string, n int64) tensor { return tensor{name: name, columns: n, mean: 1} }

func matrix(name string, columns, rows int64) tensor {
	return tensor{name: name, columns: columns, rows: rows, f16: true}
}

// slidingModel has a layer that sees 16 positions only.
func slidingModel(t *testing.T) *Model {
	return irregular(t, "gemma2", []tensor{
		vector("attn_norm.weight", 64), matrix("attn_q.weight", 64, 64), matrix("attn_k.weight", 64, 64), matrix("attn_v.weight", 64, 64),
		matrix("attn_output.weight", 64, 64), vector("post_attention_norm.weight", 64), vector("ffn_norm.weight", 64),
		matrix("ffn_gate.weight", 64, 128), matrix("ffn_up.weight", 64, 128), matrix("ffn_down.weight", 128, 64), vector("post_ffw_norm.weight", 64),
	}, metadata{"feed_forward_length", uint32(128)}, metadata{"attention.head_count", uint32(2)}, metadata{"attention.head_count_kv", uint32(2)},
		metadata{"attention.key_length", uint32(32)}, metadata{"attention.value_length", uint32(32)}, metadata{"attention.sliding_window", uint32(16)})
}

func TestIrregularCaches(t *testing.T) {
	sliding := slidingModel(t)
	f32 := func(t tensor, mean float64) tensor { t.f16, t.mean = false, mean; return t }
	recurrent := irregular(t, "mamba", []tensor{
		vector("attn_norm.weight", 64), matrix("ssm_in.weight", 64, 256), f32(matrix("ssm_conv1d.weight", 4, 128), 0), vector("ssm_conv1d.bias", 128),
		matrix("ssm_x.weight", 128, 4+2*16), matrix("ssm_dt.weight", 4, 128), vector("ssm_dt.bias", 128),
		f32(matrix("ssm_a", 16, 128), -1), vector("ssm_d", 128), matrix("ssm_out.weight", 128, 64),
	}, metadata{"feed_forward_length", uint32(0)}, metadata{"attention.head_count", uint32(0)}, metadata{"ssm.conv_kernel", uint32(4)},
		metadata{"ssm.inner_size", uint32(128)}, metadata{"ssm.state_size", uint32(16)}, metadata{"ssm.time_step_rank", uint32(4)})
	experts := tinyModel(t, "tiny-moe")
	for m, want := range map[*Model]string{
		sliding: "sliding-window attention", recurrent: "recurrent state in place of a cache", experts: "", tinyModel(t, "tiny-llama"): "",
	} {
		i := m.Info()
		if i.KVIrregular != want {
			t.Errorf("%s: %q, want %q", i.Arch, i.KVIrregular, want)
		}
		unknown := map[*Model]string{recurrent: "recurrent layers multiply with more than their matrices", experts: "a token uses some of the experts"}[m]
		if i.CostUnknown != unknown || (i.ReadBytes == 0) != (unknown != "") || (i.BodyParams == 0) != (unknown != "") {
			t.Errorf("%s: a token reads %d bytes of weights and multiplies with %d: %q, want %q", i.Arch, i.ReadBytes, i.BodyParams, i.CostUnknown, unknown)
		}
		c := newContext(t, m, ContextParams{NCtx: 64})
		if _, err := c.Prefill(promptOf(m, 40)); err != nil {
			t.Fatal(i.Arch, err)
		}
		if used, err := c.KVUsedBytes(); err != nil || used <= 0 || (want != "") != (used != kvFormula(i, 40)) {
			t.Errorf("%s: %d bytes of cache, by the formula %d, %v", i.Arch, used, kvFormula(i, 40), err)
		}
		c.Close()
	}
}
