package power

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

// Telemetry samples the GPU that workers use, the CPU, or both. It is a
// runner.Telemetry.
type Telemetry struct {
	lib  nvml.Interface // with gpu
	gpu  *gpu           // nil if none is sampled
	rapl *rapl          // nil if the CPU is not sampled
	log  *sampleLog

	gpuSampler, cpuSampler *sampler // nil without gpu or rapl

	told      map[string]bool // doubts that rows carry
	elsewhere map[string]bool // backends that may use another GPU
}

// The least time between two samples of a source. A sample of RAPL is a system
// call for each package, on a CPU that is measured; its counter moves every
// millisecond and loses nothing by being read less often.
const (
	leastNVMLInterval = 5 * time.Millisecond
	leastRAPLInterval = 20 * time.Millisecond
)

// Open begins to sample devices, which are those that workers use of what the
// engine sees, into File in the folder dir: the first CUDA device through NVML,
// and the CPU through RAPL. Telemetry is not worth a run: t is nil where there
// is nothing to sample, and warning says in one line what will be missing and
// what to do about it. It does not mention devices that are not there, nor a
// CPU without RAPL, on which Survey has more to say.
func Open(dir string, devices []wire.Device) (t *Telemetry, warning string) {
	return open(nvml.New(), "/sys", os.Open, dir, devices)
}

func open(lib nvml.Interface, sysRoot string, openFile opener, dir string, devices []wire.Device) (*Telemetry, string) {
	t := &Telemetry{lib: lib, told: map[string]bool{}, elsewhere: map[string]bool{}}
	var warnings []string
	if i := slices.IndexFunc(devices, isCUDA); i >= 0 {
		warnings = append(warnings, t.openGPU(devices[i])...)
	}
	if slices.ContainsFunc(devices, func(d wire.Device) bool { return d.Kind == "cpu" }) {
		warnings = append(warnings, t.openCPU(sysRoot, openFile)...)
	}
	if t.gpu != nil || t.rapl != nil {
		var err error
		if t.log, err = openLog(dir, MaxFileBytes); err != nil {
			warnings = append(warnings, fmt.Sprintf("power, clocks, temperature and memory are not recorded: samples: %v", errors.Join(err, t.closeSources())))
			t.gpu, t.rapl = nil, nil
		}
	}
	if t.gpu == nil && t.rapl == nil {
		return nil, strings.Join(warnings, "; ")
	}
	if t.gpu != nil {
		t.gpuSampler = newSampler(t.gpu, t.log, leastNVMLInterval)
	}
	if t.rapl != nil {
		t.cpuSampler = newSampler(t.rapl, t.log, leastRAPLInterval)
	}
	for _, s := range t.samplers() {
		go s.run()
	}
	return t, strings.Join(warnings, "; ")
}

func isCUDA(d wire.Device) bool { return d.Kind == "gpu" && d.Backend == "CUDA" }

// openGPU opens a device through NVML if it can, and returns what will be
// missing.
func (t *Telemetry) openGPU(d wire.Device) (warnings []string) {
	nothing := func(doing string, err error) []string {
		return []string{fmt.Sprintf("power, clocks, temperature and memory of the GPU are not recorded: %s: %v%s", doing, err, advice(err))}
	}
	if ret := t.lib.Init(); ret != nvml.SUCCESS {
		return nothing("NVML", ret)
	}
	g, err := openGPU(t.lib, d.PCIBusID)
	if err != nil {
		t.lib.Shutdown()
		return nothing(fmt.Sprintf("NVML, %s at PCI bus id %q", d.Name, d.PCIBusID), err)
	}
	t.gpu = g
	if len(g.missing) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s does not tell its %s: not recorded", d.Name, g.missingNames()))
	}
	return warnings
}

// openCPU opens RAPL if it can, and returns what will be missing.
func (t *Telemetry) openCPU(sysRoot string, openFile opener) (warnings []string) {
	r, err := openRAPL(sysRoot, openFile)
	if err == nil {
		t.rapl = r
		return nil
	}
	if errors.Is(err, errNoRAPL) {
		return nil
	}
	warning := fmt.Sprintf("the CPU's power is not recorded: %v", err)
	var u *unmeasured
	if errors.As(err, &u) && u.fix != "" {
		warning += "; " + u.fix
	}
	return []string{warning}
}

// samplers returns those that run.
func (t *Telemetry) samplers() []*sampler {
	return slices.DeleteFunc([]*sampler{t.gpuSampler, t.cpuSampler}, func(s *sampler) bool { return s == nil })
}

// samplerOf returns what samples a kind of device; nil if nothing does.
func (t *Telemetry) samplerOf(deviceKind string) *sampler {
	switch deviceKind {
	case "gpu":
		return t.gpuSampler
	case "cpu":
		return t.cpuSampler
	}
	return nil
}

