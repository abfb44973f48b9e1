package power

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

// powercap is a tree with a CPU's counters.
type powercap struct {
	t    *testing.T
	root string
}

func newPowercap(t *testing.T) powercap {
	p := powercap{t, filepath.Join(t.TempDir(), "sys")}
	p.write("class/powercap/intel-rapl/enabled", "1")
	return p
}

func (p powercap) write(path, text string) {
	p.t.Helper()
	path = filepath.Join(p.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// zone adds a counter.
func (p powercap) zone(folder, name string, uj uint64) {
	p.write("class/powercap/"+folder+"/name", name)
	p.write("class/powercap/"+folder+"/max_energy_range_uj", "262143328850")
	p.set(folder, uj)
}

// set makes a counter show a value.
func (p powercap) set(folder string, uj uint64) {
	p.write("class/powercap/"+folder+"/energy_uj", fmt.Sprint(uj))
}

// server has two packages, the memory of each, and counters of what is in them
// or around them.
func server(t *testing.T) powercap {
	p := newPowercap(t)
	for i, folder := range []string{"intel-rapl:0", "intel-rapl:1"} {
		p.zone(folder, fmt.Sprintf("package-%d", i), 1_000_000)
		p.zone(folder+":0", "core", 500_000)
		p.zone(folder+":1", "uncore", 100_000)
		p.zone(folder+":2", "dram", 200_000)
	}
	p.zone("intel-rapl:2", "psys", 9_000_000)
	p.zone("intel-rapl-mmio:0", "package-0", 1_000_000) // the same counter by another way
	return p
}

func (p powercap) open() *rapl {
	p.t.Helper()
	r, err := openRAPL(p.root, os.Open)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { r.close() })
	return r
}

func (r *rapl) joules(t *testing.T) (all, dram float64) {
	t.Helper()
	s, err := r.Read(want{})
	if err != nil || s.Source != "rapl" || s.TimeNs == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.DRAMJ == nil {
		return *s.EnergyJ, -1
	}
	return *s.EnergyJ, *s.DRAMJ
}

func TestRAPLSumsPackagesAndMemory(t *testing.T) {
	p := server(t)
	r := p.open()
	for folder, uj := range map[string]uint64{
		"intel-rapl:0": 3_000_000, "intel-rapl:1": 5_000_000, // 2 J and 4 J more
		"intel-rapl:0:2": 700_000, "intel-rapl:1:2": 1_200_000, // 0.5 J and 1 J
		"intel-rapl:0:0": 2_000_000, "intel-rapl:0:1": 900_000, "intel-rapl:2": 90_000_000, "intel-rapl-mmio:0": 3_000_000,
	} {
		p.set(folder, uj)
	}
	if all, dram := r.joules(t); all != 7.5 || dram != 1.5 {
		t.Errorf("%v J, of it memory %v J; want 7.5 and 1.5", all, dram)
	}
}

func TestRAPLWraps(t *testing.T) {
	p := newPowercap(t)
	p.zone("intel-rapl:0", "package-0", 262_143_000_000)
	r := p.open()
	for i, want := range []struct {
		uj uint64
		j  float64
	}{
		{262_143_328_850, 0.328850}, // as far as it goes
		{671_150, 1},                // begun anew
		{262_143_000_000, 1 + 262_142.32885},
		{0, 1 + 262_142.32885 + 0.32885},
	} {
		p.set("intel-rapl:0", want.uj)
		if got, dram := r.joules(t); got-want.j > 1e-6 || want.j-got > 1e-6 || dram != -1 {
			t.Errorf("%d: %v J, memory %v; want %v", i, got, dram, want.j)
		}
	}
}

func TestRAPLThatFails(t *testing.T) {
	p := server(t)
	r := p.open()
	p.write("class/powercap/intel-rapl:1/energy_uj", "none")
	if _, err := r.Read(want{}); err == nil || !strings.Contains(err.Error(), "intel-rapl:1/energy_uj") {
		t.Errorf("half of the sum: %v", err)
	}
}

// noRight opens files as the kernel does for others than root since 2020.
func noRight(path string) (*os.File, error) {
	if filepath.Base(path) == "energy_uj" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	return os.Open(path)
}

func TestRAPLDenied(t *testing.T) {
	_, err := openRAPL(server(t).root, noRight)
	var u *unmeasured
	if !errors.As(err, &u) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, errNoRAPL) {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(u.why, "only root") || !strings.Contains(u.fix, "chmod a+r") || !strings.Contains(u.fix, "udev") {
		t.Errorf("%q, %q", u.why, u.fix)
	}
}

func TestRAPLAbsent(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the reason is always the architecture")
	}
	for _, tc := range []struct {
		name string
		more func(p powercap)
		why  string
		fix  string
	}{
		{"no module", func(powercap) {}, "no CPU package in", "modprobe"},
		{"virtual machine", func(p powercap) {
			p.write("../proc/cpuinfo", "flags : fpu hypervisor")
			p.write("class/dmi/id/sys_vendor", "QEMU")
		}, "a virtual machine (QEMU)", "host"},
		{"container", func(p powercap) { p.write("../.dockerenv", "") }, "the container shows", "docker run"},
		{"memory alone", func(p powercap) { p.zone("intel-rapl:0:0", "dram", 1) }, "no CPU package in", ""},
	} {
		p := newPowercap(t)
		tc.more(p)
		_, err := openRAPL(p.root, os.Open)
		var u *unmeasured
		if !errors.As(err, &u) || !errors.Is(err, errNoRAPL) || !strings.Contains(u.why, tc.why) || !strings.Contains(u.fix, tc.fix) {
			t.Errorf("%s: %v, %+v", tc.name, err, u)
		}
	}
}

