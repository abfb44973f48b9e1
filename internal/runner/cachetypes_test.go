package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// What an engine built for an H200 says of itself.
const cudaFeatures = "CUDA : ARCHS = 900 | USE_GRAPHS = 1 | FA_QUANTS = q4_0-q4_0,q8_0-q8_0,bf16-bf16 | CPU : SSE3 = 1 | "

func TestCacheTypes(t *testing.T) {
	const block, cpu, slow = "do not divide", "run on the CPU", "FA_QUANTS="
	for _, c := range []struct {
		k, v    string
		headDim int
		flash   string
		device  string
		reason  string // "" for a cell that runs
	}{
		{"f16", "f16", 80, "auto", "cuda", ""},
		{"q8_0", "f16", 80, "auto", "cpu", block},
		{"f16", "q4_0", 80, "auto", "cpu", block},
		{"q8_0", "f16", 80, "off", "cpu", block},
		{"bf16", "bf16", 80, "auto", "cuda", ""},
		{"q8_0", "q8_0", 64, "auto", "cuda", ""},
		{"q4_0", "q4_0", 128, "on", "cuda", ""},
		{"f32", "f32", 128, "on", "cuda", ""},
		{"q8_0", "f16", 128, "auto", "cuda", slow + "q8_0-f16"},
		{"q8_0", "f16", 128, "auto", "cpu", ""},
		{"q8_0", "f16", 128, "off", "cuda", ""},
		{"q8_0", "f32", 64, "on", "cuda", slow + "q8_0-f16"},
		{"q5_1", "q5_1", 64, "auto", "cuda", slow + "q5_1-q5_1"},
		{"q5_1", "q5_1", 96, "auto", "cuda", ""},
		{"iq4_nl", "iq4_nl", 64, "auto", "cuda", cpu},
		{"iq4_nl", "f16", 64, "auto", "cuda", ""}, // does without flash attention
		{"iq4_nl", "f16", 64, "on", "cuda", cpu},
		{"iq4_nl", "iq4_nl", 64, "auto", "cpu", ""},
		{"f16", "f16", 160, "auto", "cuda", ""},
		{"bf16", "bf16", 160, "auto", "cuda", ""}, // likewise
		{"f16", "f16", 160, "on", "cuda", cpu},
		{"q8_0", "q8_0", 160, "auto", "cuda", cpu},
	} {
		name := c.k + "-" + c.v + " on " + c.device
		g := GroupCheck{
			Backend: matrix.Backend{Device: c.device, FlashAttn: c.flash},
			Info:    &wire.ModelInfo{HeadDimK: c.headDim, HeadDimV: c.headDim},
		}
		g.Cells = []CellCheck{{Cell: matrix.Cell{Backend: g.Backend, KV: matrix.KVType{K: c.k, V: c.v}}}}
		g.checkCaches(Host{Devices: wire.DevicesReply{Features: cudaFeatures}})
		got := g.Cells[0]
		if (c.reason == "") != got.runs() || !strings.Contains(got.SkipReason, c.reason) {
			t.Errorf("%s, heads of %d, flash_attn %s: %q, want %q in it", name, c.headDim, c.flash, got.SkipReason, c.reason)
		}
		if !got.runs() && got.SkipKind != record.SkipCache {
			t.Errorf("%s: skipped as %q", name, got.SkipKind)
		}
		warns := c.device == "cuda" && c.flash != "off" && c.reason == "" &&
			(c.k == "f32" || c.k != "f16" && (c.headDim == 80 || c.headDim == 96))
		if (len(got.Warnings) > 0) != warns {
			t.Errorf("%s, heads of %d, flash_attn %s warns %q", name, c.headDim, c.flash, got.Warnings)
		}
	}
}

// A build that has a pair runs it, and one that does not tell is not judged.
func TestCompiledPairs(t *testing.T) {
	if got := compiledPairs(cudaFeatures); !slices.Equal(got, []string{"q4_0-q4_0", "q8_0-q8_0", "bf16-bf16", "f16-f16"}) {
		t.Errorf("pairs %q", got)
	}
	kv, m := matrix.KVType{K: "q8_0", V: "f16"}, wire.ModelInfo{HeadDimK: 64, HeadDimV: 64}
	for features, runs := range map[string]bool{
		cudaFeatures: false, "CUDA : USE_GRAPHS = 1 | ": true, "": true,
		"CUDA : FA_QUANTS = all | ": true, "CUDA : FA_QUANTS = f16-f16,q8_0-f16 | ": true, "CUDA : FA_QUANTS = f16-f16,f16-q8_0 | ": false,
	} {
		if reason := noKernel(kv, m, "auto", compiledPairs(features)); (reason == "") != runs {
			t.Errorf("%q: %q", features, reason)
		}
	}
}

// Rows of a cell with refused types are skipped, and the others of the model run.
func TestCacheTypesAreSkippedByThemselves(t *testing.T) {
	s := spec()
	s.KVTypes = []matrix.KVType{{K: "q8_0", V: "q8_0"}, {K: "f16", V: "f16"}}
	e := newFake()
	e.headDim = 80
	rows, _ := play(t, s, e, nil)
	wantLines(t, lines(rows), `
0 m cpu a q8_0/0: skipped a K cache of q8_0 has blocks of 32 values, which do not divide this model's heads of 80: give it f16, bf16 or f32
0 m cpu a f16/0: ok`)
}
