package analyze

import (
	"testing"

	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
)

func TestShortPhasesHaveNoPower(t *testing.T) {
	sampled := record.PowerStats{PowerMeanW: ptr(300.0), NSamples: 5}
	for name, c := range map[string]struct {
		of     record.PhasePower
		p      record.PowerStats
		ms     float64
		counts bool
		why    string
	}{
		"two periods":         {record.PhasePower{Source: "instant", SensorPeriodMs: ptr(100.0)}, sampled, 200, true, ""},
		"less":                {record.PhasePower{Source: "instant", SensorPeriodMs: ptr(100.0)}, sampled, 199, false, "shorter than 2 periods of the power sensor: no energy"},
		"no sample":           {record.PhasePower{Source: "instant", SensorPeriodMs: ptr(100.0)}, record.PowerStats{}, 200, false, ""},
		"mean over a second":  {record.PhasePower{Source: "average", SensorPeriodMs: ptr(100.0)}, sampled, 1999, false, "shorter than 2 periods of the power sensor: no energy"},
		"mean over a second2": {record.PhasePower{Source: "average", SensorPeriodMs: ptr(100.0)}, sampled, 2000, true, ""},
		"unknown period":      {record.PhasePower{Source: "instant"}, sampled, 1e6, false, "the period of the power sensor is not known: no energy"},
	} {
		watts, why := phasePower(&c.of, c.p, c.ms)
		if (watts != nil) != c.counts || why != c.why {
			t.Errorf("%s: counts %v, why %q", name, watts != nil, why)
		}
	}
}

func TestShortPrefillLeavesDecodeItsEnergy(t *testing.T) {
	r := okRow("m", "b", 0, 0, 5, 1000)
	r.PhasePower = powered(ptr(50.0), ptr(100.0)) // two periods are 20 ms
	a := analyzed(t, []record.Record{r}, Options{Pricing: testPricing(), Carbon: &pricing.Region{GPerKWh: 500}})
	if c := a.Groups[0].Costs[0]; c.Blend.Complete() || c.PrefillAlone.Complete() || !c.DecodeAlone.Complete() {
		t.Errorf("%+v", c)
	}
	if !warnedAt(a, "m on b, s: 5 of 20 ms", "prefill: shorter than 2 periods of the power sensor") {
		t.Errorf("warnings %v", a.Warnings)
	}
	row := tableNamed(t, a, "tables/decode_cost").Rows[0]
	if row[7] == nil { // the energy of decode alone
		t.Errorf("decode costs %v", row)
	}
	if row := tableNamed(t, a, "tables/prefill_cost").Rows[0]; row[7] != nil {
		t.Errorf("prefill costs %v", row)
	}
}

func TestPooledPowerCoversHalfTheTime(t *testing.T) {
	for _, c := range []struct {
		bareMs float64 // of the scenario without power, beside 1000 ms with
		known  bool
	}{{999, true}, {1001, false}} {
		with, bare := okRow("m", "b", 0, 0, 100, 1000), okRow("m", "b", 0, 0, 100, c.bareMs)
		with.PhasePower, bare.Scenario = powered(nil, ptr(100.0)), "bare"
		got := analyzed(t, []record.Record{with, bare}, Options{}).Configs[0].Decode.Energy
		if (got != nil) != c.known || got != nil && got.PowerW.Value != 100 {
			t.Errorf("%v ms without power: %v", c.bareMs, got)
		}
	}
}

func TestDecodeEnergyIsComparedWhereMostHaveIt(t *testing.T) {
	row := func(backend, scenario string, decodeMs, watts float64) record.Record {
		r := okRow("m", backend, 0, 0, 100, decodeMs)
		r.Scenario, r.PhasePower = scenario, powered(nil, &watts)
		return r
	}
	// Too fast for the sensor in the scenario "s", where it would have won.
	a := analyzed(t, []record.Record{
		row("fast", "s", 10, 100), row("fast", "long", 100, 100),
		row("slow", "s", 1000, 100), row("slow", "long", 1000, 100),
	}, Options{})
	list, err := decodeEnergy().ordered(a)
	if err != nil || len(list) != 2 || list[0].name != "m on fast" || !near(list[0].value, 1) {
		t.Errorf("%+v, %v", list, err)
	}
}
