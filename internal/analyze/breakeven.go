package analyze

import (
	"fmt"

	"github.com/phasebench/phasebench/econ"
)

// breakEvenVolumes are the requests a month of TR123 11.4.
var breakEvenVolumes = []float64{1e6, 1e7, 1e8}

// BreakEven sets machines that are bought against rented ones of the same speed,
// for chat requests.
type BreakEven struct {
	Own, Rent           Price // Own.BoughtUSD is what a machine costs
	RentUSDPerRequest   float64
	EnergyUSDPerRequest *float64 // electricity of one's own; nil when not measured or without a price
	Volumes             []BreakEvenVolume
}

// BreakEvenVolume is the pay-back at one volume, in cash: the purchase is
// counted once, up front.
type BreakEvenVolume struct {
	Requests float64 // a month
	econ.BreakEven
	RentUSDMonthly float64
	OwnUSDMonthly  float64  // electricity where it is known, else 0
	TR123Months    *float64 // by the form of TR123, which counts the purchase twice; nil for never
}

// BreakEvens returns every tier that was bought against every tier that can be
// rented for the device of a configuration, in the order of the pricing file.
func (a *Analysis) BreakEvens(c *Config) ([]BreakEven, error) {
	var out []BreakEven
	for _, own := range a.Prices.All(c.Device) {
		if own.BoughtUSD == nil {
			continue
		}
		for _, rent := range a.Prices.Here(c.Device) {
			if rent.BoughtUSD != nil || rent.Provider == "" {
				continue
			}
			b, err := a.breakEven(c, own, rent)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.ConfigKey, err)
			}
			out = append(out, b)
		}
	}
	return out, nil
}

func (a *Analysis) breakEven(c *Config, own, rent Price) (BreakEven, error) {
	chat := econ.Packs()[0]
	billablePrefill, billableDecode := a.billable(c.Prefill, c.Decode)
	prefill, decode := billablePrefill.phase(), billableDecode.phase()
	// Who rents does not pay for electricity apart.
	rented := func(requests float64) (econ.Month, error) {
		return econ.MonthlyRequests(requests, chat, econ.Phase{TokPerS: prefill.TokPerS}, econ.Phase{TokPerS: decode.TokPerS}, a.at(rent))
	}
	each, err := rented(1)
	if err != nil {
		return BreakEven{}, err
	}
	bought, err := chat.Cost(prefill, decode, a.at(own))
	if err != nil {
		return BreakEven{}, err
	}
	out := BreakEven{Own: own, Rent: rent, RentUSDPerRequest: each.Used.TotalUSD(), EnergyUSDPerRequest: bought.EnergyUSD}
	for _, requests := range breakEvenVolumes {
		rentedMonth, err := rented(requests)
		if err != nil {
			return out, err
		}
		ownMonth, err := econ.MonthlyRequests(requests, chat, prefill, decode, a.at(own))
		if err != nil {
			return out, err
		}
		v := BreakEvenVolume{Requests: requests, RentUSDMonthly: rentedMonth.Used.TotalUSD()}
		if e := ownMonth.Used.EnergyUSD; e != nil {
			v.OwnUSDMonthly = *e
		}
		if v.BreakEven, err = econ.CashBreakEven(ownMonth, *own.BoughtUSD, rentedMonth.Used, v.OwnUSDMonthly); err != nil {
			return out, err
		}
		if saving := each.Used.InfraUSD - bought.InfraUSD; saving > 0 {
			months, err := econ.TR123BreakEvenMonths(*own.BoughtUSD, saving, requests)
			if err != nil {
				return out, err
			}
			v.TR123Months = &months
		}
		out.Volumes = append(out.Volumes, v)
	}
	return out, nil
}
