package power

import (
	"encoding/json"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Reasons is what holds a GPU's clocks below their maximum: NVML's clock event
// reasons, a bit each. It is written as a list of names.
type Reasons uint64

// reasonNames names the bits as nvidia-smi does, in snake case.
var reasonNames = map[Reasons]string{
	nvml.ClocksEventReasonGpuIdle:                   "gpu_idle",
	nvml.ClocksEventReasonApplicationsClocksSetting: "applications_clocks_setting",
	nvml.ClocksEventReasonSwPowerCap:                "sw_power_cap",
	nvml.ClocksThrottleReasonHwSlowdown:             "hw_slowdown",
	nvml.ClocksEventReasonSyncBoost:                 "sync_boost",
	nvml.ClocksEventReasonSwThermalSlowdown:         "sw_thermal_slowdown",
	nvml.ClocksThrottleReasonHwThermalSlowdown:      "hw_thermal_slowdown",
	nvml.ClocksThrottleReasonHwPowerBrakeSlowdown:   "hw_power_brake_slowdown",
	nvml.ClocksEventReasonDisplayClockSetting:       "display_clock_setting",
	nvml.ClocksEventReasonBoardLimit:                "board_limit",
	nvml.ClocksEventReasonReliability:               "reliability",
}

// Names lists the reasons by name, in the order of NVML's bits. One that is
// newer than this program is named by its bit.
func (r Reasons) Names() []string {
	var names []string
	for bit := Reasons(1); bit != 0 && bit <= r; bit <<= 1 {
		if r&bit == 0 {
			continue
		}
		name, known := reasonNames[bit]
		if !known {
			name = fmt.Sprintf("reason_0x%x", uint64(bit))
		}
		names = append(names, name)
	}
	return names
}

// MarshalJSON writes the names.
func (r Reasons) MarshalJSON() ([]byte, error) { return json.Marshal(r.Names()) }
