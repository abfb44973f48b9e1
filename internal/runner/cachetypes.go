package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// checkCaches skips the cells whose cache types cannot be measured: those that
// the engine refuses for this model, and those that CUDA has no attention kernel
// for, where the engine goes on without a word: on the CPU, or by way of a copy
// of the whole cache.
func (g *GroupCheck) checkCaches(host Host) {
	onGPU := g.Backend.Device == "cuda" && engine(g.Backend).GPULayers != 0
	for _, c := range g.running() {
		reason := refusedCache(c.KV, *g.Info)
		if reason == "" && onGPU {
			reason = noKernel(c.KV, *g.Info, c.Backend.FlashAttn, compiledPairs(host.Devices.Features))
		}
		if reason != "" {
			c.skip(record.SkipCache, "%s", reason)
		} else if onGPU && c.Backend.FlashAttn != "off" && flashTakes(c.KV, *g.Info) && alwaysConverted(c.KV, *g.Info) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("attention on the GPU converts a cache of %s to f16 at every step, with heads of %d", c.KV, g.Info.HeadDimK))
		}
	}
}

// refusedCache says why the engine refuses a cache of these types for a model:
// the values of a head must be a whole number of blocks. Empty if it does not.
func refusedCache(kv matrix.KVType, m wire.ModelInfo) string {
	for _, half := range []struct {
		name, elem string
		headDim    int
	}{{"K", kv.K, m.HeadDimK}, {"V", kv.V, m.HeadDimV}} {
		if t, err := econ.ElemTypeNamed(half.elem); err == nil && half.headDim%t.Elems != 0 {
			return fmt.Sprintf("a %s cache of %s has blocks of %d values, which do not divide this model's heads of %d: give it f16, bf16 or f32",
				half.name, half.elem, t.Elems, half.headDim)
		}
	}
	return ""
}

// What CUDA's flash attention can do, of the engine's ggml-cuda/fattn.cu: the
// types it takes, the sizes of heads that are alike for keys and values, and
// those of them that have a kernel for decoding which reads a cache as it is.
// Models whose keys and values differ in size, or have no size that is told, are
// left to the engine.
var (
	flashTypes    = []string{"f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}
	flashHeads    = []int{40, 64, 72, 80, 96, 112, 128, 256, 512}
	flashVecHeads = []int{64, 128, 256}
)

// noKernel says why CUDA would not read a cache of these types as it is, and
// what to do about it; empty if it does. The pairs are those of compiledPairs.
func noKernel(kv matrix.KVType, m wire.ModelInfo, flashAttn string, pairs []string) string {
	if flashAttn == "off" {
		return ""
	}
	if !flashTakes(kv, m) {
		if flashAttn == "auto" && !matrix.Quantized(kv.V) {
			return "" // the engine does without flash attention
		}
		return fmt.Sprintf("CUDA has no flash attention for K %s and V %s with heads of %d, so that attention would run on the CPU: measure it on a backend with device: cpu",
			kv.K, kv.V, m.HeadDimK)
	}
	pair := vecType(kv.K) + "-" + vecType(kv.V)
	if len(pairs) == 0 || slices.Contains(pairs, "all") || slices.Contains(pairs, pair) || !slices.Contains(flashVecHeads, m.HeadDimK) {
		return ""
	}
	return fmt.Sprintf("the engine was built without a CUDA kernel for K %s and V %s, and would convert the whole cache to f16 at every step: take one of %s, or build it: make clean, then FA_QUANTS=%s make cuda",
		kv.K, kv.V, strings.Join(pairs, ", "), pair)
}

// flashTakes reports whether CUDA's flash attention takes a cache of these types.
func flashTakes(kv matrix.KVType, m wire.ModelInfo) bool {
	return slices.Contains(flashTypes, kv.K) && slices.Contains(flashTypes, kv.V) &&
		(m.HeadDimK != m.HeadDimV || m.HeadDimK == 0 || slices.Contains(flashHeads, m.HeadDimK))
}

// vecType is the type whose decode kernel a cache type is given to.
func vecType(name string) string {
	if name == "f32" {
		return "f16"
	}
	return name
}

// alwaysConverted reports whether CUDA's flash attention has no kernel in any
// build that reads a cache of these types as it is.
func alwaysConverted(kv matrix.KVType, m wire.ModelInfo) bool {
	f16 := kv == matrix.KVType{K: "f16", V: "f16"}
	return !f16 && (kv.K == "f32" || kv.V == "f32" || m.HeadDimK != 0 && !slices.Contains(flashVecHeads, m.HeadDimK))
}

// compiledPairs returns the pairs of K and V types that the engine has CUDA
// kernels for by its own line of features, e.g. "q8_0-q8_0", or "all"; none if
// it does not tell.
func compiledPairs(features string) []string {
	_, list, ok := strings.Cut(features, "FA_QUANTS = ")
	if !ok {
		return nil
	}
	list, _, _ = strings.Cut(list, " ")
	pairs := strings.Split(list, ",")
	if !slices.Contains(pairs, "f16-f16") {
		pairs = append(pairs, "f16-f16") // which is in every build
	}
	return pairs
}
