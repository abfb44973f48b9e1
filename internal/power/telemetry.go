package power

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

// Telemetry samples the GPU that workers use. It is a runner.Telemetry.
type Telemetry struct {
	lib     nvml.Interface
	gpu     *gpu
	sampler *sampler
	told    map[string]bool // doubts that rows carry
}

// Open begins to sample the GPU that workers use, the first CUDA device of
// those the engine sees, into File in the folder dir. Telemetry is not worth a
// run: where there is none it is nil, and warning says what will be missing and
// what to do about it. There is no warning where there is no such GPU.
func Open(dir string, devices []wire.Device) (t *Telemetry, warning string) {
	for _, d := range devices {
		if d.Kind == "gpu" && d.Backend == "CUDA" {
			return open(nvml.New(), dir, d)
		}
	}
	return nil, ""
}

func open(lib nvml.Interface, dir string, d wire.Device) (*Telemetry, string) {
	nothing := func(doing string, err error) (*Telemetry, string) {
		return nil, fmt.Sprintf("power, clocks, temperature and memory of the GPU are not recorded: %s: %v%s", doing, err, advice(err))
	}
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return nothing("NVML", ret)
	}
	g, missing, err := openGPU(lib, d.PCIBusID)
	if err != nil {
		lib.Shutdown()
		return nothing(fmt.Sprintf("NVML, %s at PCI bus id %q", d.Name, d.PCIBusID), err)
	}
	log, err := openLog(dir, maxFileBytes)
	if err != nil {
		lib.Shutdown()
		return nothing("samples", err)
	}
	warning := ""
	if len(missing) > 0 {
		warning = fmt.Sprintf("%s does not tell its %s: not recorded", d.Name, strings.Join(missing, ", "))
	}
	t := &Telemetry{lib: lib, gpu: g, sampler: newSampler(g, log), told: map[string]bool{}}
	go t.sampler.run()
	return t, warning
}

// advice says what to do about an error of NVML.
func advice(err error) string {
	var ret nvml.Return
	if !errors.As(err, &ret) {
		return ""
	}
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return "; libnvidia-ml.so.1 comes with the driver, and into a container with NVIDIA_DRIVER_CAPABILITIES=compute,utility"
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return "; load the kernel module nvidia"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return "; the driver was updated since its kernel module was loaded: reboot"
	case nvml.ERROR_NO_PERMISSION:
		return "; the user needs access to /dev/nvidiactl and /dev/nvidia*"
	}
	return ""
}

// Annotate adds what was sampled while an ok row was measured.
func (t *Telemetry) Annotate(r *record.Record, span runner.Span) {
	seen := t.sampler.report(span.StartNs-int64(interval), span.EndNs+int64(interval))
	r.Warnings = append(r.Warnings, seen.doubts...)
	if seen.lost {
		return
	}
	if r.DeviceKind != "gpu" {
		attributeIdle(r, span, seen.samples)
		return
	}
	for _, name := range []string{"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} {
		if _, set := r.EngineEnv[name]; set {
			t.tell(r, "power, clocks, temperature and memory of the GPU are not recorded: the backend's env sets "+name+", so it may use another GPU than the one that is sampled; set it for bench itself")
			return
		}
	}
	attribute(r, span, seen.samples)
	r.PhasePower.SensorPeriodMs = seen.periodMs
	known := slices.ContainsFunc(seen.samples, func(s Sample) bool { return s.procs != nil })
	if known && r.GPUPeakTotalMB == nil {
		t.tell(r, "the GPU memory of the worker process is not recorded: NVML does not list it under its process id; in a container, share the host's ids (docker run --pid=host)")
	}
}

// tell adds a doubt to a row unless an earlier row carries it.
func (t *Telemetry) tell(r *record.Record, doubt string) {
	if !t.told[doubt] {
		t.told[doubt] = true
		r.Warnings = append(r.Warnings, doubt)
	}
}

// Describe returns what is fixed about the GPU.
func (t *Telemetry) Describe() environ.GPU {
	d := environ.GPU{PCIBusID: t.gpu.busID}
	// What cannot be read stays empty.
	if name, ret := t.gpu.dev.GetName(); ret == nvml.SUCCESS {
		d.Name = name
	}
	if version, ret := t.lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		d.Driver = version
	}
	if mW, ret := t.gpu.dev.GetEnforcedPowerLimit(); ret == nvml.SUCCESS {
		watts := float64(mW) / 1e3
		d.PowerLimitW = &watts
	}
	return d
}

// Close ends the sampling.
func (t *Telemetry) Close() error {
	err := t.sampler.close()
	if ret := t.lib.Shutdown(); ret != nvml.SUCCESS {
		err = errors.Join(err, fmt.Errorf("NVML: %w", ret))
	}
	return err
}
