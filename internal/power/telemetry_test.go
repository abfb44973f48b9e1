package power

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

func TestOpenWithoutGPU(t *testing.T) {
	for _, devices := range [][]wire.Device{
		nil,
		{{Name: "Vulkan0", Kind: "gpu", Backend: "Vulkan"}},
	} {
		if tel, warning := Open(t.TempDir(), devices); tel != nil || warning != "" {
			t.Errorf("%v: %v, %q", devices, tel, warning)
		}
	}
}

func TestOpenThatFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*card)
		busID  string
		dir    string
		want   string
		shut   int
	}{
		{"no library", func(c *card) { c.init = nvml.ERROR_LIBRARY_NOT_FOUND }, busID, "", "ERROR_LIBRARY_NOT_FOUND; libnvidia-ml.so.1 comes with the driver", 0},
		{"denied", func(c *card) { c.init = nvml.ERROR_NO_PERMISSION }, busID, "", "ERROR_NO_PERMISSION; the user needs access", 0},
		{"driver updated", func(c *card) { c.init = nvml.ERROR_LIB_RM_VERSION_MISMATCH }, busID, "", "reboot", 0},
		{"another GPU", func(*card) {}, "0000:ff:00.0", "", `CUDA0 at PCI bus id "0000:ff:00.0": ERROR_NOT_FOUND`, 1},
		{"no folder", func(*card) {}, busID, "none", "no such file or directory", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCard()
			tc.change(c)
			d := cuda0
			d.PCIBusID = tc.busID
			tel, warning := open(c.lib(), t.TempDir(), os.Open, filepath.Join(t.TempDir(), tc.dir), []wire.Device{d})
			if tel != nil || !strings.Contains(warning, tc.want) || strings.Contains(warning, "\n") || c.shut != tc.shut {
				t.Errorf("%v, %q, want %q; %d shutdowns", tel, warning, tc.want, c.shut)
			}
		})
	}
}

// TestOpenHere uses what this machine has: mostly no NVIDIA library.
func TestOpenHere(t *testing.T) {
	tel, warning := Open(t.TempDir(), []wire.Device{cuda0})
	if tel != nil {
		t.Cleanup(func() { tel.Close() })
	} else if !strings.HasPrefix(warning, "power, clocks, temperature and memory of the GPU are not recorded: NVML") {
		t.Errorf("warning %q", warning)
	}
}

// telemetry watches a card; the test takes the samples.
func telemetry(t *testing.T, c *card) *Telemetry {
	t.Helper()
	g := c.open(t)
	s := testSampler(t, g)
	return &Telemetry{lib: c.lib(), gpu: g, gpuSampler: s, log: s.log, told: map[string]bool{}, elsewhere: map[string]bool{}}
}

// row samples n times and returns what a row of that time is told.
func (tel *Telemetry) row(n int, kind string, change ...func(*record.Record)) record.Record {
	r := record.Record{DeviceKind: kind}
	for _, f := range change {
		f(&r)
	}
	span := runner.Span{PID: 42, StartNs: clock.NowNs()}
	span.PrefillEndNs = span.StartNs
	for range n {
		tel.gpuSampler.poll()
	}
	span.EndNs = clock.NowNs() + 1
	tel.Annotate(&r, span)
	return r
}

func TestAnnotate(t *testing.T) {
	tel := telemetry(t, newCard())
	got := tel.row(3, "gpu")
	if p := got.PhasePower; p == nil || p.Decode.NSamples != 3 || *p.Decode.PowerMeanW != 650.5 || p.Source != "instant" ||
		p.Prefill != (record.PowerStats{}) || p.SensorPeriodMs != nil || *got.GPUPeakTotalMB != 2500 || len(got.Warnings) > 0 {
		t.Errorf("%+v, %+v", got, p)
	}
	data, err := os.ReadFile(tel.log.path)
	if n := strings.Count(string(data), "\n"); err != nil || n != 3 {
		t.Errorf("%d samples in the file after the row, %v", n, err)
	}

	got = tel.row(3, "cpu")
	if got.GPUIdlePowerW == nil || *got.GPUIdlePowerW != 650.5 {
		t.Errorf("CPU row: idle power %v", got.GPUIdlePowerW)
	}
	got.GPUIdlePowerW = nil
	if !reflect.DeepEqual(got, record.Record{DeviceKind: "cpu"}) {
		t.Errorf("CPU row: more than idle power: %+v", got)
	}
}

