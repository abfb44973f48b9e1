package power

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/wire"
)

func nowNs() int64 { return clock.NowNs() }

// find returns the report with a name.
func find(t *testing.T, reports []SourceReport, name string) SourceReport {
	t.Helper()
	for _, r := range reports {
		if r.Name == name {
			return r
		}
	}
	t.Errorf("no %q in %+v", name, reports)
	return SourceReport{}
}

func TestSurvey(t *testing.T) {
	c := newCard()
	start := time.Now()
	c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return { // 600 W and 1 W more every 50 ms
		return fields(map[uint32]uint64{186: 600_000 + 1000*uint64(time.Since(start)/(50*time.Millisecond))})(f)
	}
	c.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }
	p := newPowercap(t)
	p.zone("intel-rapl:0", "package-0", 5)
	reports := survey(c.lib(), os.Open, []wire.Device{cpu, cuda0}, p.root, 700*time.Millisecond)
	for _, want := range []struct {
		name   string
		ok     bool
		detail []string
		fix    string
	}{
		// 700 ms hold 13 changes; a busy machine may be late for some.
		{"NVML instant power, GPU 0", true, []string{" W, a new value every ", " ms, smallest change 1 W"}, ""},
		{"NVML average power, GPU 0", true, []string{"400.2 W, did not change in 0."}, ""},
		{"NVML total energy, GPU 0", true, []string{"0.0 W by it, did not change in 0."}, ""},
		{"NVML SM clock, GPU 0", true, []string{"1980.0 MHz"}, ""},
		{"NVML throttle reasons, GPU 0", true, []string{"sw_power_cap"}, ""},
		{"NVML temperature, GPU 0", false, []string{"this GPU or its driver does not tell it"}, ""},
		{"NVML memory of processes, GPU 0", false, []string{"NO_PERMISSION"}, "the user needs access"},
		{"RAPL energy, CPU packages (1)", true, []string{"0.0 W by it, did not change"}, ""},
		{"RAPL energy, memory", false, []string{"only the packages are measured"}, ""},
	} {
		r := find(t, reports, want.name)
		if r.OK != want.ok || !strings.HasPrefix(r.Fix, want.fix) || (r.Fix == "") != (want.fix == "") {
			t.Errorf("%+v, want %+v", r, want)
		}
		for _, part := range want.detail {
			if !strings.Contains(r.Detail, part) {
				t.Errorf("%s: %q lacks %q", r.Name, r.Detail, part)
			}
		}
	}
	if c.shut != 1 {
		t.Errorf("%d shutdowns", c.shut)
	}
}

func TestSurveyOfWhatIsNotThere(t *testing.T) {
	c := newCard()
	c.init = nvml.ERROR_DRIVER_NOT_LOADED
	p := server(t)
	reports := survey(c.lib(), noRight, []wire.Device{cuda0}, p.root, 0)
	if r := find(t, reports, "NVML, GPU 0"); r.OK || !strings.Contains(r.Detail, "CUDA0: ") || !strings.Contains(r.Fix, "load the kernel module") {
		t.Errorf("%+v", r)
	}
	if r := find(t, reports, "RAPL energy of the CPU"); r.OK || !strings.Contains(r.Detail, "only root") || !strings.Contains(r.Fix, "chmod a+r") {
		t.Errorf("%+v", r)
	}
	if c.shut != 0 {
		t.Errorf("%d shutdowns of what was not started", c.shut)
	}
	reports = survey(nil, os.Open, nil, newPowercap(t).root, 0)
	if len(reports) != 1 || reports[0].OK || reports[0].Detail == "" {
		t.Errorf("nothing at all: %+v", reports)
	}
}

func TestSurveyOfAGPUThatIsLost(t *testing.T) {
	promise.Of(t, "the GPU is lost while it is surveyed", "an NVML mock that answers GPU_IS_LOST",
		"what cannot be read is told with its reason")
	c := newCard()
	reads := 0
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) {
		if reads++; reads > 3 {
			return 0, nvml.ERROR_GPU_IS_LOST
		}
		return 400_000, nvml.SUCCESS
	}
	reports := survey(c.lib(), os.Open, []wire.Device{cuda0}, t.TempDir(), 50*time.Millisecond)
	if r := find(t, reports, "NVML instant power, GPU 0"); r.OK || r.Detail != errLost.Error() {
		t.Errorf("%+v", r)
	}
}
