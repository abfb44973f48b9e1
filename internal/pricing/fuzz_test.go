package pricing

import (
	"math"
	"os"
	"regexp"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// Whatever the file, its figures can be calculated with, or the error points
// into it.
func FuzzLoad(f *testing.F) {
	promise.Of(f, "any bytes as a pricing or carbon file", "fuzzing of both readers",
		"figures that are finite and not negative, or an error at file:line:column")
	for _, path := range []string{"../../configs/pricing.yaml", "../../configs/carbon.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("tiers: [{name: a, hardware: {price_usd: 1, life_years: 3, utilisation: 1}, source: s, read: 2026-01-02}]"))
	place := regexp.MustCompile(`^x\.yaml(:[1-9][0-9]*:[1-9][0-9]*)?: .`)
	f.Fuzz(func(t *testing.T, data []byte) {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("x.yaml", data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Load("x.yaml")
		if err != nil && !place.MatchString(err.Error()) {
			t.Fatalf("pricing: %q", err)
		}
		if err == nil {
			var figures []float64
			for _, tier := range p.Tiers {
				figures = append(figures, *tier.USDPerHour)
				if usd := tier.PurchaseUSD(); usd != nil {
					figures = append(figures, *usd)
				}
			}
			if p.Energy != nil {
				figures = append(figures, p.Energy.USDPerKWh)
			}
			for _, b := range p.Profiles() {
				figures = append(figures, b.Input)
			}
			for _, r := range p.Packs() {
				figures = append(figures, float64(r.PromptTokens), float64(r.GenTokens))
			}
			finite(t, figures)
			if _, err := p.BlendNamed(""); err != nil {
				t.Error(err)
			}
			p.Own("NVIDIA H200")
		}
		c, err := LoadCarbon("x.yaml")
		if err != nil && !place.MatchString(err.Error()) {
			t.Fatalf("carbon: %q", err)
		}
		if err == nil {
			for _, r := range c.Regions {
				finite(t, []float64{r.GPerKWh})
			}
		}
	})
}

func finite(t *testing.T, figures []float64) {
	t.Helper()
	for _, v := range figures {
		if !(v >= 0) || math.IsInf(v, 0) {
			t.Errorf("a figure of %v", v)
		}
	}
}

// Figures that are no price are refused where they stand.
func TestFaultAbsurdFigures(t *testing.T) {
	bad := []string{"-1", "-0.0001", ".nan", ".NaN", "NaN", ".inf", "-.inf", "1e308", "1e309", "1e13", "99999999999999999999999999", "1_000_000_000_000_000"}
	promise.Of(t, "prices that are none", "negative, NaN, infinite, 1e308 and beyond, as price, energy price, purchase, carbon and request size",
		"refused at file:line:column")
	promise.Tries(t, 6*len(bad))
	const source = "source: s, read: 2026-01-02"
	place := regexp.MustCompile(`^.*x\.yaml:\d+:\d+: .`)
	for _, v := range bad {
		for what, content := range map[string]string{
			"rate":     "tiers:\n  - {name: a, usd_per_hour: " + v + ", " + source + "}\n",
			"energy":   "energy:\n  usd_per_kwh: " + v + "\n  " + "source: s\n  read: 2026-01-02\n",
			"purchase": "tiers:\n  - {name: a, usd_per_hour: 1, bought_usd: " + v + ", " + source + "}\n",
			"hardware": "tiers:\n  - {name: a, hardware: {price_usd: " + v + ", life_years: 3, utilisation: 1}, " + source + "}\n",
			"request":  "requests:\n  - {name: a, prompt_tokens: " + v + ", gen_tokens: 1}\n",
		} {
			if _, err := Load(write(t, content)); err == nil || !place.MatchString(err.Error()) {
				t.Errorf("%s %s: %v", what, v, err)
			}
		}
		path := write(t, "region: x\nregions:\n  - {name: x, g_per_kwh: "+v+", "+source+"}\n")
		if _, err := LoadCarbon(path); err == nil || !place.MatchString(err.Error()) {
			t.Errorf("carbon %s: %v", v, err)
		}
	}
}
