package plots

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"

	"github.com/phasebench/phasebench/internal/analyze"
)

// batches draws, for each scenario measured at several batch sizes, what the
// blend costs against the batch and against the time of a token, the energy of a
// decoded token, and how much of the device is used.
func batches(in *input) ([]*figure, error) {
	all, err := in.BatchStudies()
	if err != nil {
		return nil, err
	}
	var scenarios []string
	for _, b := range all {
		if !slices.Contains(scenarios, b.Scenario) {
			scenarios = append(scenarios, b.Scenario)
		}
	}
	if len(scenarios) == 0 {
		return nil, noData("needs a scenario measured at more than one batch size")
	}
	var out []*figure
	for _, scenario := range scenarios {
		of := slices.DeleteFunc(slices.Clone(all), func(b analyze.Batches) bool { return b.Scenario != scenario })
		f := in.batchFigure(of)
		if len(scenarios) > 1 {
			f.part = scenario
		}
		out = append(out, f)
	}
	return out, nil
}

// batchPanel is one tile: what of a point stands on its axes, nil where it is not
// known.
type batchPanel struct {
	heading, x, y string
	at            func(p analyze.OperatingPoint) (x float64, y *float64)
	format        format
}

func batchPanels() [][]batchPanel {
	batch := func(of func(p analyze.OperatingPoint) *float64) func(analyze.OperatingPoint) (float64, *float64) {
		return func(p analyze.OperatingPoint) (float64, *float64) { return float64(p.Batch), of(p) }
	}
	percent := func(v *float64) *float64 {
		if v == nil {
			return nil
		}
		out := 100 * *v
		return &out
	}
	usd := func(p analyze.OperatingPoint) *float64 { return p.USDPerM }
	return [][]batchPanel{
		{
			{heading: "cost against batch", x: "sequences at once (log)", y: "$ per million tokens of the blend (log)", at: batch(usd), format: dollars},
			{heading: "cost against latency", x: "TPOT p95, ms (log)", y: "$ per million tokens of the blend (log)", format: dollars,
				at: func(p analyze.OperatingPoint) (float64, *float64) { return p.TPOTMs, p.USDPerM }},
		},
		{
			{heading: "throughput", x: "sequences at once (log)", y: "decoded tokens per second, all sequences (log)", format: plain,
				at: batch(func(p analyze.OperatingPoint) *float64 { v := p.Decode.TokPerS(); return &v })},
			{heading: "energy", x: "sequences at once (log)", y: "J per decoded token (log)", format: plain,
				at: batch(func(p analyze.OperatingPoint) *float64 { return p.Decode.JPerTok() })},
		},
		{
			{heading: "bandwidth used in decode", x: "sequences at once (log)", y: "MBU, % (log)", format: plain,
				at: batch(func(p analyze.OperatingPoint) *float64 { return percent(p.MBU) })},
			{heading: "arithmetic used in decode", x: "sequences at once (log)", y: "MFU, % (log)", format: plain,
				at: batch(func(p analyze.OperatingPoint) *float64 { return percent(p.DecodeMFU) })},
		},
	}
}

func (in *input) batchFigure(all []analyze.Batches) *figure {
	f := &figure{rowHeight: 270}
	for _, b := range all {
		l := in.batchLook(b)
		sty, marker := l.line(1.2), l.marker(false)
		k := b.ConfigKey
		k.Batch = 1
		f.legend = append(f.legend, key{label: k.String(), line: &sty, marker: &marker})
	}
	for _, row := range batchPanels() {
		tiles := make([]*plot.Plot, len(row))
		drawn := false
		for i, panel := range row {
			tiles[i] = in.batchTile(panel, all)
			drawn = drawn || tiles[i] != nil
		}
		if drawn {
			f.tiles = append(f.tiles, tiles)
		}
	}
	var price string
	for _, b := range all {
		if b.Knee != nil {
			price = b.Points[0].Cost.Label()
			if f.notes == nil {
				f.notes = []string{fmt.Sprintf("Prices: %s. Ringed: the knee, the smallest batch within 10 %% of the cheapest.", price)}
			}
		}
	}
	if price == "" {
		f.notes = []string{"No price is known, so there are no costs."}
	}
	f.caption = "What more sequences at once cost and take: the price of a million tokens, and how long each sequence waits for one of its own."
	return f
}

func (in *input) batchLook(b analyze.Batches) look {
	l := in.model[b.Model]
	l.dash = in.backend[b.Backend].dash
	k := b.ConfigKey
	if k.Batch = 1; k.Variant() != "" {
		l.color = mixed(l.color, 0.45)
	}
	return l
}

// batchTile draws one panel; nil when nothing of it is known.
func (in *input) batchTile(panel batchPanel, all []analyze.Batches) *plot.Plot {
	p := newTile(panel.heading, panel.x, panel.y)
	var xs, ys span
	for _, b := range all {
		var line, knee []point
		for _, at := range b.Points {
			x, y := panel.at(at)
			if y == nil || !(*y > 0) {
				continue
			}
			xs.add(&x)
			ys.add(y)
			line = append(line, point{x: x, y: *y})
			if b.Knee != nil && b.Knee.Batch == at.Batch {
				knee = append(knee, point{x: x, y: *y})
			}
		}
		l := in.batchLook(b)
		p.Add(curve{points: line, style: l.line(1.2)}, dots{points: line, style: l.marker(false)}, dots{points: knee, style: crossoverMark(l)})
	}
	if ys == (span{}) {
		return nil
	}
	setLog(&p.X, xs.times(1.15), plain)
	setLog(&p.Y, ys.times(1.4), panel.format)
	return p
}
