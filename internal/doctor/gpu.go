package doctor

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/wire"
)

// GPU checks the state of a CUDA device of the engine's, through NVML. It reads
// only.
func GPU(lib nvml.Interface, d wire.Device) []Line {
	s := section{name: "gpu"}
	const unknown = "see the power lines: they need NVML as well"
	if ret := lib.Init(); ret != nvml.SUCCESS {
		s.warn(d.Name, unknown, "its state is not known: NVML: %v", ret)
		return s.lines
	}
	defer lib.Shutdown()
	dev, ret := lib.DeviceGetHandleByPciBusId(d.PCIBusID)
	if ret != nvml.SUCCESS {
		s.warn(d.Name, unknown, "its state is not known: NVML, at PCI bus id %q: %v", d.PCIBusID, ret)
		return s.lines
	}
	if version, ret := lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		s.ok("driver", "%s", version)
	}
	var untold []string
	for _, c := range gpuChecks {
		ret := nvml.Return(nvml.ERROR_FUNCTION_NOT_FOUND)
		if hasAll(lib, c.symbols) {
			ret = c.look(&s, lib, dev)
		}
		if ret != nvml.SUCCESS {
			untold = append(untold, c.name)
		}
	}
	if len(untold) > 0 {
		s.ok("untold", "the GPU or its driver does not tell its %s", strings.Join(untold, ", "))
	}
	return s.lines
}

// gpuCheck adds a line if NVML can tell, and returns what NVML returned. Its
// symbols must be in the driver's library: calling one that is not ends the
// process.
type gpuCheck struct {
	name    string
	symbols []string
	look    func(*section, nvml.Interface, nvml.Device) nvml.Return
}

func hasAll(lib nvml.Interface, symbols []string) bool {
	for _, symbol := range symbols {
		if lib.Extensions().LookupSymbol(symbol) != nil {
			return false
		}
	}
	return true
}

var gpuChecks = []gpuCheck{
	{"persistence mode", []string{"nvmlDeviceGetPersistenceMode"}, persistence},
	{"compute mode", []string{"nvmlDeviceGetComputeMode"}, computeMode},
	{"MIG mode", []string{"nvmlDeviceGetMigMode"}, mig},
	{"ECC mode", []string{"nvmlDeviceGetEccMode"}, ecc},
	{"processes", []string{"nvmlDeviceGetComputeRunningProcesses"}, processes},
	{"power limit", []string{"nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementDefaultLimit"}, powerLimit},
	{"application clocks", []string{"nvmlDeviceGetApplicationsClock", "nvmlDeviceGetDefaultApplicationsClock"}, applicationClocks},
	{"throttling", []string{"nvmlDeviceGetCurrentClocksEventReasons"}, throttling},
}

func persistence(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	mode, ret := dev.GetPersistenceMode()
	if ret != nvml.SUCCESS {
		return ret
	}
	if mode == nvml.FEATURE_ENABLED {
		s.ok("persistence mode", "on")
	} else {
		s.warn("persistence mode", "sudo nvidia-smi -pm 1, until the next boot", "off: between two workers the driver lets go of the GPU, and the next one starts slow and at other clocks")
	}
	return ret
}

func computeMode(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	mode, ret := dev.GetComputeMode()
	if ret != nvml.SUCCESS {
		return ret
	}
	switch mode {
	case nvml.COMPUTEMODE_PROHIBITED:
		s.fail("compute mode", "sudo nvidia-smi -c DEFAULT", "prohibited: no process may compute on it")
	case nvml.COMPUTEMODE_EXCLUSIVE_PROCESS, nvml.COMPUTEMODE_EXCLUSIVE_THREAD:
		s.warn("compute mode", "sudo nvidia-smi -c DEFAULT, unless it is there to keep others away during the run",
			"exclusive: while any other process holds the GPU, rows fail")
	default:
		s.ok("compute mode", "default")
	}
	return ret
}