func TestAnnotateWithoutInstantPower(t *testing.T) {
	c := newCard()
	c.GetFieldValuesFunc = func([]nvml.FieldValue) nvml.Return { return nvml.ERROR_NOT_SUPPORTED }
	tel, warning := open(c.lib(), "", os.Open, t.TempDir(), []wire.Device{cuda0})
	if tel == nil || warning != "CUDA0 does not tell its instant power: not recorded" {
		t.Fatalf("%v, %q", tel, warning)
	}
	if err := tel.Close(); err != nil || c.shut != 1 {
		t.Errorf("close: %v, %d shutdowns", err, c.shut)
	}
	got := telemetry(t, c).row(2, "gpu")
	if p := got.PhasePower; p.Source != "average" || *p.Decode.PowerMeanW != 400.25 {
		t.Errorf("%+v", p)
	}
}

func TestAnnotateAfterTheGPUWasLost(t *testing.T) {
	promise.Of(t, "NVML loses the GPU", "an NVML mock that answers GPU_IS_LOST after some rows",
		"rows go on without power, which is absent and not 0; one warning says why")
	c := newCard()
	tel := telemetry(t, c)
	tel.row(2, "gpu")
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	var warnings []string
	for range 3 {
		got := tel.row(1, "gpu")
		warnings = append(warnings, got.Warnings...)
		got.Warnings = nil
		if !reflect.DeepEqual(got, record.Record{DeviceKind: "gpu"}) {
			t.Errorf("after the loss: %+v", got)
		}
		if got := tel.row(1, "cpu"); got.GPUIdlePowerW != nil {
			t.Errorf("idle power of a lost GPU: %v", *got.GPUIdlePowerW)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "the GPU is lost") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestAnnotateWithAStuckCounter(t *testing.T) {
	c := newCard()
	watts := uint64(100_000)
	c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return {
		watts += 1000
		return fields(map[uint32]uint64{186: watts})(f)
	}
	tel := telemetry(t, c) // its total energy never changes
	got := tel.row(20, "gpu")
	// Opening it read 101 W; the samples are 102 to 121 W.
	if p := got.PhasePower; p.Decode.NSamples != 20 || *p.Decode.PowerMeanW != 111.5 || p.SensorPeriodMs == nil {
		t.Errorf("%+v", p)
	}
}

func TestAnnotateAWorkerThatNVMLDoesNotList(t *testing.T) {
	c := newCard()
	// One process, surely the worker under another id; but nothing says so.
	c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{Pid: 31337, UsedGpuMemory: 1e9}}, nvml.SUCCESS
	}
	tel := telemetry(t, c)
	first, second := tel.row(2, "gpu"), tel.row(2, "gpu")
	for _, r := range []record.Record{first, second} {
		if r.GPUPeakTotalMB != nil || r.GPUPeakPrefillMB != nil || r.PhasePower.Decode.PowerMeanW == nil {
			t.Errorf("%+v", r)
		}
	}
	if len(first.Warnings) != 1 || !strings.Contains(first.Warnings[0], "NVML does not list it") || len(second.Warnings) != 0 {
		t.Errorf("warnings %q, then %q", first.Warnings, second.Warnings)
	}
}

func TestAnnotateABackendThatPicksItsGPU(t *testing.T) {
	tel := telemetry(t, newCard())
	pick := func(r *record.Record) { r.EngineEnv = map[string]string{"CUDA_VISIBLE_DEVICES": "1"} }
	first, second := tel.row(2, "gpu", pick), tel.row(2, "gpu", pick)
	if first.PhasePower != nil || first.GPUTempC != nil || len(first.Warnings) != 1 || len(second.Warnings) != 0 {
		t.Errorf("%+v; %q", first, second.Warnings)
	}
	if got := tel.row(2, "gpu"); got.PhasePower == nil {
		t.Error("nothing for a backend that does not")
	}
}

func TestGPUs(t *testing.T) {
	c := newCard()
	tel := telemetry(t, c)
	want := []environ.GPU{{PCIBusID: busID, Name: "NVIDIA H200", Driver: "580.95.05", PowerLimitW: ptr(700.0)}}
	if got := tel.GPUs(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	c.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	if got := tel.GPUs(); got[0].PowerLimitW != nil {
		t.Errorf("power limit %v", *got[0].PowerLimitW)
	}
}
