package compare

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/analyze"
)

// Allowance is how far two processes that do the same may lie apart, as a share.
type Allowance struct{ Prefill, Decode float64 }

// What pairs of launches of one configuration lay apart in the studies that are
// in reports, each launch doing the same work in a process of its own. GPU, 450
// pairs (H200): decode less than 3 % in four of five, prefill of some
// milliseconds less than 20 % in nineteen of twenty. CPU, 276 pairs (two cores of a
// virtual machine): decode less than 25 %, prefill less than 15 % in nineteen of
// twenty. Decode on a GPU is held against the narrower share because its rows
// are means over hundreds of steps and several repetitions, which those
// launches were not.
var (
	gpuAllowance = Allowance{Prefill: 0.20, Decode: 0.03}
	cpuAllowance = Allowance{Prefill: 0.15, Decode: 0.25}
)

// allowed returns the allowance between two groups: the wider one of what their
// devices have, and a device that is not known counts as both.
func allowed(a, b *analyze.Group, fixed *float64) Allowance {
	if fixed != nil {
		return Allowance{*fixed, *fixed}
	}
	var out Allowance
	for _, g := range []*analyze.Group{a, b} {
		for kind, x := range map[string]Allowance{"cpu": cpuAllowance, "gpu": gpuAllowance} {
			if g.DeviceKind == kind || g.DeviceKind != "cpu" && g.DeviceKind != "gpu" {
				out.Prefill, out.Decode = max(out.Prefill, x.Prefill), max(out.Decode, x.Decode)
			}
		}
	}
	return out
}

// NoiseHelp tells the default allowances in words.
func NoiseHelp() string {
	return fmt.Sprintf("GPU: %.0f%% decode, %.0f%% prefill; CPU: %.0f%%, %.0f%%",
		100*gpuAllowance.Decode, 100*gpuAllowance.Prefill, 100*cpuAllowance.Decode, 100*cpuAllowance.Prefill)
}

// of returns the allowance of a quantity: of a cost that of its phases, each by
// its part of the cost.
func (a Allowance) of(q int, decodeShare float64) float64 {
	switch q {
	case qPrefill, qJPrefill:
		return a.Prefill
	case qDecode, qJDecode:
		return a.Decode
	}
	return (1-decodeShare)*a.Prefill + decodeShare*a.Decode
}
