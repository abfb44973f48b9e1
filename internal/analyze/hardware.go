package analyze

import (
	"strings"

	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
)

// severalMachines reports whether rows come from more than one host, pool or
// device.
func (a *Analysis) severalMachines() bool {
	var hosts, devices set
	for _, c := range a.Configs {
		devices.add(c.Device)
		for _, h := range c.hosts() {
			hosts.add(c.pool() + " " + h)
		}
	}
	return len(hosts.list) > 1 || len(devices.list) > 1
}

// mbu returns the share of the device's copy rate that decode used over the
// scenarios of a configuration, in percent: the bytes that its tokens needed over
// its seconds, by scenario, weighted by those. Nil unless it is known for all.
func (a *Analysis) mbuPct(c *Config) *float64 {
	used, seconds := 0.0, 0.0
	for _, r := range a.Rooflines {
		if r.ConfigKey != c.ConfigKey {
			continue
		}
		if r.MBU == nil {
			return nil
		}
		used += *r.MBU * r.Decode.Seconds
		seconds += r.Decode.Seconds
	}
	if seconds == 0 {
		return nil
	}
	pct := 100 * used / seconds
	return &pct
}

func hardwareTables() []definition {
	return []definition{
		{
			name: studies + "hardware", title: "The same work on different hardware", needs: "rows of more than one host, pool or device",
			columns: append(configColumns(), col("device", "device", ""), blank("pool", "pool"), blank("hosts", "hosts"),
				col("price", "price", ""), col("blend_usd_per_m", "blend", "$/1M"), plusMinus("blend_ci_usd_per_m", "$/1M"), col("total_is", "total is", ""),
				col("prefill_tok_s", "prefill", "tok/s"), col("decode_tok_s", "decode", "tok/s"),
				col("prefill_j_per_tok", "prefill", "J/tok"), col("decode_j_per_tok", "decode", "J/tok"),
				Column{Name: "mbu_pct", Title: "MBU of decode", Unit: "%", Digits: 3}),
			fill:  fillHardware,
			notes: []string{"Each configuration at the own rate of the device it ran on, and in the scenario, by which configurations of any device can be compared but which is the price of none of them. MBU: over the copy rate that was measured on the host itself."},
		},
		{
			name: studies + "hosts", title: "Hosts", needs: "rows that say which host they were measured on",
			columns: []Column{col("host", "host", ""), blank("pool", "pool"), col("device", "device", ""), col("rows", "rows", ""), col("configs", "configurations", ""),
				col("idle_w", "idle", "W"), col("copy_gb_s", "copy", "GB/s"), col("read_gb_s", "read", "GB/s"), col("matmul_tflop_s", "F16 matmul", "TFLOP/s")},
			fill:  fillHosts,
			notes: []string{"Rows: measured ones, without warm-ups. What a device draws at rest and can do at most was measured on each host by itself."},
		},
		{
			name: studies + "tier_hardware", section: "10.1", title: "Tiers and the hardware they stand for", needs: "tiers of the pricing file that name devices",
			columns: []Column{col("tier", "tier", ""), col("usd_per_hour", "rate", "$/h"), col("stands_for", "stands for", ""), col("measured", "measured on it", ""),
				blank("device", "device"), blank("cheapest", "cheapest configuration"), Column{Name: "blend_usd_per_m", Title: "blend", Unit: "$/1M", Blank: true},
				Column{Name: "blend_ci_usd_per_m", Title: "±", Unit: "$/1M", Digits: 2, Blank: true}, blank("total_is", "total is")},
			fill:  fillTierHardware,
			notes: []string{"A tier is priced by the rows of the hardware it names, and of no other. Where none was measured there is no figure; what another device's speed would cost at its rate is a scenario, in cost_table_all_tiers."},
		},
	}
}

func fillHardware(a *Analysis, t *Table) error {
	if !a.severalMachines() {
		return nil
	}
	for _, c := range a.Configs {
		at := append(configCells(c.ConfigKey), c.Device, c.pool(), strings.Join(c.hosts(), ", "))
		speed := []any{c.Prefill.TokPerS(), c.Decode.TokPerS(), c.Prefill.JPerTok(), c.Decode.JPerTok(), a.mbuPct(c)}
		for _, x := range c.Costs {
			t.Add(append(append(append([]any{}, at...), x.Label(), x.Blend.TotalUSD(), half(x), c.totalIs(x.Blend)), speed...)...)
		}
		if len(c.Costs) == 0 {
			t.Add(append(append(append([]any{}, at...), nil, nil, nil, nil), speed...)...)
		}
	}
	return nil
}

func fillHosts(a *Analysis, t *Table) error {
	type place struct {
		record.Place
		kind, device string
	}
	var order []place
	rows, configs := map[place]int{}, map[place]*set{}
	for _, g := range a.Groups {
		for _, r := range g.Rows {
			if r.Host == "" {
				continue
			}
			at := place{r.Place, r.DeviceKind, r.Device}
			if rows[at]++; rows[at] == 1 {
				order = append(order, at)
			}
			addTo(configs, at, g.ConfigKey.String())
		}
	}
	for _, at := range order {
		idle, top := a.deviceAt(record.DeviceIdle, at.Place, at.kind), a.deviceAt(record.DeviceRoofline, at.Place, at.kind)
		if idle == nil {
			idle = &record.DeviceRecord{}
		}
		if top == nil {
			top = &record.DeviceRecord{}
		}
		t.Add(at.Host, at.Pool, at.device, rows[at], len(configs[at].list), idle.PowerMeanW,
			scale(top.CopyBytesPerS, 1e-9), scale(top.ReadBytesPerS, 1e-9), scale(top.MatmulFlopsPerS, 1e-12))
	}
	return nil
}

// fillTierHardware prices each tier that names devices by what was measured on
// them.
func fillTierHardware(a *Analysis, t *Table) error {
	for i := range a.Prices.file.Tiers {
		tier := &a.Prices.file.Tiers[i]
		if len(tier.Devices) == 0 {
			continue
		}
		var best *Config
		var cost Cost
		var devices set
		for _, c := range a.Configs {
			if !tier.Owns(c.Device) {
				continue
			}
			devices.add(c.Device)
			x, err := a.cost(priceOf(tier, true), c.Prefill.withoutEnergy(), c.Decode.withoutEnergy())
			if err != nil {
				return err
			}
			if best == nil || x.Blend.InfraUSD < cost.Blend.InfraUSD {
				best, cost = c, x
			}
		}
		cells := []any{tier.Name, *tier.USDPerHour, standsFor(tier), best != nil}
		if best == nil {
			t.Add(append(cells, nil, nil, nil, nil, nil)...)
			continue
		}
		t.Add(append(cells, strings.Join(devices.list, ", "), best.ConfigKey.String(), cost.Blend.InfraUSD, half(cost), totalIs(cost.Blend, best.Prefill, best.Decode))...)
	}
	return nil
}

// standsFor names the devices of a tier as people do, without the stars of its
// patterns.
func standsFor(t *pricing.Tier) string {
	var names []string
	for _, pattern := range t.Devices {
		names = append(names, strings.Trim(pattern, "*"))
	}
	return strings.Join(names, ", ")
}
