package runner

import (
	"context"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/wire"
)

// The size of the probe that an estimate rests on.
const (
	probePrompt = 32
	probeGen    = 8
)

// Estimate measures one short row for each batch of a group that was checked and
// returns how long the group's rows of a plan would take at that speed: loading, warm-ups
// and repetitions in every launch, and the energy windows of the first. Longer
// prompts run at higher rates than the probe's, so it errs on the long side. It
// returns 0 when no cell of the group can run.
func Estimate(ctx context.Context, g *GroupCheck, spec *matrix.Spec, l Launcher) (time.Duration, error) {
	cells := g.running()
	if len(cells) == 0 {
		return 0, nil
	}
	w, err := l.Launch(LaunchSpec{Label: "estimate " + g.Name(), Env: g.Backend.EngineEnv()})
	if err != nil {
		return 0, err
	}
	defer w.Close()
	start := time.Now()
	if _, err := call(ctx, w, wire.Request{Open: &wire.Open{ModelPath: g.Model.Path, Engine: engine(g.Backend)}}, inspectLimit); err != nil {
		return 0, err
	}
	load := time.Since(start)
	speeds := map[int]speed{} // by batch
	for _, c := range cells {
		if _, ok := speeds[c.Batch]; !ok {
			if speeds[c.Batch], err = probe(ctx, w, c); err != nil {
				return 0, err
			}
		}
	}
	perLaunch, windows := float64(load), float64(WindowTime(g, spec.Energy))
	for _, c := range cells {
		v := speeds[c.Batch]
		row := float64(c.PromptTokens)*v.perPrompt + float64(c.Scenario.GenTokens)*v.perStep
		if c.Scenario.Decode == "uncached" {
			// Each step evaluates everything before it again.
			n := float64(c.Scenario.GenTokens)
			row = v.perPrompt * (n + 1) * (float64(c.PromptTokens) + n/2)
		}
		perLaunch += row * float64(g.Backend.Warmup+spec.Repetitions)
		if spec.Energy.Covers(c.Scenario.Name) {
			// Prefill and decode each go on past the end, which is a row for both,
			// and so are the rows on either side, where they are long.
			beside := max(wire.FewestReferences*row-float64(wire.ReferencesFor), 0)
			windows += (row + 2*beside) * float64(spec.Energy.Windows)
		}
	}
	return time.Duration(perLaunch*float64(spec.Launches) + windows), nil
}

// speed is what a token of the prompt takes, and a decode step, of all sequences
// at once; in ns.
type speed struct{ perPrompt, perStep float64 }

// probe measures a short row with the batch of a cell.
func probe(ctx context.Context, w Worker, c *CellCheck) (speed, error) {
	row := wire.Row{
		Context:      wire.ContextSpec{NCtx: probePrompt + probeGen, Batch: c.Batch, TypeK: c.KV.K, TypeV: c.KV.V},
		PromptTokens: probePrompt, GenTokens: probeGen, DecodeMode: "cached", Seed: c.Seed,
	}
	var v speed
	for range 2 { // the first warms up
		reply, err := call(ctx, w, wire.Request{Row: &row}, inspectLimit)
		if err != nil {
			return v, err
		}
		r := reply.Row
		v.perPrompt = float64(r.PrefillEndNs-r.StartNs) / probePrompt
		v.perStep = float64(r.StepEndNs[len(r.StepEndNs)-1]-r.PrefillEndNs) / probeGen
	}
	return v, nil
}