func mig(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	now, _, ret := dev.GetMigMode()
	if ret != nvml.SUCCESS {
		return ret
	}
	s.check(now == nvml.DEVICE_MIG_ENABLE, "MIG mode", "measure on a whole card (its administrator: nvidia-smi -mig 0), or say beside every figure that it is of a slice",
		"%s", onOff(now == nvml.DEVICE_MIG_ENABLE, "on: power and clocks are those of all slices, time and memory those of one"))
	return ret
}

func ecc(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	now, pending, ret := dev.GetEccMode()
	if ret != nvml.SUCCESS {
		return ret
	}
	seen := onOff(now == nvml.FEATURE_ENABLED, "on")
	if now != pending {
		seen += ", and after the next reboot " + onOff(pending == nvml.FEATURE_ENABLED, "on")
	}
	s.check(now != pending, "ECC mode", "reboot, or set it back with sudo nvidia-smi -e, so that it does not change between two sessions of the run", "%s", seen)
	return ret
}

func onOff(on bool, text string) string {
	if on {
		return text
	}
	return "off"
}

func processes(s *section, lib nvml.Interface, dev nvml.Device) nvml.Return {
	infos, ret := dev.GetComputeRunningProcesses()
	if ret != nvml.SUCCESS {
		return ret
	}
	if len(infos) == 0 {
		s.ok("processes", "no other computes on it")
		return ret
	}
	var names []string
	for _, p := range infos {
		name, _ := lib.SystemGetProcessName(int(p.Pid))
		if name == "" { // of another user, or of another container
			name = "a process"
		}
		memory := ""
		if p.UsedGpuMemory != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
			memory = fmt.Sprintf(", %d MiB", p.UsedGpuMemory/mib)
		}
		names = append(names, fmt.Sprintf("%s (pid %d%s)", name, p.Pid, memory))
	}
	s.warn("processes", "stop them, or let the run wait for the GPU to be free with energy: {foreign: wait} in the matrix",
		"others compute on it, and share its time, memory and power: %s", strings.Join(names, ", "))
	return ret
}

func powerLimit(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	limit, ret := dev.GetEnforcedPowerLimit()
	if ret != nvml.SUCCESS {
		return ret
	}
	usual, ret := dev.GetPowerManagementDefaultLimit()
	if ret != nvml.SUCCESS {
		return ret
	}
	s.check(limit < usual, "power limit", fmt.Sprintf("sudo nvidia-smi -pl %d, or report the figures as those of a limited card", usual/1000),
		"%.0f W, by default %.0f W", float64(limit)/1000, float64(usual)/1000)
	return ret
}

func applicationClocks(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	now, ret := dev.GetApplicationsClock(nvml.CLOCK_SM)
	if ret != nvml.SUCCESS {
		return ret
	}
	usual, ret := dev.GetDefaultApplicationsClock(nvml.CLOCK_SM)
	if ret != nvml.SUCCESS {
		return ret
	}
	s.check(now != usual, "application clocks", "sudo nvidia-smi -rac, or report the figures as those of these clocks",
		"SM %d MHz, by default %d MHz", now, usual)
	return ret
}

// throttling tells what holds the clocks down now. Nothing runs, so that only
// what is set or out of order can.
func throttling(s *section, _ nvml.Interface, dev nvml.Device) nvml.Return {
	mask, ret := dev.GetCurrentClocksEventReasons()
	if ret != nvml.SUCCESS {
		return ret
	}
	reasons := power.Reasons(mask &^ nvml.ClocksEventReasonGpuIdle)
	s.check(reasons != 0, "throttling", "nvidia-smi -q -d PERFORMANCE,CLOCK,TEMPERATURE says more; sudo nvidia-smi -rgc lets go of locked clocks",
		"%s", cmp.Or(strings.Join(reasons.Names(), ", "), "none"))
	return ret
}
