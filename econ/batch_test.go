package econ

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

// llama-3.2-1b on an H200 at $3/h and 1/(3600 tok/s) $: the price falls with the
// batch and flattens, while the time per token grows.
var served = []OperatingPoint{
	{1, 1.10, 1.32}, {2, 0.62, 1.49}, {8, 0.22, 2.2}, {16, 0.13, 2.6}, {32, 0.079, 3.0}, {48, 0.052, 3.6}, {64, 0.05, 3.8}, {128, 0.051, 7.9},
}

func batches(points []OperatingPoint) []int {
	var out []int
	for _, p := range points {
		out = append(out, p.Batch)
	}
	return out
}

func TestKnee(t *testing.T) {
	for tolerance, want := range map[float64]int{0: 64, 0.03: 64, 0.1: 48, 0.6: 32, 100: 1} {
		shuffled := slices.Clone(served)
		slices.Reverse(shuffled)
		for _, points := range [][]OperatingPoint{served, shuffled} {
			if got, err := Knee(points, tolerance); err != nil || got.Batch != want {
				t.Errorf("within %g: batch %d, %v, want %d", tolerance, got.Batch, err, want)
			}
		}
	}
	if got, err := Knee([]OperatingPoint{{4, 0, 1}, {2, 0, 1}}, 0.1); err != nil || got.Batch != 2 {
		t.Errorf("free of charge: batch %d, %v, want 2", got.Batch, err)
	}
}

func TestCheapestWithin(t *testing.T) {
	for limit, want := range map[float64]int{1: 0, 1.32: 1, 2: 2, 3.7: 48, 20: 64} {
		got, ok, err := CheapestWithin(served, limit)
		if err != nil || ok != (want > 0) || got.Batch != want {
			t.Errorf("within %g ms: batch %d, %v, %v, want %d", limit, got.Batch, ok, err, want)
		}
	}
}

func TestPareto(t *testing.T) {
	points := append(slices.Clone(served), OperatingPoint{3, 0.7, 1.6}, OperatingPoint{65, 0.05, 3.8})
	slices.Reverse(points)
	got, err := Pareto(points)
	if want := []int{1, 2, 8, 16, 32, 48, 64}; err != nil || !slices.Equal(batches(got), want) {
		t.Errorf("batches %v, %v, want %v", batches(got), err, want)
	}
}

func TestOperatingPointsThatAreNone(t *testing.T) {
	for _, points := range [][]OperatingPoint{nil, {{0, 1, 1}}, {{1, -1, 1}}, {{1, 1, 0}}, {{1, math.NaN(), 1}}} {
		_, knee := Knee(points, 0.1)
		_, _, within := CheapestWithin(points, 1)
		_, pareto := Pareto(points)
		for name, err := range map[string]error{"Knee": knee, "CheapestWithin": within, "Pareto": pareto} {
			var input *InputError
			if !errors.As(err, &input) {
				t.Errorf("%s of %v: %v", name, points, err)
			}
		}
	}
}

func TestDecodeFLOPs(t *testing.T) {
	s := DenseShape{BodyParams: 1000, HeadParams: 100, Layers: 2, Heads: 3, HeadDimK: 4, HeadDimV: 5}
	// 2*1100, and 2*2*3*9 = 108 for each of 10 + 2 positions.
	if got, err := DecodeFLOPsPerTok(s, 10, 3); err != nil || got != 2200+108*12 {
		t.Errorf("%v, %v, want %d", got, err, 2200+108*12)
	}
	// The steps of a decode and the prefill before it are what a prefill of all
	// those tokens takes, whose logits are those of one token only.
	prompt, err1 := PrefillFLOPs(s, 10)
	all, err2 := PrefillFLOPs(s, 17)
	each, err3 := DecodeFLOPsPerTok(s, 10, 7)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if got, want := prompt+7*each, all+7*2*float64(s.HeadParams); got != want {
		t.Errorf("prefill and 7 steps are %g operations, a prefill of all and 7 outputs %g", got, want)
	}
}

// The published shapes of the five models, and the bytes that one position of one
// sequence takes in blocks of 32 values, by hand: layers x KV heads x head size x
// 2 / 32 x the bytes of a block.
func TestKVBytesOfBatches(t *testing.T) {
	shapes := map[string]struct {
		KVShape
		blocks int64 // of K and V, of one position
	}{
		"gpt2":         {KVShape{12, 12, 64, 64}, 576},
		"llama-3.2-1b": {KVShape{16, 8, 64, 64}, 512},
		"qwen2.5-1.5b": {KVShape{28, 2, 128, 128}, 448},
		"phi-2":        {KVShape{32, 32, 80, 80}, 5120},
		"llama-3.2-3b": {KVShape{28, 8, 128, 128}, 1792},
	}
	blockBytes := map[string]int64{"f16": 64, "q8_0": 34, "q4_0": 18}
	cases := 0
	for name, s := range shapes {
		for elem, bytes := range blockBytes {
			for _, tokens := range []int{1, 64, 384} {
				for _, batch := range []int{1, 2, 7, 64} {
					cases++
					t.Run(fmt.Sprintf("%s/%s/%d/%d", name, elem, tokens, batch), func(t *testing.T) {
						e, err := ElemTypeNamed(elem)
						if err != nil {
							t.Fatal(err)
						}
						got, err := KVBytes(s.KVShape, e, e, batch, tokens)
						if want := s.blocks * bytes * int64(batch) * int64(tokens); err != nil || got != want {
							t.Errorf("%d bytes, %v, want %d", got, err, want)
						}
					})
				}
			}
		}
	}
	if cases < 60 {
		t.Errorf("%d cases, want 60 at least", cases)
	}
}