var cpu = wire.Device{Name: "CPU", Kind: "cpu", Backend: "CPU"}

func TestOpenCPU(t *testing.T) {
	absent := newPowercap(t)
	if tel, warning := open(nil, absent.root, os.Open, t.TempDir(), []wire.Device{cpu}); tel != nil || warning != "" {
		t.Errorf("without RAPL: %v, %q", tel, warning)
	}
	p := server(t)
	if tel, warning := open(nil, p.root, noRight, t.TempDir(), []wire.Device{cpu}); tel != nil || !strings.Contains(warning, "the CPU's power is not recorded") || !strings.Contains(warning, "chmod a+r") {
		t.Errorf("denied: %v, %q", tel, warning)
	}
	c := newCard()
	tel, warning := open(c.lib(), p.root, noRight, t.TempDir(), []wire.Device{cpu, cuda0})
	if tel == nil || !strings.Contains(warning, "chmod a+r") || strings.Contains(warning, "\n") {
		t.Fatalf("a GPU beside: %v, %q", tel, warning)
	}
	if _, ok := tel.SensorPeriod("cpu"); ok || tel.GPUs() == nil {
		t.Error("the GPU's sensor tells the CPU's energy")
	}
	if err := tel.Close(); err != nil {
		t.Error(err)
	}

	tel, warning = open(nil, p.root, os.Open, t.TempDir(), []wire.Device{cpu})
	if tel == nil || warning != "" {
		t.Fatalf("RAPL alone: %v, %q", tel, warning)
	}
	if tel.GPUs() != nil || tel.Foreign(1) != nil {
		t.Error("a GPU on a machine without")
	}
	if _, ok := tel.SensorPeriod("gpu"); ok {
		t.Error("RAPL tells a GPU's energy")
	}
	if err := tel.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tel.rapl.Read(want{}); err == nil {
		t.Error("the counters stay open")
	}
}

func TestAnnotateCPU(t *testing.T) {
	// 30 W, then 60 W from 200 ms on, by a counter that is read every 20 ms.
	var samples []Sample
	for ms := int64(0); ms <= 600; ms += 20 {
		samples = append(samples, Sample{TimeNs: ms * 1e6, Source: "rapl", EnergyJ: ptr((30*float64(ms) + 30*max(0, float64(ms)-200)) / 1e3)})
	}
	of := func(startMs, prefillEndMs, endMs int64) record.PhasePower {
		var r record.Record
		attributeCPU(&r, runner.Span{StartNs: startMs * 1e6, PrefillEndNs: prefillEndMs * 1e6, EndNs: endMs * 1e6}, samples)
		return *r.PhasePower
	}
	p := of(0, 200, 600)
	near := func(got *float64, want float64) bool { return got != nil && *got > want*0.97 && *got < want*1.03 }
	if !near(p.Prefill.PowerMeanW, 30) || !near(p.Decode.PowerMeanW, 60) || p.Prefill.NSamples != 10 || p.Decode.NSamples != 20 || p.Source != "rapl" {
		t.Errorf("%+v", p)
	}
	p = of(101, 170, 590)
	if p.Prefill.PowerMeanW != nil || p.Prefill.NSamples != 3 || p.Decode.PowerMeanW == nil {
		t.Errorf("a prefill of 69 ms: %+v", p)
	}
}

// TestTelemetryOfACPU goes the whole way, with a counter that moves.
func TestTelemetryOfACPU(t *testing.T) {
	p := newPowercap(t)
	p.zone("intel-rapl:0", "package-0", 0)
	tel, warning := open(nil, p.root, os.Open, t.TempDir(), []wire.Device{cpu})
	if tel == nil {
		t.Fatal(warning)
	}
	defer tel.Close()
	// The file must not be seen empty: its text always has one length.
	f, err := os.OpenFile(filepath.Join(p.root, "class/powercap/intel-rapl:0/energy_uj"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := func() {
		start := time.Now()
		for time.Since(start) < time.Second {
			uj := 1_000_000 + 40*time.Since(start).Microseconds() // 40 W
			f.WriteAt([]byte(fmt.Sprintf("%019d\n", uj)), 0)
			time.Sleep(time.Millisecond)
		}
	}
	w := record.WindowRecord{DeviceKind: "cpu", OpenNs: nowNs() + 3e8, TokPerS: 10}
	count()
	w.EndNs = nowNs() - 1e7
	var r record.Record
	r.DeviceKind = "cpu"
	tel.Annotate(&r, runner.Span{StartNs: w.OpenNs, PrefillEndNs: w.OpenNs, EndNs: w.EndNs})
	tel.Judge(&w, 42)
	near := func(got *float64, want float64) bool { return got != nil && *got > want*0.8 && *got < want*1.2 }
	if !near(w.CounterW, 40) || !near(w.JPerToken, 4) || w.IntegralW != nil || w.Source != "rapl" || w.SensorPeriodMs == nil {
		t.Errorf("%+v", w)
	}
	if !near(r.PhasePower.Decode.PowerMeanW, 40) || r.PhasePower.SensorPeriodMs == nil || r.GPUIdlePowerW != nil {
		t.Errorf("%+v", r.PhasePower)
	}
}
