package analyze

import (
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// at puts a row in a place.
func at(pool, host, device string, r record.Record) record.Record {
	r.Place, r.Device = record.Place{Host: host, Pool: pool}, device
	return r
}

func backendNames(a *Analysis) []string {
	var out []string
	for _, c := range a.Configs {
		out = append(out, c.Backend)
	}
	return out
}

// The same cell on different machines is never one figure.
func TestRowsOfDifferentMachinesStayApart(t *testing.T) {
	row := func(rep int, ms float64) record.Record { return okRow("m", "b", 0, rep, ms, 10*ms) }
	for _, c := range []struct {
		name string
		rows []record.Record
		want []string
	}{
		{"one machine", []record.Record{at("", "n1", "x", row(0, 1)), at("", "n1", "x", row(1, 2))}, []string{"b"}},
		{"no host known", []record.Record{at("", "", "x", row(0, 1)), at("", "", "y", row(1, 2))}, []string{"b"}},
		{"like hosts", []record.Record{at("p", "n1", "x", row(0, 1)), at("p", "n2", "x", row(1, 2))}, []string{"b"}},
		{"pools", []record.Record{at("p", "n1", "x", row(0, 1)), at("q", "n2", "x", row(0, 2))}, []string{"b @ p", "b @ q"}},
		{"devices of a pool", []record.Record{at("p", "n1", "x", row(0, 1)), at("p", "n2", "y", row(1, 2))}, []string{"b @ x", "b @ y"}},
		{"both", []record.Record{at("p", "n1", "x", row(0, 1)), at("p", "n2", "y", row(1, 2)), at("q", "n3", "z", row(0, 3))}, []string{"b @ p, x", "b @ p, y", "b @ q"}},
	} {
		a := analyzed(t, c.rows, Options{})
		if got := backendNames(a); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := warned(a, "was measured on several hosts: n1, n2"); got != (c.name == "like hosts") {
			t.Errorf("%s: warned of several hosts: %v", c.name, got)
		}
	}
	rows := []record.Record{at("p", "n1", "x", row(0, 1)), at("q", "n2", "x", row(0, 2))}
	analyzed(t, rows, Options{})
	if rows[0].Backend != "b" {
		t.Errorf("the caller's row has backend %q", rows[0].Backend)
	}
}

func TestBackendsOnDifferentHostsAreTold(t *testing.T) {
	rows := []record.Record{at("p", "n1", "x", okRow("m", "a", 0, 0, 1, 1)), at("p", "n2", "x", okRow("m", "b", 0, 0, 1, 1))}
	if a := analyzed(t, rows, Options{}); !warned(a, "ran on different hosts") {
		t.Error("not told")
	}
	rows[1].Host = "n1"
	if a := analyzed(t, rows, Options{}); warned(a, "ran on different hosts") {
		t.Error("told of one host")
	}
}

// Energy windows, ceilings and idle power are those of the machine that ran the
// rows.
func TestEachMachineHasItsOwn(t *testing.T) {
	var rows []record.Record
	opts := Options{Pricing: testPricing()}
	info := &record.ModelInfo{Arch: "x", Layers: 1, Heads: 1, KVHeads: 1, HeadDimK: 1, HeadDimV: 1, Params: 1, ReadBytes: 1e6}
	for i, pool := range []string{"p", "q"} {
		device := []string{"gpu-a", "gpu-b"}[i]
		for rep := range 3 {
			r := at(pool, "n-"+pool, device, okRow("m", "b", 0, rep, 100, 1000))
			r.DeviceKind, r.ModelInfo = "gpu", info
			rows = append(rows, r)
		}
		for _, phase := range []string{"prefill", "decode"} {
			for n := range 3 {
				w := window(phase, n, 100*float64(i+1))
				w.Place, w.Device, w.DeviceKind, w.CellID = record.Place{Host: "n-" + pool, Pool: pool}, device, "gpu", rows[0].CellID
				opts.Windows = append(opts.Windows, w)
			}
		}
		opts.Devices = append(opts.Devices,
			record.DeviceRecord{Kind: record.DeviceRoofline, DeviceKind: "gpu", Place: rows[len(rows)-1].Place, CopyBytesPerS: ptr(1e8 * float64(i+1))},
			record.DeviceRecord{Kind: record.DeviceIdle, DeviceKind: "gpu", Place: rows[len(rows)-1].Place, PowerMeanW: ptr(10 * float64(i+1))})
	}
	a := analyzed(t, rows, opts)
	if len(a.Configs) != 2 {
		t.Fatalf("configurations: %q", backendNames(a))
	}
	p, q := a.Configs[0], a.Configs[1]
	jp, jq := p.Decode.JPerTok(), q.Decode.JPerTok()
	if jp == nil || jq == nil || !near(*jq, 2**jp) {
		t.Errorf("decode takes %v and %v J/tok, want the second twice the first", jp, jq)
	}
	mp, mq := a.mbuPct(p), a.mbuPct(q)
	if mp == nil || mq == nil || !near(*mp, 2**mq) {
		t.Errorf("MBU %v and %v %%, want the first twice the second", mp, mq)
	}

	// Each at the rate of its own device.
	hardware := tableNamed(t, a, "tables/hardware")
	own := map[string]string{}
	for _, row := range hardware.Rows {
		if price := row[6].(string); strings.HasPrefix(price, "own rate") {
			own[row[3].(string)] = price
		}
	}
	// The scenario is gpu-a's own rate, so it stands beside gpu-b's only.
	if len(hardware.Rows) != 3 || own["gpu-a"] != "own rate cheap, $0.036/h" || own["gpu-b"] != "own rate dear, $3.6/h" {
		t.Errorf("%v", hardware.Rows)
	}
	hosts := tableNamed(t, a, "tables/hosts")
	if len(hosts.Rows) != 2 || hosts.Rows[1][0] != "n-q" || hosts.Rows[1][3] != 3 || hosts.Rows[1][5] != 20.0 || hosts.Rows[0][6] != 0.1 {
		t.Errorf("%v", hosts.Rows)
	}
	if one := analyzed(t, rows[:3], Options{Pricing: testPricing()}); len(tableNamed(t, one, "tables/hardware").Rows) != 0 {
		t.Error("one machine has a table of several")
	}
}

// A tier is priced by the rows of its own hardware, or not at all.
func TestTiersByTheirHardware(t *testing.T) {
	prices := testPricing()
	second := prices.Tiers[0]
	second.Name, second.USDPerHour = "again", ptr(0.072)
	prices.Tiers = append(prices.Tiers, second)
	r := at("", "n1", "gpu-a", okRow("m", "b", 0, 0, 100, 1000))
	a := analyzed(t, []record.Record{r}, Options{Pricing: prices})
	got := tableNamed(t, a, "tables/tier_hardware")
	cost := map[string]any{}
	for _, row := range got.Rows {
		cost[row[0].(string)] = row[6]
	}
	if len(cost) != 3 || cost["dear"] != nil || cost["cheap"] == nil || !near(cost["again"].(float64), 2*cost["cheap"].(float64)) {
		t.Errorf("%v", got.Rows)
	}
	// Another rate of the same device is no scenario.
	kinds := map[string]any{}
	for _, row := range tableNamed(t, a, "tables/tier_cost").Rows {
		kinds[row[3].(string)] = row[4]
	}
	if kinds["cheap"] != "own" || kinds["again"] != "own, other rate" || kinds["dear"] != nil {
		t.Errorf("%v", kinds)
	}
}