// Pause ends all sampling until Resume, so that its cost can be measured. When
// it returns, no sample is being taken. Rows and windows of that time carry
// nothing.
func (t *Telemetry) Pause() {
	for _, s := range t.samplers() {
		s.setPaused(true)
	}
}

// Resume goes on with what Pause ended.
func (t *Telemetry) Resume() {
	for _, s := range t.samplers() {
		s.setPaused(false)
	}
}

// Closely sets whether energy counters are read often enough to tell the energy
// of a window. It costs more than watching rows does.
func (t *Telemetry) Closely(on bool) {
	for _, s := range t.samplers() {
		s.watch(on)
	}
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
	for _, s := range t.samplers() {
		r.Warnings = append(r.Warnings, s.takeDoubts()...)
	}
	if r.DeviceKind == "cpu" && t.cpuSampler != nil {
		seen := t.cpuSampler.report(span.StartNs-int64(lookback), math.MaxInt64)
		attributeCPU(r, span, seen.samples)
		r.PhasePower.SensorPeriodMs = milliseconds(seen.energyPeriod)
	}
	if t.gpuSampler == nil {
		return
	}
	seen := t.gpuSampler.report(span.StartNs-int64(lookback), math.MaxInt64)
	switch {
	case seen.lost:
	case r.DeviceKind != "gpu":
		attributeIdle(r, span, seen.samples)
	case !t.otherGPU(r):
		attribute(r, span, seen.samples)
		r.PhasePower.SensorPeriodMs = milliseconds(seen.powerPeriod)
		known := slices.ContainsFunc(seen.samples, func(s Sample) bool { return s.procs != nil })
		if known && r.GPUPeakTotalMB == nil {
			t.tell(r, "the GPU memory of the worker process is not recorded: NVML does not list it under its process id; in a container, share the host's ids (docker run --pid=host)")
		}
	}
}

// otherGPU tells whether a row's backend may use another GPU than the one
// that is sampled, and says so in the row.
func (t *Telemetry) otherGPU(r *record.Record) bool {
	for _, name := range []string{"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} {
		if _, set := r.EngineEnv[name]; set {
			t.elsewhere[r.Backend] = true
			t.tell(r, "power, clocks, temperature and memory of the GPU are not recorded: the backend's env sets "+name+", so it may use another GPU than the one that is sampled; set it for bench itself")
			return true
		}
	}
	return false
}

// tell adds a doubt to a row unless an earlier row carries it.
func (t *Telemetry) tell(r *record.Record, doubt string) {
	if !t.told[doubt] {
		t.told[doubt] = true
		r.Warnings = append(r.Warnings, doubt)
	}
}

// unlearnedPeriod stands for a sensor whose values were not seen to change
// often enough: the longest that is usual.
const unlearnedPeriod = 100 * time.Millisecond

// SensorPeriod returns the time between two values of what tells the energy of
// a kind of device, "cpu" or "gpu"; ok is false when nothing tells it. It is 100
// ms until it was learned, which a second of load is enough for.
func (t *Telemetry) SensorPeriod(deviceKind string) (period time.Duration, ok bool) {
	s := t.samplerOf(deviceKind)
	if s == nil {
		return 0, false
	}
	now := s.report(math.MaxInt64, math.MaxInt64)
	return cmp.Or(now.period(), unlearnedPeriod), !now.lost
}

// Judge adds to a window what was sampled during it, and whether it is valid;
// pid is the worker. It waits until samples two periods after the end are
// there, but not much longer. A window that the worker could not do is left as
// it is.
func (t *Telemetry) Judge(w *record.WindowRecord, pid int) {
	if w.Error != nil {
		return
	}
	s := t.samplerOf(w.DeviceKind)
	if s == nil || w.DeviceKind == "gpu" && t.elsewhere[w.Backend] {
		judge(w, report{}, pid)
		return
	}
	period, _ := t.SensorPeriod(w.DeviceKind)
	s.await(w.EndNs+2*int64(period), 2*period+time.Second)
	judge(w, s.report(w.OpenNs-int64(lookback), math.MaxInt64), pid)
}

// GPUs returns what is fixed about the GPU that is sampled; nothing if none is.
func (t *Telemetry) GPUs() []environ.GPU {
	if t.gpu == nil {
		return nil
	}
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
	return []environ.GPU{d}
}

// Close ends the sampling.
func (t *Telemetry) Close() error {
	for _, s := range t.samplers() {
		s.close()
	}
	return errors.Join(t.log.close(), t.closeSources())
}

func (t *Telemetry) closeSources() error {
	var err error
	if t.rapl != nil {
		err = t.rapl.close()
	}
	if t.gpu != nil {
		if ret := t.lib.Shutdown(); ret != nvml.SUCCESS {
			err = errors.Join(err, fmt.Errorf("NVML: %w", ret))
		}
	}
	return err
}
