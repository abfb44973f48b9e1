package compare

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/analyze"
)

// Allowance is how far two processes that do the same may lie apart, as a share.
type Allowance struct{ Prefill, Decode float64 }

// What pairs of launches of one configuration lay apart by in the studies under
// reports, each launch doing the same work in a process of its own. On a GPU
// (H200) decode lay within 3 % in four of five of 900 pairs, and prefill, which
// took milliseconds, within 25 % in nineteen of twenty of 450. On a CPU (two cores
// of a virtual machine, 552 pairs) decode lay within 30 % in nineteen of twenty;
// prefill lay closer there, but not on days when others used the machine.
// Decode on a GPU gets the narrower share since those launches timed it once and
// rows are several repetitions of it.
var (
	gpuAllowance = Allowance{Prefill: 0.25, Decode: 0.03}
	cpuAllowance = Allowance{Prefill: 0.30, Decode: 0.30}
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
	return fmt.Sprintf("GPU: decode %s, prefill %s; CPU: decode %s, prefill %s",
		percent(gpuAllowance.Decode), percent(gpuAllowance.Prefill), percent(cpuAllowance.Decode), percent(cpuAllowance.Prefill))
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
