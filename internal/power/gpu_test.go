package power

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
)

func ptr[T any](v T) *T { return &v }

func TestRead(t *testing.T) {
	g, missing := newCard().open(t)
	before := clock.NowNs()
	got, err := g.Read()
	after := clock.NowNs()
	if err != nil || len(missing) > 0 {
		t.Fatal(err, missing)
	}
	if got.TimeNs < before || got.TimeNs > after {
		t.Errorf("time %d, was read between %d and %d", got.TimeNs, before, after)
	}
	got.TimeNs = 1
	// NVML: mW, mJ, bytes.
	want := Sample{
		TimeNs: 1, GPU: busID, PowerInstantW: ptr(650.5), PowerAverageW: ptr(400.25), EnergyJ: ptr(123456789012.345),
		TempC: ptr(51.0), SMMHz: ptr(1980.0), MemMHz: ptr(3201.0), Throttle: 4, UtilPct: ptr(97.0),
		procs: []process{{42, 2500}}, // of process 43 the driver cannot tell
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	line, err := json.Marshal(got)
	if want := `{"t_ns":1,"gpu":"0000:1b:00.0","power_instant_w":650.5,"power_average_w":400.25,"energy_j":123456789012.345,` +
		`"temp_c":51,"sm_mhz":1980,"mem_mhz":3201,"throttle":["sw_power_cap"],"util_pct":97}`; err != nil || string(line) != want {
		t.Errorf("line %s, %v\nwant %s", line, err, want)
	}
}

func TestWhatAGPULacksIsAbsent(t *testing.T) {
	unsupported := nvml.ERROR_NOT_SUPPORTED
	for _, tc := range []struct {
		name    string
		change  func(*card)
		missing string
		lacks   func(Sample) bool
	}{
		{"field call fails", func(c *card) {
			c.GetFieldValuesFunc = func([]nvml.FieldValue) nvml.Return { return unsupported }
		}, "instant power", func(s Sample) bool { return s.PowerInstantW == nil && *s.PowerAverageW == 400.25 }},
		{"field fails", func(c *card) {
			c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return {
				f[0].NvmlReturn = uint32(unsupported)
				return nvml.SUCCESS
			}
		}, "instant power", func(s Sample) bool { return s.PowerInstantW == nil }},
		{"field of a type that holds no power", func(c *card) {
			c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return {
				f[0].ValueType = uint32(nvml.VALUE_TYPE_SIGNED_LONG_LONG)
				return nvml.SUCCESS
			}
		}, "instant power", func(s Sample) bool { return s.PowerInstantW == nil }},
		{"an old library", func(c *card) {
			c.lacks = []string{"nvmlDeviceGetFieldValues", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetCurrentClocksEventReasons"}
			// A call of a symbol that is not there would end the process; here it panics.
			c.GetFieldValuesFunc, c.GetTotalEnergyConsumptionFunc, c.GetCurrentClocksEventReasonsFunc = nil, nil, nil
			c.GetCurrentClocksThrottleReasonsFunc = func() (uint64, nvml.Return) { return 0x40, nvml.SUCCESS }
		}, "instant power, total energy", func(s Sample) bool {
			return s.PowerInstantW == nil && s.EnergyJ == nil && slices.Equal(s.Throttle.Names(), []string{"hw_thermal_slowdown"})
		}},
		{"no right to see processes", func(c *card) {
			c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }
		}, "memory of processes", func(s Sample) bool { return s.procs == nil }},
		{"no process yet", func(c *card) {
			c.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS }
		}, "", func(s Sample) bool { return s.procs != nil && len(s.procs) == 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCard()
			tc.change(c)
			g, missing := c.open(t)
			s, err := g.Read()
			if got := strings.Join(missing, ", "); err != nil || got != tc.missing || !tc.lacks(s) {
				t.Errorf("missing %q, want %q; %+v, %v", got, tc.missing, s, err)
			}
		})
	}
}

func TestFieldTypes(t *testing.T) {
	for typ, bits := range map[nvml.ValueType]uint64{
		nvml.VALUE_TYPE_UNSIGNED_LONG:      78_000,
		nvml.VALUE_TYPE_UNSIGNED_LONG_LONG: 78_000,
		nvml.VALUE_TYPE_DOUBLE:             math.Float64bits(78_000),
	} {
		c := newCard()
		c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return {
			f[0].ValueType = uint32(typ)
			binary.NativeEndian.PutUint64(f[0].Value[:], bits)
			return nvml.SUCCESS
		}
		if w, ret := field(c, nvml.FI_DEV_POWER_INSTANT, 1e-3); ret != nvml.SUCCESS || *w != 78 {
			t.Errorf("type %d: %v, %v", typ, w, ret)
		}
	}
}

func TestReadThatFails(t *testing.T) {
	c := newCard()
	g, _ := c.open(t)
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	if s, err := g.Read(); err != nil || s.PowerAverageW != nil || s.TempC == nil {
		t.Errorf("one quantity failed: %+v, %v", s, err)
	}
	c.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	if _, err := g.Read(); !errors.Is(err, errLost) {
		t.Errorf("lost: %v", err)
	}
	only := &gpu{dev: c, fast: fast[2:]} // average power
	if _, err := only.Read(); err == nil || errors.Is(err, errLost) || err.Error() != "average power: ERROR_UNKNOWN" {
		t.Errorf("everything failed: %v", err)
	}
}

func TestReasons(t *testing.T) {
	for mask, want := range map[Reasons][]string{
		0:              nil,
		1:              {"gpu_idle"},
		0x64:           {"sw_power_cap", "sw_thermal_slowdown", "hw_thermal_slowdown"},
		0x400 | 0x1000: {"reliability", "reason_0x1000"},
		1 << 63:        {"reason_0x8000000000000000"},
		nvml.ClocksEventReasonAll: {
			"gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal_slowdown",
			"hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clock_setting", "board_limit", "reliability",
		},
	} {
		if got := mask.Names(); !slices.Equal(got, want) {
			t.Errorf("%#x: %q, want %q", uint64(mask), got, want)
		}
	}
}
