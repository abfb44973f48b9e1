package pricing

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShippedPricing(t *testing.T) {
	p, err := Load("../../configs/pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// TR123 section 2.5 prints eleven tiers, tested against the printed table.
	rates := map[string]float64{
		"consumer": 0.046, "aws-on-demand": 1.006, "aws-spot": 0.302, "aws-1yr": 0.704, "aws-3yr": 0.503,
		"azure-on-demand": 0.900, "azure-spot": 0.270, "azure-3yr": 0.420,
		"gcp-on-demand": 1.200, "gcp-spot": 0.360, "gcp-3yr": 0.560,
	}
	for name, want := range rates {
		tier, err := p.TierNamed(name)
		if err != nil {
			t.Error(err)
		} else if *tier.USDPerHour != want {
			t.Errorf("%s: %v, want %v", name, *tier.USDPerHour, want)
		}
	}
	if p.Energy == nil || p.Energy.USDPerKWh != 0.20 || p.Scenario != "consumer" {
		t.Errorf("energy %+v, scenario %q", p.Energy, p.Scenario)
	}
	if b, err := p.BlendNamed(""); err != nil || b.Name != "chat" || b.Input != 0.67 {
		t.Errorf("default blend %+v, %v", b, err)
	}
}

func TestOwnTierIsByDevice(t *testing.T) {
	p, err := Load("../../configs/pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		"NVIDIA GeForce RTX 4080 Laptop GPU": "consumer",
		"nvidia geforce rtx 4080":            "consumer",
		"NVIDIA H200":                        "runpod-h200",
		"NVIDIA H100 80GB HBM3":              "runpod-h100-sxm",
		"NVIDIA H100 PCIe":                   "",
		"NVIDIA GeForce RTX 4090 Laptop GPU": "",
		"Intel(R) Xeon(R) Processor":         "",
		"":                                   "",
	} {
		got := ""
		if tier := p.Own(device); tier != nil {
			got = tier.Name
		}
		if got != want {
			t.Errorf("%q is priced by %q, want %q", device, got, want)
		}
	}
}

func TestShippedCarbon(t *testing.T) {
	c, err := LoadCarbon("../../configs/carbon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.RegionNamed(""); err != nil || r.GPerKWh != 500 {
		t.Errorf("default %+v, %v", r, err)
	}
	if _, err := c.RegionNamed("atlantis"); err == nil || !strings.Contains(err.Error(), "fr") {
		t.Errorf("unknown region: %v", err)
	}
}

func TestHardwareTier(t *testing.T) {
	p, err := Load(write(t, `
tiers:
  - name: ours
    hardware: {price_usd: 1200, life_years: 3, utilisation: 1}
    devices: ["*"]
    source: receipt
    read: 2026-01-02
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := *p.Own("anything").USDPerHour; math.Abs(got-1200.0/26280) > 1e-12 {
		t.Errorf("rate %v", got)
	}
}

func TestErrorsPointAtTheirPlace(t *testing.T) {
	promise.Of(t, "wrong pricing and carbon files", "negative, missing, twofold and unknown entries",
		"refused at file:line:column")
	const source = "source: s, read: 2026-01-02"
	for _, c := range []struct{ name, content, want string }{
		{"unknown key", "energy:\n  usd_per_kwh: 0.2\n  sauce: x\n", "x.yaml:3:3: unknown field"},
		{"wrong type", "tiers:\n  - name: a\n    usd_per_hour: cheap\n", "x.yaml:3:19: "},
		{"not yaml", "tiers: [\n", "x.yaml:1:8: "},
		{"empty", "", "x.yaml: the file is empty"},
		{"empty source", "tiers:\n  - {name: a, usd_per_hour: 1, source: \"\", read: 2026-01-02}\n", "x.yaml:2:6: source is missing"},
		{"no date", "tiers:\n  - {name: a, usd_per_hour: 1, source: s}\n", "x.yaml:2:6: read must be the date"},
		{"negative", "tiers:\n  - {name: a, usd_per_hour: -1, " + source + "}\n", "x.yaml:2:29: usd_per_hour must be"},
		{"no rate", "tiers:\n  - {name: a, " + source + "}\n", "x.yaml:2:6: tier \"a\" needs usd_per_hour or hardware"},
		{"bad hardware", "tiers:\n  - {name: a, hardware: {price_usd: 1, life_years: 0, utilisation: 1}, " + source + "}\n", "lifeYears = 0"},
		{"twice", "tiers:\n  - {name: a, usd_per_hour: 1, " + source + "}\n  - {name: a, usd_per_hour: 1, " + source + "}\n", "x.yaml:3:12: \"a\" is defined twice"},
		{"no name", "tiers:\n  - {usd_per_hour: 1, " + source + "}\n", "x.yaml:2:6: name is missing"},
		{"pattern", "tiers:\n  - {name: a, usd_per_hour: 1, devices: [\"[\"], " + source + "}\n", "x.yaml:2:42: \"[\" is no pattern"},
		{"scenario", "scenario: moon\n", "x.yaml:1:11: no tier named \"moon\""},
		{"blend", "blend: soup\n", "x.yaml:1:8: no blend named \"soup\"; known: rag-heavy"},
		{"share", "blends:\n  - {name: a, input: 1.5}\n", "x.yaml:2:22: input must be in [0,1]"},
	} {
		_, err := Load(write(t, c.content))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Load("no/such/file.yaml"); err == nil {
		t.Error("a missing file was read")
	}
	if _, err := LoadCarbon(write(t, "region: x\nregions:\n  - {name: x, g_per_kwh: -1, "+source+"}\n")); err == nil || !strings.Contains(err.Error(), "x.yaml:3:26: g_per_kwh") {
		t.Errorf("carbon: %v", err)
	}
}

func TestCarbonRegion(t *testing.T) {
	file := write(t, "region: here\nregions:\n  - {name: here, g_per_kwh: 1, source: s, read: 2026-01-02}\n  - {name: there, g_per_kwh: 2, source: s, read: 2026-01-02}\n")
	for _, c := range []struct {
		what, region string
		want         float64 // negative for an error
	}{
		{"", "", 500}, {"fr", "", 56}, {file, "", 1}, {file, "there", 2},
		{"atlantis", "", -1}, {file, "atlantis", -1},
	} {
		r, err := CarbonRegion(c.what, c.region)
		if c.want < 0 {
			if err == nil {
				t.Errorf("%q, %q: %+v", c.what, c.region, r)
			}
		} else if err != nil || r.GPerKWh != c.want {
			t.Errorf("%q, %q: %+v, %v; want %v", c.what, c.region, r, err, c.want)
		}
	}
}

func TestBlendByShare(t *testing.T) {
	var p Pricing
	b, err := p.BlendNamed("0.9")
	if err != nil || b.Input != 0.9 || b.Name != "90 % input" {
		t.Errorf("0.9: %+v, %v", b, err)
	}
	for _, bad := range []string{"1.1", "-0.1", "NaN", "soup"} {
		if b, err := p.BlendNamed(bad); err == nil {
			t.Errorf("%s: %+v", bad, b)
		}
	}
}

func TestPurchaseAndPacks(t *testing.T) {
	p, err := Load(write(t, `tiers:
  - {name: own, hardware: {price_usd: 900, life_years: 3, utilisation: 1}, source: s, read: 2026-01-02}
  - {name: laptop, usd_per_hour: 0.05, bought_usd: 1200, source: s, read: 2026-01-02}
  - {name: cloud, usd_per_hour: 1, provider: p, term: spot, source: s, read: 2026-01-02}
requests:
  - {name: one, prompt_tokens: 3, gen_tokens: 4}
`))
	if err != nil {
		t.Fatal(err)
	}
	if own, laptop := p.Tiers[0].PurchaseUSD(), p.Tiers[1].PurchaseUSD(); own == nil || *own != 900 || laptop == nil || *laptop != 1200 || p.Tiers[2].PurchaseUSD() != nil {
		t.Errorf("purchases %v %v %v", own, laptop, p.Tiers[2].PurchaseUSD())
	}
	if got := p.Packs(); len(got) != 1 || got[0].PromptTokens != 3 {
		t.Errorf("packs %+v", got)
	}
	if got := new(Pricing).Packs(); len(got) != 4 {
		t.Errorf("default packs %+v", got)
	}
	for name, content := range map[string]string{
		"term":     "tiers:\n  - {name: x, usd_per_hour: 1, term: weekly, source: s, read: 2026-01-02}\n",
		"purchase": "tiers:\n  - {name: x, usd_per_hour: 1, bought_usd: -1, source: s, read: 2026-01-02}\n",
		"request":  "requests:\n  - {name: x, prompt_tokens: -1}\n",
	} {
		if _, err := Load(write(t, content)); err == nil || !strings.Contains(err.Error(), ".yaml:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
