package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dop251/goja"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/analyze"
)

// costsOf loads the page's formulas into a JavaScript engine, with the prices
// that a page embeds as data.
func costsOf(t *testing.T, p *prices) *goja.Runtime {
	t.Helper()
	vm := goja.New()
	if _, err := vm.RunString(costsJS); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vm.RunString("const data = " + string(data)); err != nil {
		t.Fatal(err)
	}
	return vm
}

// evaluate evaluates an expression and stores its value in out.
func evaluate(t *testing.T, vm *goja.Runtime, out any, format string, args ...any) {
	t.Helper()
	v, err := vm.RunString("JSON.stringify(" + fmt.Sprintf(format, args...) + ")")
	if err == nil {
		err = json.Unmarshal([]byte(v.String()), out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Max(math.Abs(a), math.Abs(b)) }

func nearOrNil(a, b *float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return near(*a, *b)
}

// TestPageCostsAreThoseOfEcon prices each configuration at many rates, blends
// and prices of electricity by the page's formulas and by econ.
func TestPageCostsAreThoseOfEcon(t *testing.T) {
	half := 0.001
	one := &estimate{120, &half}
	noHalf := &estimate{80, nil}
	s := func(v float64, half *float64) estimate { return estimate{v, half} }
	p := &prices{Configs: []pricedConfig{
		{Name: "no energy", Prefill: phase{SPerTok: s(2e-5, &half)}, Decode: phase{SPerTok: s(0.004, &half)}},
		{Name: "power", Prefill: phase{s(2e-5, &half), one, nil}, Decode: phase{s(0.004, &half), one, nil}},
		{Name: "joules", Prefill: phase{s(2e-5, &half), nil, one}, Decode: phase{s(0.004, &half), nil, one}},
		{Name: "both", Prefill: phase{s(2e-5, &half), one, one}, Decode: phase{s(0.004, &half), one, one}},
		{Name: "half of it", Prefill: phase{SPerTok: s(2e-5, &half)}, Decode: phase{s(0.004, &half), one, nil}},
		{Name: "no interval of time", Prefill: phase{s(2e-5, nil), one, nil}, Decode: phase{s(0.004, &half), one, nil}},
		{Name: "no interval of energy", Prefill: phase{s(2e-5, &half), one, nil}, Decode: phase{s(0.004, &half), nil, noHalf}},
	}}
	vm := costsOf(t, p)
	n := 0
	for i, c := range p.Configs {
		for _, usdPerHour := range []float64{0, 0.046, 0.302, 1.006, 4.59, 98.32} {
			for _, input := range []float64{0, 0.25, 0.5, 0.67, 0.85, 0.95, 1} {
				for _, usdPerKWh := range []float64{0, 0.05, 0.2, 0.45} {
					var got struct {
						Infra, Total float64
						Energy, Half *float64
					}
					evaluate(t, vm, &got, "blendCost(data.configs[%d], %v, %v, %v)", i, input, usdPerHour, usdPerKWh)
					cost, half := econBlend(t, c, econ.Blend{Input: input}, econ.Prices{USDPerHour: usdPerHour, USDPerKWh: usdPerKWh})
					if !near(got.Infra, cost.InfraUSD) || !nearOrNil(got.Energy, cost.EnergyUSD) || !near(got.Total, cost.TotalUSD()) || !nearOrNil(got.Half, half) {
						t.Fatalf("%s at $%g/h, %g input, $%g/kWh: page %+v, econ %+v ± %v", c.Name, usdPerHour, input, usdPerKWh, got, cost, half)
					}
					n++
				}
			}
		}
	}
	t.Logf("%d combinations", n)
}

// econBlend is what econ makes of a configuration.
func econBlend(t *testing.T, c pricedConfig, b econ.Blend, at econ.Prices) (econ.Cost, *float64) {
	t.Helper()
	prefill, prefillCI, okP := econPhase(c.Prefill)
	decode, decodeCI, okD := econPhase(c.Decode)
	if prefill.JPerTok == nil || decode.JPerTok == nil {
		prefill.JPerTok, decode.JPerTok = nil, nil
		prefillCI.PowerW, prefillCI.JPerTok, decodeCI.PowerW, decodeCI.JPerTok = nil, nil, nil, nil
	}
	cost, err := b.CostPerM(prefill, decode, at)
	if err != nil {
		t.Fatal(err)
	}
	if !okP || !okD {
		return cost, nil
	}
	x, err := prefillCI.USDPerM(at)
	if err != nil {
		t.Fatal(err)
	}
	y, err := decodeCI.USDPerM(at)
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := b.MixInterval(x, y)
	if err != nil {
		t.Fatal(err)
	}
	return cost, &mixed.Half
}

func econPhase(p phase) (out econ.Phase, ci econ.PhaseInterval, known bool) {
	known = true
	interval := func(e *estimate) *econ.Interval {
		if e == nil {
			return nil
		}
		if e.Half == nil {
			known = false
			return nil
		}
		return &econ.Interval{Value: e.Value, Half: *e.Half}
	}
	out.TokPerS = 1 / p.SPerTok.Value
	joules := 0.0
	if p.PowerW != nil {
		joules += p.PowerW.Value * p.SPerTok.Value
	}
	if p.JPerTok != nil {
		joules += p.JPerTok.Value
	}
	if p.PowerW != nil || p.JPerTok != nil {
		out.JPerTok = &joules
	}
	if s := interval(&p.SPerTok); s != nil {
		ci.SPerTok = *s
	}
	ci.PowerW, ci.JPerTok = interval(p.PowerW), interval(p.JPerTok)
	return out, ci, known
}

// TestPageRanksAsTheAnalysis runs analyses at many rates, blends and prices of
// electricity, and holds what the page of the first one makes of the same choice
// against each.
func TestPageRanksAsTheAnalysis(t *testing.T) {
	for _, fixture := range []string{"cpu", "gpu", "energy"} {
		dir := runDir(t, fixture)
		vm := costsOf(t, newPrices(analysed(t, dir, Options{PricingPath: pricingPath})))
		for _, usdPerKWh := range []float64{0.2, 3} {
			for _, rate := range []*float64{nil, ptr(0.046), ptr(1.006), ptr(12)} {
				for _, blend := range []string{"chat", "codegen", "rag-heavy", "0.33"} {
					a := analysed(t, dir, Options{PricingPath: electricity(t, usdPerKWh), RateUSDPerHour: rate, Blend: blend})
					usdPerHour := "null"
					if rate != nil {
						usdPerHour = fmt.Sprint(*rate)
					}
					var got struct {
						ByTotal bool
						Entries []struct {
							Config struct{ Name string }
							Cost   struct {
								Total float64
								Half  *float64
							}
						}
					}
					evaluate(t, vm, &got, "rankCosts(data.configs, %v, %s, %v)", a.Blend.Input, usdPerHour, usdPerKWh)
					where := fmt.Sprintf("%s, rate %s, %s, $%g/kWh", fixture, usdPerHour, blend, usdPerKWh)
					if len(a.Rankings) == 0 || !a.Rankings[0].Own {
						if len(got.Entries) > 0 {
							t.Errorf("%s: the page ranks what the analysis does not", where)
						}
						continue
					}
					r := a.Rankings[0]
					if got.ByTotal != r.ByTotal || len(got.Entries) != len(r.Entries) {
						t.Fatalf("%s: page %v of %d, analysis %v of %d", where, got.ByTotal, len(got.Entries), r.ByTotal, len(r.Entries))
					}
					for i, e := range r.Entries {
						g := got.Entries[i]
						var half *float64
						if e.Cost.BlendCI != nil {
							half = &e.Cost.BlendCI.Half
						}
						if g.Config.Name != e.ConfigKey.String() || !near(g.Cost.Total, e.USDPerM) || !nearOrNil(g.Cost.Half, half) {
							t.Errorf("%s, place %d: page %+v, analysis %s %v ± %v", where, i+1, g, e.ConfigKey, e.USDPerM, half)
						}
					}
				}
			}
		}
	}
}

func analysed(t *testing.T, dir string, opts Options) *analyze.Analysis {
	t.Helper()
	a, _, err := analysis(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// electricity returns the pricing file with another price of electricity.
func electricity(t *testing.T, usdPerKWh float64) string {
	t.Helper()
	data, err := os.ReadFile(pricingPath)
	if err != nil {
		t.Fatal(err)
	}
	const was = "usd_per_kwh: 0.20"
	if !strings.Contains(string(data), was) {
		t.Fatalf("%s has no %q", pricingPath, was)
	}
	path := filepath.Join(t.TempDir(), "pricing.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), was, fmt.Sprintf("usd_per_kwh: %g", usdPerKWh), 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
