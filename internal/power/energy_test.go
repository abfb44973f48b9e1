package power

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
)

var _ runner.Telemetry = (*Telemetry)(nil)

func TestForeign(t *testing.T) {
	c := newCard()
	tel := telemetry(t, c)
	list := func(pids ...uint32) {
		c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
			var infos []nvml.ProcessInfo
			for _, pid := range pids {
				infos = append(infos, nvml.ProcessInfo{Pid: pid, UsedGpuMemory: 2_500_000_000})
			}
			if len(infos) > 0 && infos[len(infos)-1].Pid == 43 {
				infos[len(infos)-1].UsedGpuMemory = 1<<64 - 1 // not available
			}
			return infos, nvml.SUCCESS
		}
	}
	check := func(name string, pid int, want ...string) {
		t.Helper()
		if got := tel.Foreign(pid); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	list()
	check("nobody", 42)
	list(42)
	check("the worker", 42)
	check("no worker yet", 0, "trainer (pid 42, 2500 MB)")
	check("the worker under another id", 7)
	list(42, 77, 43)
	check("others", 42, "trainer (pid 77, 2500 MB)", "a process (pid 43)")
	list(1042, 77)
	check("one of two", 42, "trainer (pid 1042, 2500 MB)", "trainer (pid 77, 2500 MB)")
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	check("lost", 42)
}

func TestIdle(t *testing.T) {
	const period, interval = 100 * time.Millisecond, 20 * time.Millisecond
	for _, tc := range []struct {
		name               string
		change             func(*Sample)
		wantW, wantDrift   float64
		source             string
		mostOff, mostDrift float64
	}{
		// Power rises by 2 W/s from 70 W: 76 W at 3 s, and 4 W more in the second half of 4 s.
		{"GPU", func(*Sample) {}, 76, 4, "nvml", 0.3, 0.3},
		{"RAPL", func(s *Sample) { s.Source, s.PowerInstantW = "rapl", nil }, 76, 4, "rapl", 1, 1},
	} {
		d := device{load: func(s float64) float64 { return 70 + 2*s }, period: period}
		samples := d.samples(6*time.Second, interval, 0, rand.New(rand.NewPCG(9, 9)))
		for i := range samples {
			tc.change(&samples[i])
		}
		samples[100].slow, samples[100].TempC = true, ptr(33.0)
		var idle record.DeviceRecord
		ok := summariseIdle(&idle, report{samples: samples}, 1*second, 5*second)
		if !ok || (*idle.PowerMeanW-tc.wantW)*(*idle.PowerMeanW-tc.wantW) > tc.mostOff*tc.mostOff ||
			(*idle.DriftW-tc.wantDrift)*(*idle.DriftW-tc.wantDrift) > tc.mostDrift*tc.mostDrift ||
			*idle.TempC != 33 || idle.Source != tc.source || *idle.DurationS != 4 || idle.NSamples != 200 {
			t.Errorf("%s: %+v, %v W, drift %v W", tc.name, idle, *idle.PowerMeanW, *idle.DriftW)
		}
	}
	var idle record.DeviceRecord
	if summariseIdle(&idle, report{}, 0, second) || idle.PowerMeanW != nil || idle.NSamples != 0 {
		t.Errorf("from nothing: %+v", idle)
	}
}

func TestIdleOfATelemetry(t *testing.T) {
	tel := telemetry(t, newCard())
	go tel.gpuSampler.run()
	defer tel.gpuSampler.close()
	idle, ok := tel.Idle(t.Context(), "gpu", 200*time.Millisecond)
	if !ok || *idle.PowerMeanW != 650.5 || *idle.DriftW != 0 || *idle.TempC != 51 || idle.NSamples < 3 ||
		idle.Kind != record.DeviceIdle || idle.DeviceKind != "gpu" || *idle.DurationS < 0.2 || idle.Timestamp.IsZero() {
		t.Errorf("%+v, %v", idle, ok)
	}
	if _, ok := tel.Idle(t.Context(), "cpu", time.Hour); ok {
		t.Error("idle power of a CPU that nothing samples")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := tel.Idle(ctx, "gpu", time.Hour); ok {
		t.Error("idle power of a time that was cut short")
	}
}

// TestJudgeWaits asks right at the end of a window, before what follows is
// there.
func TestJudgeWaits(t *testing.T) {
	c := newCard()
	tel := telemetry(t, c)
	go tel.gpuSampler.run()
	defer tel.gpuSampler.close()
	tel.Closely(true)
	w := record.WindowRecord{DeviceKind: "gpu", OpenNs: nowNs(), TokPerS: 1}
	time.Sleep(300 * time.Millisecond)
	w.EndNs = nowNs()
	tel.Judge(&w, 42)
	// The card never changes: its counter is stuck, and nobody knows its period.
	// Besides the worker there is process 43 on it.
	want := []record.Reason{record.TooShort, record.CounterStuck, record.ForeignProcess}
	if !slices.Equal(w.Reasons, want) || w.Valid || *w.IntegralW != 650.5 || *w.JPerToken != 650.5 {
		t.Errorf("%+v", w)
	}
	kept := tel.gpuSampler.report(0, 1<<62).samples
	if last := kept[len(kept)-1].TimeNs; last < w.EndNs+2*int64(unlearnedPeriod) {
		t.Errorf("the last sample is %v after the end", time.Duration(last-w.EndNs))
	}
}

func TestJudgeWithoutASource(t *testing.T) {
	c := newCard()
	tel := telemetry(t, c)
	check := func(name string, w record.WindowRecord) {
		t.Helper()
		tel.Judge(&w, 42)
		if !slices.Equal(w.Reasons, []record.Reason{record.NoSource}) || w.Valid {
			t.Errorf("%s: %+v", name, w)
		}
	}
	check("a CPU", record.WindowRecord{DeviceKind: "cpu", OpenNs: 1, EndNs: 2})
	other := func(r *record.Record) {
		r.Backend = "elsewhere"
		r.EngineEnv = map[string]string{"CUDA_VISIBLE_DEVICES": "1"}
	}
	tel.row(1, "gpu", other)
	check("another GPU", record.WindowRecord{DeviceKind: "gpu", Backend: "elsewhere", OpenNs: 1, EndNs: nowNs()})

	failed := record.WindowRecord{DeviceKind: "gpu", Error: &record.Error{}}
	if tel.Judge(&failed, 42); failed.Valid || failed.Reasons != nil {
		t.Errorf("a window that failed: %+v", failed)
	}

	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	tel.gpuSampler.poll()
	if _, ok := tel.SensorPeriod("gpu"); ok {
		t.Error("a lost GPU tells its energy")
	}
	start := time.Now()
	check("lost", record.WindowRecord{DeviceKind: "gpu", OpenNs: nowNs(), EndNs: nowNs() + 1})
	if time.Since(start) > 500*time.Millisecond {
		t.Error("waits for a GPU that is lost")
	}
}

func TestSensorPeriod(t *testing.T) {
	tel := telemetry(t, newCard())
	if p, ok := tel.SensorPeriod("gpu"); !ok || p != unlearnedPeriod {
		t.Errorf("before it was learned: %v, %v", p, ok)
	}
	for i := range int64(20) {
		tel.gpuSampler.power.see(i*25e6, float64(i))
	}
	if p, ok := tel.SensorPeriod("gpu"); !ok || p != 25*time.Millisecond {
		t.Errorf("learned: %v, %v", p, ok)
	}
}
