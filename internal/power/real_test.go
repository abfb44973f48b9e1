package power

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/wire"
)

// TestRealGPU samples the first GPU of this machine for a while, if it has one,
// and says what its sensors can do.
func TestRealGPU(t *testing.T) {
	lib := nvml.New()
	if ret := lib.Init(); ret != nvml.SUCCESS {
		t.Skip("no NVML here:", ret)
	}
	defer lib.Shutdown()
	dev, ret := lib.DeviceGetHandleByIndex(0)
	if ret != nvml.SUCCESS {
		t.Skip("no GPU here:", ret)
	}
	d := cudaDevice(t, dev)
	tel, warning := open(lib, "/sys", os.Open, t.TempDir(), []wire.Device{d})
	if tel == nil {
		t.Fatal(warning)
	}
	t.Logf("%+v %q", tel.GPUs(), warning)

	logCosts(t, tel)
	start := clock.NowNs()
	time.Sleep(3 * time.Second)
	r := tel.gpuSampler.report(start, clock.NowNs())
	if err := tel.Close(); err != nil {
		t.Error(err)
	}
	if doubts := tel.gpuSampler.takeDoubts(); len(r.samples) < 20 || r.lost || len(doubts) > 0 {
		t.Fatalf("%d samples, lost %v, doubts %q", len(r.samples), r.lost, doubts)
	}
	t.Logf("%d samples, one every %v; period of power %v, of the counter %v", len(r.samples), r.interval, r.powerPeriod, r.energyPeriod)
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	watts := mean(r.samples, func(s *Sample) *float64 { return s.powerW(powerSource(r.samples...)) })
	if watts == nil || *watts < 1 || *watts > 5000 {
		t.Fatalf("mean power %v W", watts)
	}
	t.Logf("mean power %.1f W", *watts)
	if first.EnergyJ != nil {
		// The counter and the power are of one sensor; their ends differ by a period of it.
		byCounter := (*last.EnergyJ - *first.EnergyJ) / (float64(last.TimeNs-first.TimeNs) / 1e9)
		t.Logf("by the energy counter %.1f W", byCounter)
		if math.Abs(byCounter / *watts - 1) > 0.25 {
			t.Errorf("the energy counter says %.1f W, power %.1f W", byCounter, *watts)
		}
	}
}

// cudaDevice describes a GPU as the engine does, by cudaDeviceGetPCIBusId.
func cudaDevice(t *testing.T, dev nvml.Device) wire.Device {
	pci, ret := dev.GetPciInfo()
	if ret != nvml.SUCCESS {
		t.Fatal(ret)
	}
	return wire.Device{Name: "CUDA0", Kind: "gpu", Backend: "CUDA", PCIBusID: fmt.Sprintf("%04x:%02x:%02x.0", pci.Domain, pci.Bus, pci.Device)}
}

// logCosts says what reading each metric costs once it is warm.
func logCosts(t *testing.T, tel *Telemetry) {
	tel.Pause()
	defer tel.Resume()
	g := tel.gpu
	cost := func(name string, read func()) {
		const n = 100
		took := make([]time.Duration, n)
		read()
		for i := range took {
			before := time.Now()
			read()
			took[i] = time.Since(before)
		}
		slices.Sort(took)
		t.Logf("%-40s median %8.1f µs, most %8.1f µs", name, float64(took[n/2])/1e3, float64(took[n-1])/1e3)
	}
	if tel.lib.Extensions().LookupSymbol("nvmlDeviceGetFieldValues") == nil {
		rets := askFields(g.dev, fast, new(Sample))
		for i, m := range fast {
			t.Logf("field %d, %s: %v", m.field, m.name, rets[i])
			cost("field "+m.name, func() { askFields(g.dev, fast[i:i+1], new(Sample)) })
		}
		cost("all fields in one call", func() { askFields(g.dev, fast, new(Sample)) })
	}
	for _, m := range slices.Concat(fast, slow) {
		if m.read != nil && tel.lib.Extensions().LookupSymbol(m.symbol) == nil {
			cost("call "+m.symbol, func() { m.read(g.dev, new(Sample)) })
		}
	}
	cost("a sample", func() { g.Read(want{counter: true}) })
	cost("a sample with what lasts", func() { g.Read(want{counter: true, lasting: true}) })
}

// TestRealSurvey says what every source of this machine can do.
func TestRealSurvey(t *testing.T) {
	devices := []wire.Device{{Name: "CPU", Kind: "cpu", Backend: "CPU"}}
	lib := nvml.New()
	if lib.Init() == nvml.SUCCESS {
		defer lib.Shutdown()
		if dev, ret := lib.DeviceGetHandleByIndex(0); ret == nvml.SUCCESS {
			devices = append(devices, cudaDevice(t, dev))
		}
	}
	reports := Survey(devices, "/sys", time.Second)
	for _, r := range reports {
		t.Logf("%+v", r)
		if r.Name == "" || r.Detail == "" {
			t.Errorf("says nothing: %+v", r)
		}
	}
	if len(reports) < len(devices) {
		t.Errorf("%d reports on %d devices", len(reports), len(devices))
	}
}
