package power

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"github.com/phasebench/phasebench/internal/wire"
)

const busID = "0000:1b:00.0"

var cuda0 = wire.Device{Name: "CUDA0", Kind: "gpu", Backend: "CUDA", PCIBusID: busID}

// card is a GPU with one process on it. A test changes what it returns; of a
// function that is nil the driver's library lacks the symbol.
type card struct {
	mock.Device
	lacks []string // symbols
	init  nvml.Return
	shut  int // calls of Shutdown
}

func newCard() *card {
	c := &card{}
	c.GetFieldValuesFunc = fields(map[uint32]uint64{186: 650_500})
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 400_250, nvml.SUCCESS }
	c.GetTotalEnergyConsumptionFunc = func() (uint64, nvml.Return) { return 123_456_789_012_345, nvml.SUCCESS }
	c.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 51, nvml.SUCCESS }
	c.GetClockInfoFunc = func(t nvml.ClockType) (uint32, nvml.Return) {
		return map[nvml.ClockType]uint32{nvml.CLOCK_SM: 1980, nvml.CLOCK_MEM: 3201}[t], nvml.SUCCESS
	}
	c.GetCurrentClocksEventReasonsFunc = func() (uint64, nvml.Return) { return nvml.ClocksEventReasonSwPowerCap, nvml.SUCCESS }
	c.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 97, Memory: 60}, nvml.SUCCESS }
	c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{Pid: 42, UsedGpuMemory: 2_500_000_000}, {Pid: 43, UsedGpuMemory: math.MaxUint64}}, nvml.SUCCESS
	}
	c.GetNameFunc = func() (string, nvml.Return) { return "NVIDIA H200", nvml.SUCCESS }
	c.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 700_000, nvml.SUCCESS }
	return c
}

// fields answers for fields of the GPU alone as NVML does, in mW or mJ; those
// that are not there are not supported.
func fields(values map[uint32]uint64) func([]nvml.FieldValue) nvml.Return {
	return func(asked []nvml.FieldValue) nvml.Return {
		for i := range asked {
			f := &asked[i]
			v, known := values[f.FieldId]
			switch {
			case !known:
				f.NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
			case f.ScopeId != 0:
				f.NvmlReturn = uint32(nvml.ERROR_INVALID_ARGUMENT)
			case v > math.MaxUint32:
				f.ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG)
				binary.NativeEndian.PutUint64(f.Value[:], v)
			default:
				f.ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_INT)
				binary.NativeEndian.PutUint32(f.Value[:], uint32(v))
			}
		}
		return nvml.SUCCESS
	}
}

// lib is the driver's library of a machine with this card.
func (c *card) lib() nvml.Interface {
	return &mock.Interface{
		InitFunc:     func() nvml.Return { return c.init },
		ShutdownFunc: func() nvml.Return { c.shut++; return nvml.SUCCESS },
		SystemGetProcessNameFunc: func(pid int) (string, nvml.Return) {
			if pid == 43 {
				return "", nvml.ERROR_NOT_FOUND
			}
			return "trainer", nvml.SUCCESS
		},
		SystemGetDriverVersionFunc: func() (string, nvml.Return) { return "580.95.05", nvml.SUCCESS },
		DeviceGetHandleByPciBusIdFunc: func(id string) (nvml.Device, nvml.Return) {
			if id != busID {
				return nil, nvml.ERROR_NOT_FOUND
			}
			return c, nvml.SUCCESS
		},
		ExtensionsFunc: func() nvml.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
				if slices.Contains(c.lacks, name) {
					return errors.New("undefined symbol: " + name)
				}
				return nil
			}}
		},
	}
}

func (c *card) open(t *testing.T) *gpu {
	t.Helper()
	g, err := openGPU(c.lib(), busID)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
