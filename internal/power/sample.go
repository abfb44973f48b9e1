// Package power watches what devices draw while rows are measured: a GPU
// through NVML, the CPU's packages and memory through RAPL. The parent process
// samples them on CLOCK_MONOTONIC, the clock that workers stamp phases with, so
// that samples can be told apart by phase and the worker is not disturbed.
package power

// Where samples are from.
const (
	sourceNVML = "nvml"
	sourceRAPL = "rapl"
)

// Sample is one look at a source. What it does not tell is absent.
type Sample struct {
	TimeNs int64  `json:"t_ns"`          // CLOCK_MONOTONIC when power and energy were read
	Source string `json:"source"`        // "nvml" or "rapl"
	GPU    string `json:"gpu,omitempty"` // PCI bus id, lower-case domain:bus:device.function

	// PowerInstantW is the sensor's latest value. PowerAverageW is, on Ampere
	// and later but GA100, the mean over the second before, which a short phase
	// shares with what came before it; older GPUs give a momentary value.
	PowerInstantW *float64 `json:"power_instant_w,omitempty"`
	PowerAverageW *float64 `json:"power_average_w,omitempty"`
	// EnergyJ counts from when a GPU's driver was loaded, or from when bench
	// began to read RAPL. RAPL's is of all packages and, where DRAMJ is there,
	// of the memory, which DRAMJ gives apart.
	EnergyJ *float64 `json:"energy_j,omitempty"`
	DRAMJ   *float64 `json:"dram_j,omitempty"`

	// What lasts is read with every slowEvery-th sample of a GPU only.
	TempC    *float64 `json:"temp_c,omitempty"`
	SMMHz    *float64 `json:"sm_mhz,omitempty"`
	MemMHz   *float64 `json:"mem_mhz,omitempty"`
	Throttle Reasons  `json:"throttle,omitempty"`
	UtilPct  *float64 `json:"util_pct,omitempty"` // of the driver's last period, in which any kernel ran

	slow  bool      // what lasts was read
	procs []process // that compute on the GPU; nil if not known
}

// process computes on a GPU.
type process struct {
	pid    int
	usedMB *float64 // GPU memory that it holds, in 10^6 bytes; nil if not known
}

// Where a GPU's power is from; see Sample.
const (
	instant = "instant"
	average = "average"
)

// powerSource returns the better source of power that samples have; empty if
// they have none.
func powerSource(samples ...Sample) string {
	source := ""
	for _, s := range samples {
		switch {
		case s.PowerInstantW != nil:
			return instant
		case s.PowerAverageW != nil:
			source = average
		}
	}
	return source
}

// powerW returns the power by a source.
func (s *Sample) powerW(source string) *float64 {
	if source == instant {
		return s.PowerInstantW
	}
	return s.PowerAverageW
}
