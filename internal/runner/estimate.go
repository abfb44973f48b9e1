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

// Estimate measures one short row of a group that was checked and returns how
// long the group's rows of a plan would take at that speed: loading, warm-ups
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
	row := wire.Row{
		Context:      wire.ContextSpec{NCtx: probePrompt + probeGen, Batch: 1, TypeK: cells[0].KV.K, TypeV: cells[0].KV.V},
		PromptTokens: probePrompt, GenTokens: probeGen, DecodeMode: "cached", Seed: cells[0].Seed,
	}
	var perPrompt, perToken float64 // ns; the second of two rows, the first warms up
	for range 2 {
		reply, err := call(ctx, w, wire.Request{Row: &row}, inspectLimit)
		if err != nil {
			return 0, err
		}
		r := reply.Row
		perPrompt = float64(r.PrefillEndNs-r.StartNs) / probePrompt
		perToken = float64(r.StepEndNs[len(r.StepEndNs)-1]-r.PrefillEndNs) / probeGen
	}
	perLaunch, windows := float64(load), float64(WindowTime(g, spec.Energy))
	for _, c := range cells {
		row := float64(c.PromptTokens)*perPrompt + float64(c.Scenario.GenTokens)*perToken
		if c.Scenario.Decode == "uncached" {
			// Each step evaluates everything before it again.
			n := float64(c.Scenario.GenTokens)
			row = perPrompt * (n + 1) * (float64(c.PromptTokens) + n/2)
		}
		perLaunch += row * float64(g.Backend.Warmup+spec.Repetitions)
		if spec.Energy.Covers(c.Scenario.Name) {
			// Prefill and decode each go on past the end, which is a row for both.
			windows += row * float64(spec.Energy.Windows)
		}
	}
	return time.Duration(perLaunch*float64(spec.Launches) + windows), nil
}
