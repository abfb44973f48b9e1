package matrix

// nominal is a device of round numbers, for estimates that must come out the same
// on every machine: how long things take beside each other, not how long they
// take. Measured times are runner.Estimate's.
type nominal struct {
	bytesPerS float64 // that decode reads weights at
	flopsPerS float64 // that prefill computes at
}

// The devices that a backend can have.
var nominals = map[string]nominal{
	"cpu":  {bytesPerS: 5e10, flopsPerS: 5e11},
	"cuda": {bytesPerS: 2e12, flopsPerS: 2e14},
}

// What a launch costs besides rows: starting the worker, and reading the weights.
const (
	nominalStartS        = 1.0
	nominalLoadBytesPerS = 1e9
	nominalRampS         = 0.5 // before each energy window
)

// NominalSeconds estimates how long each pair of the plan takes: loading and
// warming up in each launch, the rows, and the energy windows. weightBytes are
// those of each model. What the matrix skips takes no time.
func (p *Plan) NominalSeconds(weightBytes map[string]int64) map[Pair]float64 {
	out := map[Pair]float64{}
	runs := map[Pair]bool{}
	e := p.Spec.Energy
	for _, c := range p.Cells {
		if c.Skip != "" {
			continue
		}
		runs[c.Pair()] = true
		rows := p.Spec.Launches * (c.Backend.Warmup + p.Spec.Repetitions)
		out[c.Pair()] += float64(rows) * c.nominalSeconds(float64(weightBytes[c.Model.Name]))
		if e.Covers(c.Scenario.Name) {
			out[c.Pair()] += 2 * float64(e.Windows) * (e.WindowS + nominalRampS)
		}
	}
	for pair := range runs {
		out[pair] += float64(p.Spec.Launches) * (nominalStartS + float64(weightBytes[pair.Model])/nominalLoadBytesPerS)
	}
	return out
}

// nominalSeconds estimates one row. A weight of F16 takes 2 bytes, and 2
// operations a token.
func (c Cell) nominalSeconds(weightBytes float64) float64 {
	d := nominals[c.Backend.Device]
	perToken := weightBytes / d.flopsPerS
	prompt, gen, batch := float64(c.Scenario.PromptTokens), float64(c.Scenario.GenTokens), float64(max(1, c.Batch))
	if c.Scenario.Decode == "uncached" { // each step evaluates everything before it again
		return batch * perToken * (gen + 1) * (prompt + gen/2)
	}
	return batch*perToken*prompt + gen*max(weightBytes/d.bytesPerS, batch*perToken)
}
