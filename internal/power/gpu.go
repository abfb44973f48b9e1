package power

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
)

// errLost is returned by a device that will not come back.
var errLost = errors.New("the GPU is lost")

// gpu reads one GPU through NVML. It belongs to one goroutine at a time.
type gpu struct {
	dev        nvml.Device
	busID      string
	fast, slow []metric // that it has
}

// metric is one thing NVML can tell about a GPU. NVML's units end here.
type metric struct {
	name   string
	symbol string // that the driver's library must have: calling one that it lacks ends the process
	read   func(nvml.Device, *Sample) nvml.Return
}

// fast are the quantities that move within a phase; a sample's time is theirs.
var fast = []metric{
	{"instant power", "nvmlDeviceGetFieldValues", func(d nvml.Device, s *Sample) (ret nvml.Return) {
		s.PowerInstantW, ret = field(d, nvml.FI_DEV_POWER_INSTANT, 1e-3) // mW
		return ret
	}},
	{"total energy", "nvmlDeviceGetTotalEnergyConsumption", func(d nvml.Device, s *Sample) nvml.Return {
		mJ, ret := d.GetTotalEnergyConsumption()
		return put(&s.EnergyJ, float64(mJ)/1e3, ret)
	}},
	{"average power", "nvmlDeviceGetPowerUsage", func(d nvml.Device, s *Sample) nvml.Return {
		mW, ret := d.GetPowerUsage()
		return put(&s.PowerAverageW, float64(mW)/1e3, ret)
	}},
}

// slow are the others. Of those with one name the first that works is used.
var slow = []metric{
	{"temperature", "nvmlDeviceGetTemperature", func(d nvml.Device, s *Sample) nvml.Return {
		c, ret := d.GetTemperature(nvml.TEMPERATURE_GPU)
		return put(&s.TempC, float64(c), ret)
	}},
	{"SM clock", "nvmlDeviceGetClockInfo", func(d nvml.Device, s *Sample) nvml.Return {
		mhz, ret := d.GetClockInfo(nvml.CLOCK_SM)
		return put(&s.SMMHz, float64(mhz), ret)
	}},
	{"memory clock", "nvmlDeviceGetClockInfo", func(d nvml.Device, s *Sample) nvml.Return {
		mhz, ret := d.GetClockInfo(nvml.CLOCK_MEM)
		return put(&s.MemMHz, float64(mhz), ret)
	}},
	{"throttle reasons", "nvmlDeviceGetCurrentClocksEventReasons", func(d nvml.Device, s *Sample) nvml.Return {
		mask, ret := d.GetCurrentClocksEventReasons()
		s.Throttle = Reasons(mask)
		return ret
	}},
	{"throttle reasons", "nvmlDeviceGetCurrentClocksThrottleReasons", func(d nvml.Device, s *Sample) nvml.Return {
		mask, ret := d.GetCurrentClocksThrottleReasons() // the name before driver 535
		s.Throttle = Reasons(mask)
		return ret
	}},
	{"utilisation", "nvmlDeviceGetUtilizationRates", func(d nvml.Device, s *Sample) nvml.Return {
		u, ret := d.GetUtilizationRates()
		return put(&s.UtilPct, float64(u.Gpu), ret)
	}},
	{"memory of processes", "nvmlDeviceGetComputeRunningProcesses", func(d nvml.Device, s *Sample) nvml.Return {
		infos, ret := d.GetComputeRunningProcesses()
		if ret != nvml.SUCCESS {
			return ret
		}
		s.procs = make([]process, 0, len(infos))
		for _, p := range infos {
			if p.UsedGpuMemory != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
				s.procs = append(s.procs, process{int(p.Pid), float64(p.UsedGpuMemory) / 1e6})
			}
		}
		return ret
	}},
}

// put stores a value that was read.
func put(at **float64, v float64, ret nvml.Return) nvml.Return {
	if ret == nvml.SUCCESS {
		*at = &v
	}
	return ret
}

// field reads one of NVML's numbered fields, of the GPU alone, times scale.
func field(d nvml.Device, id uint32, scale float64) (*float64, nvml.Return) {
	values := []nvml.FieldValue{{FieldId: id, ScopeId: nvml.POWER_SCOPE_GPU}}
	if ret := d.GetFieldValues(values); ret != nvml.SUCCESS {
		return nil, ret
	}
	f := values[0]
	if ret := nvml.Return(f.NvmlReturn); ret != nvml.SUCCESS {
		return nil, ret
	}
	var v float64
	switch bits := f.Value[:]; nvml.ValueType(f.ValueType) {
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		v = float64(binary.NativeEndian.Uint32(bits))
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		v = float64(binary.NativeEndian.Uint64(bits))
	case nvml.VALUE_TYPE_DOUBLE:
		v = math.Float64frombits(binary.NativeEndian.Uint64(bits))
	default:
		return nil, nvml.ERROR_NOT_SUPPORTED
	}
	v *= scale
	return &v, nvml.SUCCESS
}

// openGPU finds the GPU with a PCI bus id and tries what it can tell. missing
// names what it cannot.
func openGPU(lib nvml.Interface, busID string) (g *gpu, missing []string, err error) {
	dev, ret := lib.DeviceGetHandleByPciBusId(busID)
	if ret != nvml.SUCCESS {
		return nil, nil, ret
	}
	g = &gpu{dev: dev, busID: busID}
	try := func(list []metric) (usable []metric) {
		works := map[string]bool{}
		for _, m := range list {
			if !works[m.name] && lib.Extensions().LookupSymbol(m.symbol) == nil && m.read(dev, new(Sample)) == nvml.SUCCESS {
				works[m.name] = true
				usable = append(usable, m)
			}
		}
		for _, m := range list {
			if !works[m.name] && !slices.Contains(missing, m.name) {
				missing = append(missing, m.name)
			}
		}
		return usable
	}
	g.fast, g.slow = try(fast), try(slow)
	return g, missing, nil
}

// Read takes one sample. What could not be read is absent from it; it is an
// error if that is everything, and errLost if the GPU is gone for good.
func (g *gpu) Read() (Sample, error) {
	s := Sample{GPU: g.busID}
	var failed error
	read := 0
	all := func(list []metric) {
		for _, m := range list {
			switch ret := m.read(g.dev, &s); ret {
			case nvml.SUCCESS:
				read++
			case nvml.ERROR_GPU_IS_LOST:
				failed = errLost
			default:
				failed = cmp.Or(failed, fmt.Errorf("%s: %w", m.name, ret))
			}
		}
	}
	before := clock.NowNs()
	all(g.fast)
	s.TimeNs = before + (clock.NowNs()-before)/2
	all(g.slow)
	if read > 0 && failed != errLost {
		failed = nil
	}
	return s, failed
}
