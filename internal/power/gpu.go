package power

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
)

// errLost is returned by a device that will not come back.
var errLost = errors.New("the GPU is lost")

// gpu reads one GPU through NVML. It belongs to one goroutine at a time.
type gpu struct {
	dev        nvml.Device
	busID      string
	fields     []metric // that one call of nvmlDeviceGetFieldValues tells
	fast, slow []metric // that a call each tells
	missing    []absence
}

// metric is one thing NVML can tell about a GPU. NVML's units end here.
type metric struct {
	name, unit string
	at         func(*Sample) **float64 // where it goes; nil if it is no number
	text       func(*Sample) string    // tells it in words then
	field      uint32                  // of nvmlDeviceGetFieldValues, in thousandths of the unit; 0 for none
	counter    bool                    // counts energy, and takes milliseconds to be read
	symbol     string                  // that read calls: calling one that the driver's library lacks ends the process
	read       func(nvml.Device, *Sample) nvml.Return
}

// absence is a metric that a GPU does not tell.
type absence struct {
	name string
	ret  nvml.Return
}

// fast are the quantities that move within a phase; a sample's time is theirs.
// One call for the fields of all of them costs a fraction of a call each.
var fast = []metric{
	{
		name: "instant power", unit: "W", at: func(s *Sample) **float64 { return &s.PowerInstantW },
		field: nvml.FI_DEV_POWER_INSTANT,
	},
	{
		name: "total energy", unit: "J", at: func(s *Sample) **float64 { return &s.EnergyJ },
		counter: true, field: nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION, symbol: "nvmlDeviceGetTotalEnergyConsumption",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mJ, ret := d.GetTotalEnergyConsumption()
			return put(&s.EnergyJ, float64(mJ)/1e3, ret)
		},
	},
	{
		name: "average power", unit: "W", at: func(s *Sample) **float64 { return &s.PowerAverageW },
		field: nvml.FI_DEV_POWER_AVERAGE, symbol: "nvmlDeviceGetPowerUsage",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mW, ret := d.GetPowerUsage()
			return put(&s.PowerAverageW, float64(mW)/1e3, ret)
		},
	},
}

// slow are the others. Of those with one name the first that works is used.
var slow = []metric{
	{
		name: "temperature", unit: "°C", at: func(s *Sample) **float64 { return &s.TempC }, symbol: "nvmlDeviceGetTemperature",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			c, ret := d.GetTemperature(nvml.TEMPERATURE_GPU)
			return put(&s.TempC, float64(c), ret)
		},
	},
	{
		name: "SM clock", unit: "MHz", at: func(s *Sample) **float64 { return &s.SMMHz }, symbol: "nvmlDeviceGetClockInfo",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mhz, ret := d.GetClockInfo(nvml.CLOCK_SM)
			return put(&s.SMMHz, float64(mhz), ret)
		},
	},
	{
		name: "memory clock", unit: "MHz", at: func(s *Sample) **float64 { return &s.MemMHz }, symbol: "nvmlDeviceGetClockInfo",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mhz, ret := d.GetClockInfo(nvml.CLOCK_MEM)
			return put(&s.MemMHz, float64(mhz), ret)
		},
	},
	{
		name: "throttle reasons", text: throttleText, symbol: "nvmlDeviceGetCurrentClocksEventReasons",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mask, ret := d.GetCurrentClocksEventReasons()
			s.Throttle = Reasons(mask)
			return ret
		},
	},
	{
		name: "throttle reasons", text: throttleText, symbol: "nvmlDeviceGetCurrentClocksThrottleReasons", // the name before driver 535
		read: func(d nvml.Device, s *Sample) nvml.Return {
			mask, ret := d.GetCurrentClocksThrottleReasons()
			s.Throttle = Reasons(mask)
			return ret
		},
	},
	{
		name: "utilisation", unit: "%", at: func(s *Sample) **float64 { return &s.UtilPct }, symbol: "nvmlDeviceGetUtilizationRates",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			u, ret := d.GetUtilizationRates()
			return put(&s.UtilPct, float64(u.Gpu), ret)
		},
	},
	{
		name: "memory of processes", text: func(s *Sample) string { return fmt.Sprintf("%d processes compute on it", len(s.procs)) },
		symbol: "nvmlDeviceGetComputeRunningProcesses",
		read: func(d nvml.Device, s *Sample) nvml.Return {
			infos, ret := d.GetComputeRunningProcesses()
			if ret != nvml.SUCCESS {
				return ret
			}
			s.procs = make([]process, len(infos))
			for i, p := range infos {
				s.procs[i].pid = int(p.Pid)
				if p.UsedGpuMemory != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
					put(&s.procs[i].usedMB, float64(p.UsedGpuMemory)/1e6, ret)
				}
			}
			return ret
		},
	},
}

func throttleText(s *Sample) string { return cmp.Or(strings.Join(s.Throttle.Names(), ", "), "none") }

