package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/econ"
)

// requestsPerS is the load of TR123 11.2.
const requestsPerS = 100

// capacityTables say what a machine serves and when buying one pays.
func capacityTables() []definition {
	return []definition{
		{
			name: studies + "capacity", section: "11.1", title: "Requests of 256+128 tokens a worker serves", needs: "a measured row",
			columns: append(configColumns(), col("decode_tok_s", "decode", "tok/s"), col("prefill_tok_s", "prefill", "tok/s"),
				col("s_per_request", "request", "s"), col("req_per_s", "a worker", "req/s")),
			fill: func(a *Analysis, t *Table) error {
				for _, c := range a.serving() {
					s, err := requestMix.Seconds(c.Prefill.phase(), c.Decode.phase())
					if err != nil {
						return err
					}
					rps, err := econ.RequestsPerS(s)
					if err != nil {
						return err
					}
					t.Add(append(configCells(c.ConfigKey), c.Decode.TokPerS(), c.Prefill.TokPerS(), s, rps)...)
				}
				return nil
			},
			notes: []string{"Seconds are machine time: a batch serves so many requests at once, each of which takes as many times as long as here."},
		},
		{
			name: studies + "workers", section: "11.2", title: "Workers for 100 requests a second, and 1e9 tokens a month of such requests", needs: needsPrice,
			columns: append(pricedColumns(), col("workers", "workers", ""), col("tr123_workers", "TR123 form, rounded", ""),
				col("usd_per_month", "1e9 tokens", "$/month"), col("total_is", "total is", ""), col("tr123_usd_per_month", "TR123 form, infra only", "$/month")),
			fill: fillWorkers,
		},
		{
			name: studies + "scenario_packs", section: "11.3", title: "Dollars per 1,000 requests of product shapes", needs: needsPrice,
			columns: append(pricedColumns(), col("pack", "pack", ""), col("tokens", "tokens", ""), col("s_per_request", "request", "s"),
				col("infra_usd_per_1k", "infra", "$/1k"), col("energy_usd_per_1k", "energy", "$/1k"), col("total_usd_per_1k", "total", "$/1k"), col("total_is", "total is", "")),
			fill:  fillPacks,
			notes: []string{"TR123 11.3 has the infra part only."},
		},
		{
			name: studies + "break_even", section: "11.4", title: "Months until buying pays back against renting, chat requests",
			needs: "a tier with a purchase price (hardware or bought_usd) and one with a provider",
			columns: append(configColumns(), col("bought", "bought", ""), col("rented", "rented", ""),
				col("rented_usd_per_1k", "rented", "$/1k"), col("own_energy_usd_per_1k", "own energy", "$/1k"),
				col("gpus_1m", "machines at 1M/month", ""), col("months_1m", "cash", "months"), col("tr123_months_1m", "TR123 form", "months"),
				col("gpus_10m", "machines at 10M", ""), col("months_10m", "cash", "months"), col("tr123_months_10m", "TR123 form", "months"),
				col("gpus_100m", "machines at 100M", ""), col("months_100m", "cash", "months"), col("tr123_months_100m", "TR123 form", "months")),
			fill: fillBreakEven,
			notes: []string{
				"Cash: whole machines bought up front for the volume, against the rent, less own electricity where it was measured. TR123 form: one machine whatever the volume, the amortised rate counted as well, no electricity. Both take the measured speed for bought and rented alike, so each is a scenario unless the bought tier owns the device.",
			},
		},
	}
}

func fillWorkers(a *Analysis, t *Table) error {
	return a.everyPrice(func(c *Config, p Price, prefill, decode econ.Phase, at econ.Prices) error {
		s, err := requestMix.Seconds(prefill, decode)
		if err != nil {
			return err
		}
		workers, err := econ.Workers(requestsPerS, s)
		if err != nil {
			return err
		}
		rounded, err := econ.TR123Workers(requestsPerS, s)
		if err != nil {
			return err
		}
		month, err := econ.MonthlyRequests(monthTokens/float64(requestMix.PromptTokens+requestMix.GenTokens), requestMix, prefill, decode, at)
		if err != nil {
			return err
		}
		theirs, err := econ.TR123MonthlyUSD(monthTokens, requestMix, prefill, decode, at.USDPerHour)
		if err != nil {
			return err
		}
		t.Add(append(configCells(c.ConfigKey), p.Label(), workers, rounded, month.Used.TotalUSD(), c.totalIs(month.Used), theirs)...)
		return nil
	})
}

func fillPacks(a *Analysis, t *Table) error {
	return a.everyPrice(func(c *Config, p Price, prefill, decode econ.Phase, at econ.Prices) error {
		for _, pack := range a.Packs {
			if !a.fits(c, pack.PromptTokens+pack.GenTokens) {
				continue
			}
			s, err := pack.Seconds(prefill, decode)
			if err != nil {
				return err
			}
			each, err := pack.Cost(prefill, decode, at)
			if err != nil {
				return err
			}
			thousand, err := each.Scale(1000)
			if err != nil {
				return err
			}
			t.Add(append(configCells(c.ConfigKey), p.Label(), pack.Name, fmt.Sprintf("%d+%d", pack.PromptTokens, pack.GenTokens), s,
				thousand.InfraUSD, thousand.EnergyUSD, total(thousand), c.totalIs(thousand))...)
		}
		return nil
	})
}

func fillBreakEven(a *Analysis, t *Table) error {
	for _, c := range a.serving() {
		all, err := a.BreakEvens(c)
		if err != nil {
			return err
		}
		for _, b := range all {
			cells := append(configCells(c.ConfigKey), b.Own.Label(), b.Rent.Tier, 1000*b.RentUSDPerRequest, scale(b.EnergyUSDPerRequest, 1000))
			for _, v := range b.Volumes {
				cells = append(cells, v.GPUs, v.Months, v.TR123Months)
			}
			t.Add(cells...)
		}
	}
	return nil
}
