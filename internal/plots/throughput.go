package plots

import (
	"fmt"

	"gonum.org/v1/plot"
)

const noRow = noData("no row was measured")

// decodeRate draws tokens per second of decode, by model and configuration.
func decodeRate(in *input) ([]*figure, error) {
	b := bars{format: plain, text: exact}
	var scenarios string
	for _, model := range in.models {
		configs := in.configsOf(model)
		if len(configs) == 0 {
			continue
		}
		if scenarios == "" {
			scenarios = scenariosOf(configs)
		}
		b.rows = append(b.rows, bar{label: model})
		for _, c := range configs {
			value, lo, hi := inverse(c.Decode.SPerTok)
			b.rows = append(b.rows, bar{label: series(c.ConfigKey), value: value, lo: lo, hi: hi, color: in.look(c.ConfigKey).color})
		}
	}
	if len(b.rows) == 0 {
		return nil, noRow
	}
	tile, ends := barTile("", "decoded tokens per second", b)
	return []*figure{{
		tiles: [][]*plot.Plot{{tile}}, rowHeight: barsHeight(len(b.rows)),
		notes:   []string{fmt.Sprintf("Tokens over seconds of all scenarios: %s. All sequences of a batch count. %s", scenarios, ends)},
		caption: "Decoded tokens per second, pooled over the scenarios, by model and backend.",
	}}, nil
}
