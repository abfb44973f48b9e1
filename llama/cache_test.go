//go:build cgo

package llama

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/econ"
)

// fits reports whether the blocks of a cache type divide the heads of a model.
func fits(t econ.ElemType, headDim int) bool { return headDim%t.Elems == 0 }

// Every pair of types of K and V that a model's heads have room for evaluates
// what it does with F16, as well as its bits allow; every other is refused.
func TestCacheTypePairs(t *testing.T) {
	// Largest difference of a logit, relative to the largest logit. Seen were up
	// to 0.006 with 16 bits and more, 0.016 with 8, 0.1 with 5 and 0.27 with 4.
	tolerance := func(e econ.ElemType) float64 {
		switch bits := 8 * e.Bytes / e.Elems; {
		case bits >= 16:
			return 0.01
		case bits >= 8:
			return 0.04
		case bits >= 5 && e.Bytes > 20: // q4_1 has 5 with its scales
			return 0.2
		default:
			return 0.5
		}
	}
	for _, arch := range []string{"tiny-llama", "tiny-phi2"} {
		m := tinyModel(t, arch)
		prompt := promptOf(m, batchPrompt)
		want := evaluateAlone(t, m, prompt, FlashOn).logits[0]
		pairs := 0
		for _, k := range econ.ElemTypes() {
			for _, v := range econ.ElemTypes() {
				name := fmt.Sprintf("%s with K %s and V %s", arch, k.Name, v.Name)
				for _, flash := range []FlashAttn{FlashAuto, FlashOff} {
					p := ContextParams{NCtx: batchPrompt, TypeK: k.Name, TypeV: v.Name, FlashAttn: flash, HostArgmax: true, Threads: 1}
					c, err := m.NewContext(p)
					allowed := fits(k, m.Info().HeadDimK) && fits(v, m.Info().HeadDimV) && (flash != FlashOff || v.Elems == 1)
					if !allowed {
						if !errors.Is(err, ErrBadInput) || !(strings.Contains(err.Error(), "do not divide") || strings.Contains(err.Error(), "needs flash attention")) {
							t.Errorf("%s, flash attention %d: %v, want a refusal", name, flash, err)
						}
						closeContext(t, c)
						continue
					}
					if err != nil {
						t.Errorf("%s, flash attention %d: %v", name, flash, err)
						continue
					}
					pairs++
					if _, err := c.Prefill(prompt); err != nil {
						t.Errorf("%s, flash attention %d: %v", name, flash, err)
					} else if logits, err := c.Logits(); err != nil {
						t.Error(err)
					} else if d := farthest(logits, want); !(d <= max(tolerance(k), tolerance(v))) { // NaN is not
						t.Errorf("%s, flash attention %d: logits differ by %.2g from those with F16", name, flash, d)
					}
					closeContext(t, c)
				}
			}
		}
		// 9 types each way with flash attention, and 3 of V without; of blocks none fit phi-2.
		if want := map[string]int{"tiny-llama": 81 + 27, "tiny-phi2": 2 * 9}[arch]; pairs != want {
			t.Errorf("%s: %d combinations evaluated, want %d", arch, pairs, want)
		}
	}
}

// For every architecture, number of positions and sequences, and types of K and
// V, the payload is what econ's formula says, to the byte. The two Llamas have
// the heads of the published models.
func TestCacheIsExact(t *testing.T) {
	pairs := [][2]string{{"q8_0", "f16"}, {"f16", "q4_0"}, {"q5_1", "iq4_nl"}, {"f32", "bf16"}}
	for _, e := range econ.ElemTypes() {
		pairs = append(pairs, [2]string{e.Name, e.Name})
	}
	layouts := []struct {
		sequences int
		unified   bool
		positions []int
	}{{1, false, []int{1, 40, 257}}, {8, false, []int{9}}, {3, true, []int{1, 33}}}
	cases := 0
	check := func(arch string, k, v econ.ElemType, sequences int, unified bool, positions []int) {
		t.Helper()
		m := tinyModel(t, arch)
		i := m.Info()
		last := positions[len(positions)-1]
		b := newBatch(t, m, ContextParams{NCtx: last, Sequences: sequences, TypeK: k.Name, TypeV: v.Name, FlashAttn: FlashOn, Unified: unified})
		defer b.Close()
		prompt := promptOf(m, last)
		for _, n := range positions {
			feed := make([][]int32, sequences)
			for seq := range feed {
				feed[seq] = prompt[b.Pos():n]
			}
			if _, err := b.Prefill(feed); err != nil {
				t.Fatal(err)
			}
			used, err := b.KVUsedBytes()
			if err != nil {
				t.Fatal(err)
			}
			shape := econ.KVShape{Layers: i.Layers, KVHeads: i.KVHeads, HeadDimK: i.HeadDimK, HeadDimV: i.HeadDimV}
			want, err := econ.KVBytes(shape, k, v, sequences, n)
			if err != nil || used != want {
				t.Errorf("%s, K %s, V %s, %d sequences (unified %v) at %d positions: %d bytes, want %d, %v", arch, k.Name, v.Name, sequences, unified, n, used, want, err)
			}
			cases++
		}
	}
	for _, pair := range pairs {
		k, errK := econ.ElemTypeNamed(pair[0])
		v, errV := econ.ElemTypeNamed(pair[1])
		if errK != nil || errV != nil {
			t.Fatal(errK, errV)
		}
		for _, arch := range tinyArchs {
			if i := tinyModel(t, arch).Info(); !fits(k, i.HeadDimK) || !fits(v, i.HeadDimV) {
				continue // refused: TestCacheTypePairs
			}
			for _, l := range layouts {
				check(arch, k, v, l.sequences, l.unified, l.positions)
			}
		}
		if k == v {
			check("tiny-qwen2", k, v, 1, false, []int{2048})
		}
	}
	// 13 pairs, of which phi-2's heads have room for 4; 9 of one type.
	if want := 6*(4*13+4) + 9; cases != want {
		t.Errorf("%d cases, want %d", cases, want)
	}
}
