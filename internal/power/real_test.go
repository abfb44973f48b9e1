package power

import (
	"fmt"
	"math"
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
	pci, ret := dev.GetPciInfo()
	if ret != nvml.SUCCESS {
		t.Fatal(ret)
	}
	// As the engine gives it, by cudaDeviceGetPCIBusId.
	d := wire.Device{Name: "CUDA0", Kind: "gpu", Backend: "CUDA", PCIBusID: fmt.Sprintf("%04x:%02x:%02x.0", pci.Domain, pci.Bus, pci.Device)}
	tel, warning := open(lib, t.TempDir(), d)
	if tel == nil {
		t.Fatal(warning)
	}
	t.Logf("%+v %q", tel.Describe(), warning)

	start := clock.NowNs()
	for _, m := range append(tel.gpu.fast, tel.gpu.slow...) {
		const n = 20
		before := time.Now()
		for range n {
			m.read(tel.gpu.dev, new(Sample))
		}
		t.Logf("%-20s %8.1f µs", m.name, float64(time.Since(before).Microseconds())/n)
	}
	time.Sleep(1500 * time.Millisecond)
	r := tel.sampler.report(start, clock.NowNs())
	if err := tel.Close(); err != nil {
		t.Error(err)
	}
	if len(r.samples) < 20 || r.lost || len(r.doubts) > 0 {
		t.Fatalf("%d samples, lost %v, doubts %q", len(r.samples), r.lost, r.doubts)
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	watts := mean(r.samples, func(s *Sample) *float64 { return s.powerW(powerSource(r.samples...)) })
	if watts == nil || *watts < 1 || *watts > 5000 {
		t.Fatalf("mean power %v W", watts)
	}
	if r.periodMs != nil {
		t.Logf("%d samples, mean power %.1f W, a new value every %.1f ms", len(r.samples), *watts, *r.periodMs)
	}
	if first.EnergyJ != nil {
		// The counter and the power are of one sensor; their ends differ by a period of it.
		byCounter := (*last.EnergyJ - *first.EnergyJ) / (float64(last.TimeNs-first.TimeNs) / 1e9)
		t.Logf("by the energy counter %.1f W", byCounter)
		if math.Abs(byCounter / *watts - 1) > 0.25 {
			t.Errorf("the energy counter says %.1f W, power %.1f W", byCounter, *watts)
		}
	}
}
