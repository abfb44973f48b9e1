package doctor

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// card is a GPU at rest, with nothing to say against it. A test changes what it
// returns.
func card() *mock.Device {
	return &mock.Device{
		GetPersistenceModeFunc: func() (nvml.EnableState, nvml.Return) { return nvml.FEATURE_ENABLED, nvml.SUCCESS },
		GetComputeModeFunc:     func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_DEFAULT, nvml.SUCCESS },
		GetMigModeFunc:         func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_DISABLE, 0, nvml.SUCCESS },
		GetEccModeFunc: func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
			return nvml.FEATURE_ENABLED, nvml.FEATURE_ENABLED, nvml.SUCCESS
		},
		GetComputeRunningProcessesFunc:     func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS },
		GetEnforcedPowerLimitFunc:          func() (uint32, nvml.Return) { return 700_000, nvml.SUCCESS },
		GetPowerManagementDefaultLimitFunc: func() (uint32, nvml.Return) { return 700_000, nvml.SUCCESS },
		GetApplicationsClockFunc:           func(nvml.ClockType) (uint32, nvml.Return) { return 1980, nvml.SUCCESS },
		GetDefaultApplicationsClockFunc:    func(nvml.ClockType) (uint32, nvml.Return) { return 1980, nvml.SUCCESS },
		GetCurrentClocksEventReasonsFunc:   func() (uint64, nvml.Return) { return nvml.ClocksEventReasonGpuIdle, nvml.SUCCESS },
	}
}

// library is the driver's, of a machine with one card at the bus id of
// cudaDevice; it lacks some symbols.
func library(dev nvml.Device, lacks ...string) *mock.Interface {
	return &mock.Interface{
		InitFunc:                   func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc:               func() nvml.Return { return nvml.SUCCESS },
		SystemGetDriverVersionFunc: func() (string, nvml.Return) { return "580.95.05", nvml.SUCCESS },
		SystemGetProcessNameFunc: func(pid int) (string, nvml.Return) {
			if pid == 43 {
				return "", nvml.ERROR_NOT_FOUND
			}
			return "trainer", nvml.SUCCESS
		},
		DeviceGetHandleByPciBusIdFunc: func(id string) (nvml.Device, nvml.Return) {
			if id != cudaDevice.PCIBusID {
				return nil, nvml.ERROR_NOT_FOUND
			}
			return dev, nvml.SUCCESS
		},
		ExtensionsFunc: func() nvml.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
				if slices.Contains(lacks, name) {
					return errors.New("undefined symbol: " + name)
				}
				return nil
			}}
		},
	}
}

func TestGPU(t *testing.T) {
	lib := library(card())
	check(t, GPU(lib, cudaDevice),
		want{"driver", OK, "^580", ""},
		want{"persistence mode", OK, "^on$", ""},
		want{"compute mode", OK, "^default$", ""},
		want{"MIG mode", OK, "^off$", ""},
		want{"ECC mode", OK, "^on$", ""},
		want{"processes", OK, "no other", ""},
		want{"power limit", OK, "^700 W, by default 700 W$", ""},
		want{"application clocks", OK, "^SM 1980 MHz, by default 1980 MHz$", ""},
		want{"throttling", OK, "^none$", ""},
	)
	if len(lib.ShutdownCalls()) != 1 {
		t.Error("the library was not let go of")
	}
}

func TestGPUOutOfOrder(t *testing.T) {
	c := card()
	c.GetPersistenceModeFunc = func() (nvml.EnableState, nvml.Return) { return nvml.FEATURE_DISABLED, nvml.SUCCESS }
	c.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_EXCLUSIVE_PROCESS, nvml.SUCCESS }
	c.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 1, nvml.SUCCESS }
	c.GetEccModeFunc = func() (nvml.EnableState, nvml.EnableState, nvml.Return) {
		return nvml.FEATURE_ENABLED, nvml.FEATURE_DISABLED, nvml.SUCCESS
	}
	c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{Pid: 42, UsedGpuMemory: 5 << 20}, {Pid: 43, UsedGpuMemory: math.MaxUint64}}, nvml.SUCCESS
	}
	c.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 450_000, nvml.SUCCESS }
	c.GetApplicationsClockFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 1200, nvml.SUCCESS }
	c.GetCurrentClocksEventReasonsFunc = func() (uint64, nvml.Return) {
		return nvml.ClocksEventReasonSwThermalSlowdown | nvml.ClocksEventReasonApplicationsClocksSetting, nvml.SUCCESS
	}
	check(t, GPU(library(c), cudaDevice),
		want{"driver", OK, "", ""},
		want{"persistence mode", Warn, "^off: ", "nvidia-smi -pm 1"},
		want{"compute mode", Warn, "^exclusive: ", "nvidia-smi -c DEFAULT"},
		want{"MIG mode", Warn, "^on: ", "a slice"},
		want{"ECC mode", Warn, "^on, and after the next reboot off$", "reboot"},
		want{"processes", Warn, `trainer \(pid 42, 5 MiB\), a process \(pid 43\)$`, "foreign: wait"},
		want{"power limit", Warn, "^450 W, by default 700 W$", "nvidia-smi -pl 700,"},
		want{"application clocks", Warn, "^SM 1200 MHz, by default 1980 MHz$", "nvidia-smi -rac"},
		want{"throttling", Warn, "^applications_clocks_setting, sw_thermal_slowdown$", "-rgc"},
	)
	c.GetComputeModeFunc = func() (nvml.ComputeMode, nvml.Return) { return nvml.COMPUTEMODE_PROHIBITED, nvml.SUCCESS }
	check(t, named(GPU(library(c), cudaDevice), "compute mode"), want{"compute mode", Fail, "^prohibited", "nvidia-smi -c DEFAULT"})
}

// What a card or an old driver does not tell is named once, and not called.
func TestGPUUntold(t *testing.T) {
	c := card()
	c.GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
	c.GetCurrentClocksEventReasonsFunc = nil // panics when called
	lines := GPU(library(c, "nvmlDeviceGetCurrentClocksEventReasons"), cudaDevice)
	check(t, named(lines, "untold"), want{"untold", OK, "does not tell its MIG mode, throttling$", ""})
	if len(named(lines, "MIG mode")) != 0 || len(named(lines, "persistence mode")) != 1 {
		t.Errorf("%+v", lines)
	}
}

func TestGPUNotReached(t *testing.T) {
	lib := library(card())
	elsewhere := cudaDevice
	elsewhere.PCIBusID = "0000:ff:00.0"
	check(t, GPU(lib, elsewhere), want{"CUDA0", Warn, `at PCI bus id "0000:ff:00.0"`, "power lines"})
	if len(lib.ShutdownCalls()) != 1 {
		t.Error("the library was not let go of")
	}
	lib.InitFunc = func() nvml.Return { return nvml.ERROR_LIBRARY_NOT_FOUND }
	check(t, GPU(lib, cudaDevice), want{"CUDA0", Warn, "its state is not known: NVML: ", "power lines"})
}
