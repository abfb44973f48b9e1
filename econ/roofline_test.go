package econ_test

import (
	"testing"

	"github.com/phasebench/phasebench/econ"
)

// TestDecodeBytes counts what each step of each sequence reads.
func TestDecodeBytes(t *testing.T) {
	for _, c := range []struct{ batch, prompt, gen int }{{1, 256, 128}, {1, 1, 1}, {4, 64, 5}} {
		const weights, kv = 1_000_000, 32
		total := 0
		for i := 1; i <= c.gen; i++ {
			total += weights + c.batch*kv*(c.prompt+i)
		}
		want := float64(total) / float64(c.batch*c.gen)
		if got := must[float64](t)(econ.DecodeBytesPerTok(weights, kv, c.batch, c.prompt, c.gen)); !closeTo(got, want, 1e-14) {
			t.Errorf("%+v: %v bytes a token, want %v", c, got, want)
		}
	}
	// 2.48 GB a token at 780 tok/s of 4.3 TB/s.
	if got := must[float64](t)(econ.MBU(2.48e9, 780, 4.3e12)); !closeTo(got, 0.44986046511627905, 1e-12) {
		t.Errorf("MBU %v", got)
	}
}

// TestPrefillFLOPs multiplies matrices token by token.
func TestPrefillFLOPs(t *testing.T) {
	s := econ.DenseShape{BodyParams: 1000, HeadParams: 300, Layers: 3, Heads: 4, HeadDimK: 8, HeadDimV: 6}
	for _, tokens := range []int{1, 2, 64} {
		want := 2 * 300
		for position := 1; position <= tokens; position++ {
			want += 2*1000 + 3*4*position*(2*8+2*6)
		}
		if got := must[float64](t)(econ.PrefillFLOPs(s, tokens)); got != float64(want) {
			t.Errorf("%d tokens: %v FLOPs, want %d", tokens, got, want)
		}
	}
	if got := must[float64](t)(econ.MFU(2e12, 0.01, 8e14)); !closeTo(got, 0.25, 1e-12) {
		t.Errorf("MFU %v", got)
	}
}
