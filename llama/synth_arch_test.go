package llama

import (
	"math"
	"testing"
)

// The parameter counts are those of the published checkpoints.
func TestSynthPublishedParams(t *testing.T) {
	for name, want := range map[string]int64{
		"gpt2":         124_439_808,
		"llama-3.2-1b": 1_235_814_400,
		"qwen2.5-1.5b": 1_543_714_304,
		"phi-2":        2_779_683_840,
		"llama-3.2-3b": 3_212_749_824,
	} {
		a, err := synthArch(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Params(a.Layers); got != want {
			t.Errorf("%s: %d parameters, published are %d", name, got, want)
		}
	}
}

// Llama 3.2 1B: every weight in 2 bytes, but 33 norms of 2048 and 32 rope
// factors in 4.
func TestSynthWeightBytes(t *testing.T) {
	a, err := synthArch("llama-3.2-1b")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.WeightBytes(16), int64(2*1_235_814_400+2*33*2048+4*32); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// Files are written without padding, and the engine refuses a name used twice.
func TestSynthTensorTables(t *testing.T) {
	for _, a := range SynthArchs() {
		seen := map[string]bool{}
		for _, x := range a.tensors(a.Layers) {
			if x.bytes()%32 != 0 {
				t.Errorf("%s: %s has %d bytes, not a multiple of GGUF's alignment", a.Name, x.name, x.bytes())
			}
			if seen[x.name] {
				t.Errorf("%s: two tensors are called %s", a.Name, x.name)
			}
			seen[x.name] = true
		}
	}
}

func TestSynthStd(t *testing.T) {
	check := func(arch string, layers int, tensor string, want float64) {
		t.Helper()
		a, err := synthArch(arch)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range a.tensors(layers) {
			if x.name == tensor {
				if math.Abs(x.std-want) > 1e-12 {
					t.Errorf("%s %s: std %g, want %g", arch, tensor, x.std, want)
				}
				return
			}
		}
		t.Errorf("%s has no tensor %s", arch, tensor)
	}
	check("gpt2", 12, "blk.0.attn_qkv.weight", 0.02)
	check("gpt2", 8, "blk.7.ffn_down.weight", 0.02/4)    // sqrt(2*8) = 4
	check("gpt2", 2, "blk.0.attn_output.weight", 0.02/2) // sqrt(2*2) = 2
	check("phi-2", 32, "blk.31.ffn_down.weight", 0.02)   // no scaling
	check("tiny-llama", 2, "blk.0.ffn_down.weight", 1/math.Sqrt(512))
}

// The values in between were computed with the formula of llama.cpp's
// converter (conversion/llama.py) in Python.
func TestLlama3RopeFactors(t *testing.T) {
	for _, test := range []struct {
		headDim int64
		first   int // index of the first factor that is not 1
		between []float64
	}{
		{64, 15, []float64{1.651329, 3.292262, 9.666729}},
		{128, 29, []float64{1.234937, 1.651329, 2.27666, 3.292262, 5.171596, 9.666729}},
	} {
		got := shape{family: llama3, headDim: test.headDim}.llama3RopeFactors()
		if len(got) != int(test.headDim/2) {
			t.Fatalf("head of %d: %d factors", test.headDim, len(got))
		}
		for i, g := range got {
			want := 1.0
			if k := i - test.first; k >= len(test.between) {
				want = 32
			} else if k >= 0 {
				want = test.between[k]
			}
			if math.Abs(float64(g)-want) > 1e-5 {
				t.Errorf("head of %d: factor %d is %g, want %g", test.headDim, i, g, want)
			}
		}
	}
}
