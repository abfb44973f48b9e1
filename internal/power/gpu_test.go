package power

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
)

func ptr[T any](v T) *T { return &v }

func TestRead(t *testing.T) {
	g := newCard().open(t)
	before := clock.NowNs()
	got, err := g.Read(want{counter: true, lasting: true})
	after := clock.NowNs()
	if err != nil || len(g.missing) > 0 {
		t.Fatal(err, g.missing)
	}
	if got.TimeNs < before || got.TimeNs > after {
		t.Errorf("time %d, was read between %d and %d", got.TimeNs, before, after)
	}
	got.TimeNs = 1
	// NVML: mW, mJ, bytes.
	want := Sample{
		TimeNs: 1, Source: "nvml", GPU: busID, PowerInstantW: ptr(650.5), PowerAverageW: ptr(400.25), EnergyJ: ptr(123456789012.345),
		TempC: ptr(51.0), SMMHz: ptr(1980.0), MemMHz: ptr(3201.0), Throttle: 4, UtilPct: ptr(97.0),
		slow:  true,
		procs: []process{{42, ptr(2500.0)}, {43, nil}}, // of process 43 the driver cannot tell the memory
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	line, err := json.Marshal(got)
	if want := `{"t_ns":1,"source":"nvml","gpu":"0000:1b:00.0","power_instant_w":650.5,"power_average_w":400.25,"energy_j":123456789012.345,` +
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
		{"field fails", func(c *card) { c.GetFieldValuesFunc = fields(nil) }, "instant power", func(s Sample) bool { return s.PowerInstantW == nil }},
		{"field of a type that holds no power", func(c *card) {
			c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return {
				for i := range f {
					f[i].ValueType = uint32(nvml.VALUE_TYPE_SIGNED_LONG_LONG)
				}
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
			g := c.open(t)
			s, err := g.Read(want{counter: true, lasting: true})
			if got := g.missingNames(); err != nil || got != tc.missing || !tc.lacks(s) {
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
		f := nvml.FieldValue{ValueType: uint32(typ)}
		binary.NativeEndian.PutUint64(f.Value[:], bits)
		if v, ret := number(&f); ret != nvml.SUCCESS || v != 78_000 {
			t.Errorf("type %d: %v, %v", typ, v, ret)
		}
	}
}

// calls counts the calls of a card for each quantity.
type calls struct{ fields, power, energy, temp int }

func (c *card) counting() *calls {
	var n calls
	askFields, power, energy, temp := c.GetFieldValuesFunc, c.GetPowerUsageFunc, c.GetTotalEnergyConsumptionFunc, c.GetTemperatureFunc
	c.GetFieldValuesFunc = func(f []nvml.FieldValue) nvml.Return { n.fields++; return askFields(f) }
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { n.power++; return power() }
	c.GetTotalEnergyConsumptionFunc = func() (uint64, nvml.Return) { n.energy++; return energy() }
	c.GetTemperatureFunc = func(s nvml.TemperatureSensors) (uint32, nvml.Return) { n.temp++; return temp(s) }
	return &n
}

func TestOneCallForAllFields(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fields map[uint32]uint64
		lacks  string
		want   calls
	}{
		{"all fields", map[uint32]uint64{186: 650_500, 185: 400_250, 83: 123_456_789_012_345}, "", calls{fields: 1}},
		{"no average", map[uint32]uint64{186: 650_500, 83: 123_456_789_012_345}, "", calls{fields: 1, power: 1}},
		{"none", nil, "", calls{power: 1, energy: 1}},
		{"old library", nil, "nvmlDeviceGetFieldValues", calls{power: 1, energy: 1}},
	} {
		c := newCard()
		c.GetFieldValuesFunc = fields(tc.fields)
		c.lacks = []string{tc.lacks}
		g := c.open(t)
		n := c.counting()
		s, err := g.Read(want{counter: true})
		if err != nil || *n != tc.want || *s.PowerAverageW != 400.25 || *s.EnergyJ != 123456789012.345 {
			t.Errorf("%s: %+v, want %+v; %+v, %v", tc.name, *n, tc.want, s, err)
		}
		if s.slow || s.TempC != nil || s.procs != nil {
			t.Errorf("%s: what lasts without being asked for: %+v", tc.name, s)
		}
		if g.Read(want{counter: true, lasting: true}); n.temp != 1 {
			t.Errorf("%s: temperature asked for %d times", tc.name, n.temp)
		}
		if s, err := g.Read(want{}); err != nil || s.EnergyJ != nil || *s.PowerAverageW != 400.25 {
			t.Errorf("%s: without the counter %+v, %v", tc.name, s, err)
		}
	}
}

func TestReadThatFails(t *testing.T) {
	c := newCard()
	g := c.open(t)
	c.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	if s, err := g.Read(want{counter: true, lasting: true}); err != nil || s.PowerAverageW != nil || s.TempC == nil {
		t.Errorf("one quantity failed: %+v, %v", s, err)
	}
	c.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	if _, err := g.Read(want{counter: true, lasting: true}); !errors.Is(err, errLost) {
		t.Errorf("lost: %v", err)
	}
	only := &gpu{dev: c, fast: fast[2:]} // average power
	if _, err := only.Read(want{counter: true, lasting: true}); err == nil || errors.Is(err, errLost) || err.Error() != "average power: ERROR_UNKNOWN" {
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
