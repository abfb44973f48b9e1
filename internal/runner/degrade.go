package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

// asIntended are reasons that hold a GPU's clocks back and are no fault: it is
// at rest, at the power it was built for, or at clocks that its owner set.
var asIntended = []string{"gpu_idle", "sw_power_cap", "applications_clocks_setting"}

// degrade flags a row during which the GPU was too hot or slowed down, and says
// why.
func degrade(rec *record.Record, maxTempC float64) {
	var why []string
	if rec.GPUTempC != nil && *rec.GPUTempC > maxTempC {
		why = append(why, fmt.Sprintf("the GPU was at %.0f °C, more than %g °C", *rec.GPUTempC, maxTempC))
	}
	slowed := slices.DeleteFunc(slices.Clone(rec.Throttle), func(reason string) bool { return slices.Contains(asIntended, reason) })
	if len(slowed) > 0 {
		why = append(why, "its clocks were held back by "+strings.Join(slowed, ", "))
	}
	if len(why) > 0 {
		rec.Degraded = true
		rec.Warnings = append(rec.Warnings, record.DegradedWarning+strings.Join(why, "; "))
	}
}
