package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
)

// The months that break-even is drawn over.
const firstMonth, lastMonth = 0.1, 120

// breakEven draws what buying and renting cost over time, at each volume, for
// the cheapest configuration.
func breakEven(in *input) ([]*figure, error) {
	best := in.bestOfModels()
	if len(best) == 0 {
		return nil, noPrice
	}
	c := in.Rankings[0].Entries[0].Config
	all, err := in.BreakEvens(c)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noData("needs a tier with a purchase price (hardware or bought_usd) and one with a provider")
	}
	bought, rents := cheapestByTerm(all)
	f := &figure{rowHeight: 300, tiles: [][]*plot.Plot{nil}}
	for v, volume := range bought.Volumes {
		p := newTile(scaled(volume.Requests)+" requests a month", "months (log)", "spent so far, $ (log)")
		var usd span
		own := look{color: black}
		p.Add(spending(volume.UpfrontUSD, volume.OwnUSDMonthly, own, &usd))
		var crossings []dots
		for i, r := range rents {
			l := rentLook(i)
			rent := r.Volumes[v]
			p.Add(spending(0, rent.RentUSDMonthly, l, &usd))
			if m := rent.Months; m != nil && *m >= firstMonth && *m <= lastMonth {
				at := point{x: *m, y: *m * rent.RentUSDMonthly}
				crossings = append(crossings, dots{points: []point{at}, style: l.marker(false)})
			}
		}
		for _, d := range crossings {
			p.Add(d)
		}
		setLog(&p.X, span{firstMonth, lastMonth, true}, plain)
		setLog(&p.Y, usd.times(1.3), dollars)
		f.tiles[0] = append(f.tiles[0], p)
	}
	f.legend = []key{lineKey(fmt.Sprintf("buy: %s, $%s each", bought.Own.Tier, exact(*bought.Own.BoughtUSD)), look{color: black}.line(lineWidth))}
	for i, r := range rents {
		k := lineKey("rent: "+rentName(r.Rent), rentLook(i).line(lineWidth))
		marker := rentLook(i).marker(false)
		k.marker = &marker
		f.legend = append(f.legend, k)
	}
	electricity := "Own electricity is counted."
	if bought.EnergyUSDPerRequest == nil {
		electricity = "Own electricity was not measured and is left out."
	}
	kind := ""
	if !bought.Own.Own {
		kind = " Scenario: the bought machine is taken to be as fast as the measured one."
	}
	f.notes = []string{
		fmt.Sprintf("Chat requests on %s. Markers: where renting has cost as much. %s%s", c.ConfigKey, electricity, kind),
		fmt.Sprintf("Of the tiers to rent, the device's own and the cheapest of each term. Machines bought: %s.", machines(bought)),
	}
	f.caption = "Cash spent over time for the cheapest configuration: whole machines bought up front, or hours rented as they are needed."
	return []*figure{f}, nil
}

// rentName names a price that is paid by the hour.
func rentName(p analyze.Price) string {
	name := fmt.Sprintf("%s, $%g/h", p.Tier, p.USDPerHour)
	if !p.Own {
		name += " (scenario)"
	}
	return name
}

func machines(b analyze.BreakEven) string {
	text := ""
	for i, v := range b.Volumes {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d at %s a month", v.GPUs, scaled(v.Requests))
	}
	return text
}

var rentColors = []color.NRGBA{blue, orange, green, purple, skyBlue, vermillion}

func rentLook(i int) look {
	return look{rentColors[i%len(rentColors)], shapes[i%len(shapes)], dashes[1+i%(len(dashes)-1)]}
}

// spending is what was paid after each month, on log axes.
func spending(upfront, monthly float64, l look, usd *span) curve {
	var line []point
	const steps = 60
	for i := range steps + 1 {
		months := firstMonth * math.Pow(lastMonth/firstMonth, float64(i)/steps)
		at := point{x: months, y: upfront + monthly*months}
		if at.y > 0 {
			usd.add(&at.y)
			line = append(line, at)
		}
	}
	return curve{points: line, style: l.line(lineWidth)}
}

// cheapestByTerm returns the bought tier of the device, else the first, and of
// the rents against it the device's own and the cheapest of each term.
func cheapestByTerm(all []analyze.BreakEven) (bought analyze.BreakEven, rents []analyze.BreakEven) {
	bought = all[0]
	for _, b := range all {
		if b.Own.Own {
			bought = b
			break
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(b analyze.BreakEven) bool { return b.Own.Tier != bought.Own.Tier })
	slices.SortStableFunc(all, func(a, b analyze.BreakEven) int { return cmp.Compare(a.RentUSDPerRequest, b.RentUSDPerRequest) })
	seen := map[string]bool{}
	for _, b := range all {
		if b.Rent.Own || !seen[b.Rent.Term] {
			rents = append(rents, b)
			seen[b.Rent.Term] = seen[b.Rent.Term] || !b.Rent.Own
		}
	}
	return bought, rents
}