// put stores a value that was read.
func put(at **float64, v float64, ret nvml.Return) nvml.Return {
	if ret == nvml.SUCCESS {
		*at = &v
	}
	return ret
}

// askFields reads the fields of metrics, of the GPU alone, in one call. It
// returns what came of each.
func askFields(d nvml.Device, metrics []metric, s *Sample) []nvml.Return {
	values := make([]nvml.FieldValue, len(metrics))
	for i, m := range metrics {
		values[i] = nvml.FieldValue{FieldId: m.field, ScopeId: nvml.POWER_SCOPE_GPU}
	}
	rets := make([]nvml.Return, len(metrics))
	ret := d.GetFieldValues(values)
	for i, m := range metrics {
		rets[i] = cmp.Or(ret, nvml.Return(values[i].NvmlReturn))
		if rets[i] == nvml.SUCCESS {
			v, ret := number(&values[i])
			rets[i] = put(m.at(s), v/1e3, ret)
		}
	}
	return rets
}

// number returns the value of a field.
func number(f *nvml.FieldValue) (float64, nvml.Return) {
	switch bits := f.Value[:]; nvml.ValueType(f.ValueType) {
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return float64(binary.NativeEndian.Uint32(bits)), nvml.SUCCESS
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(binary.NativeEndian.Uint64(bits)), nvml.SUCCESS
	case nvml.VALUE_TYPE_DOUBLE:
		return math.Float64frombits(binary.NativeEndian.Uint64(bits)), nvml.SUCCESS
	}
	return 0, nvml.ERROR_NOT_SUPPORTED
}

// openGPU finds the GPU with a PCI bus id and tries what it can tell.
func openGPU(lib nvml.Interface, busID string) (*gpu, error) {
	dev, ret := lib.DeviceGetHandleByPciBusId(busID)
	if ret != nvml.SUCCESS {
		return nil, ret
	}
	g := &gpu{dev: dev, busID: busID}
	has := func(symbol string) bool { return symbol != "" && lib.Extensions().LookupSymbol(symbol) == nil }
	rest := fast
	if has("nvmlDeviceGetFieldValues") {
		rest = nil
		for i, ret := range askFields(dev, fast, new(Sample)) {
			if ret == nvml.SUCCESS {
				g.fields = append(g.fields, fast[i])
			} else {
				rest = append(rest, fast[i])
			}
		}
	}
	try := func(list []metric) (usable []metric) {
		came := map[string]nvml.Return{}
		for _, m := range list {
			if ret, tried := came[m.name]; tried && ret == nvml.SUCCESS {
				continue
			}
			came[m.name] = nvml.ERROR_NOT_SUPPORTED
			if has(m.symbol) {
				came[m.name] = m.read(dev, new(Sample))
			}
			if came[m.name] == nvml.SUCCESS {
				usable = append(usable, m)
			}
		}
		for _, m := range list {
			if ret, tried := came[m.name]; tried && ret != nvml.SUCCESS {
				g.missing = append(g.missing, absence{m.name, ret})
				delete(came, m.name) // named once
			}
		}
		return usable
	}
	g.fast, g.slow = try(rest), try(slow)
	return g, nil
}

// momentary returns the metrics that are no counters.
func momentary(metrics []metric) []metric {
	return slices.DeleteFunc(slices.Clone(metrics), func(m metric) bool { return m.counter })
}

// missingNames lists what a GPU does not tell, in words.
func (g *gpu) missingNames() string {
	var names []string
	for _, m := range g.missing {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// metrics returns all that a GPU tells.
func (g *gpu) metrics() []metric { return slices.Concat(g.fields, g.fast, g.slow) }

// Read takes one sample, with the counter and with what lasts if that is asked
// for. The counter is always read where nothing else tells the power. What could
// not be read is absent; it is an error if that is everything, and errLost if
// the GPU is gone for good.
func (g *gpu) Read(w want) (Sample, error) {
	s := Sample{Source: sourceNVML, GPU: g.busID, slow: w.lasting}
	fields, fast := g.fields, g.fast
	if !w.counter {
		if f, m := momentary(g.fields), momentary(g.fast); len(f)+len(m) > 0 {
			fields, fast = f, m
		}
	}
	var failed error
	read := 0
	note := func(m metric, ret nvml.Return) {
		switch ret {
		case nvml.SUCCESS:
			read++
		case nvml.ERROR_GPU_IS_LOST:
			failed = errLost
		default:
			failed = cmp.Or(failed, fmt.Errorf("%s: %w", m.name, ret))
		}
	}
	before := clock.NowNs()
	if len(fields) > 0 {
		for i, ret := range askFields(g.dev, fields, &s) {
			note(fields[i], ret)
		}
	}
	for _, m := range fast {
		note(m, m.read(g.dev, &s))
	}
	s.TimeNs = before + (clock.NowNs()-before)/2
	if w.lasting {
		for _, m := range g.slow {
			note(m, m.read(g.dev, &s))
		}
	}
	if read > 0 && failed != errLost {
		failed = nil
	}
	return s, failed
}
