package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// inspectLimit is how long a worker may take to describe devices or a model.
// No weights are read, but a first start of CUDA on a large machine is slow.
const inspectLimit = 5 * time.Minute

// Host is what the machine offers to workers.
type Host struct {
	Devices           wire.DevicesReply
	MemAvailableBytes int64 // main memory; 0 if not known
}

// hasCUDA reports whether the engine sees a CUDA GPU.
func (h Host) hasCUDA() bool {
	for _, d := range h.Devices.Devices {
		if d.Kind == "gpu" && d.Backend == "CUDA" {
			return true
		}
	}
	return false
}

// Survey asks a worker of its own which devices the engine sees.
func Survey(ctx context.Context, l Launcher) (Host, error) {
	h := Host{MemAvailableBytes: environ.MemAvailableBytes("/")}
	reply, err := Ask(ctx, l, LaunchSpec{Label: "devices"}, wire.Request{Devices: &wire.Devices{}}, inspectLimit)
	if err == nil {
		h.Devices = *reply.Devices
	}
	return h, err
}

// Ask puts one question to a worker started for it. The error is a *Death when
// the worker died of it.
func Ask(ctx context.Context, l Launcher, spec LaunchSpec, q wire.Request, limit time.Duration) (wire.Reply, error) {
	w, err := l.Launch(spec)
	if err != nil {
		return wire.Reply{}, err
	}
	defer w.Close()
	return call(ctx, w, q, limit)
}

// GroupCheck is what is known before measuring about the cells that share a
// worker: those of one model on one backend.
type GroupCheck struct {
	Model    matrix.Model
	Backend  matrix.Backend
	Info     *wire.ModelInfo // nil if the model file was not looked at, or could not be
	Contexts []ContextCheck  // one per kv type and batch that is used, in the order of the cells
	Cells    []CellCheck     // in the order of the plan
}

// Name returns the group's name for messages.
func (g *GroupCheck) Name() string { return g.Model.Name + " on " + g.Backend.Name }

// DeviceKind returns the kind of device, "cpu" or "gpu", that the cells run on.
func (g *GroupCheck) DeviceKind() string { return deviceKind(g.Backend) }

// ContextCheck is what one context needs, together with the model.
type ContextCheck struct {
	Spec wire.ContextSpec
	Need wire.MemoryNeed
}

// CellCheck is what is known before measuring about one cell. It is to be
// measured if both SkipReason and Err are empty.
type CellCheck struct {
	matrix.Cell
	PromptTokens int              // as the model allows
	Context      wire.ContextSpec // that the cell is measured in
	Warnings     []string         // that its rows carry
	SkipKind     record.SkipKind
	SkipReason   string
	Err          *record.Error // why the cell could not be checked
}

func (c *CellCheck) runs() bool { return c.SkipReason == "" && c.Err == nil }

func (c *CellCheck) skip(kind record.SkipKind, format string, args ...any) {
	c.SkipKind, c.SkipReason = kind, fmt.Sprintf(format, args...)
}

// Check finds out, without measuring, which cells of a plan can run: the rules
// of the matrix, the devices, the types of the cache, the model's positions and
// the memory. It fails
// only if ctx ends.
func Check(ctx context.Context, plan *matrix.Plan, host Host, l Launcher) ([]GroupCheck, error) {
	groups := group(plan)
	return groups, checkAll(ctx, groups, host, l)
}

// group collects the cells of each worker.
func group(plan *matrix.Plan) []GroupCheck {
	var groups []GroupCheck
	at := map[[2]string]int{}
	for _, c := range plan.Cells {
		k := [2]string{c.Model.Name, c.Backend.Name}
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, GroupCheck{Model: c.Model, Backend: c.Backend})
		}
		groups[i].Cells = append(groups[i].Cells, CellCheck{Cell: c, PromptTokens: c.Scenario.PromptTokens})
	}
	return groups
}

func checkAll(ctx context.Context, groups []GroupCheck, host Host, l Launcher) error {
	for i := range groups {
		g := &groups[i]
		g.checkRules(host)
		if len(g.running()) > 0 {
			g.checkModel(ctx, host, l)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// running returns the cells that nothing speaks against so far.
func (g *GroupCheck) running() []*CellCheck {
	var out []*CellCheck
	for i := range g.Cells {
		if g.Cells[i].runs() {
			out = append(out, &g.Cells[i])
		}
	}
	return out
}

func (g *GroupCheck) checkRules(host Host) {
	for _, c := range g.running() {
		switch {
		case c.Skip != "":
			c.skip(record.SkipRule, "%s", c.Skip)
		case g.Backend.Device == "cuda" && !host.hasCUDA():
			c.skip(record.SkipDevice, "no CUDA device")
		}
	}
}

// checkModel asks a worker of its own about the model: a hostile or damaged
// file can kill it, and what it holds is given back before the measuring.
func (g *GroupCheck) checkModel(ctx context.Context, host Host, l Launcher) {
	fail := func(cells []*CellCheck, err error) {
		for _, c := range cells {
			c.Err = failure(err, "inspecting "+g.Model.Path+" for "+g.Backend.Name)
		}
	}
	var w Worker
	defer func() {
		if w != nil {
			w.Close()
		}
	}()
	inspect := func(contexts ...wire.ContextSpec) (*wire.Inspected, error) {
		q := wire.Request{Inspect: &wire.Inspect{ModelPath: g.Model.Path, Engine: engine(g.Backend), Contexts: contexts}}
		for tries := 1; ; tries++ {
			if w == nil {
				var err error
				if w, err = l.Launch(LaunchSpec{Label: "inspect " + g.Name(), Env: g.Backend.EngineEnv()}); err != nil {
					return nil, err
				}
			}
			reply, err := call(ctx, w, q, inspectLimit)
			if died(err) {
				w.Close()
				w = nil
				if tries < 2 && ctx.Err() == nil {
					continue // it may have been killed for nothing it did
				}
			}
			return reply.Inspected, err
		}
	}
	model, err := inspect()
	if err != nil {
		fail(g.running(), err)
		return
	}
	g.Info = &model.Info
	g.checkCaches(host)
	for _, c := range g.running() {
		c.clamp(model.Info.CtxTrain)
	}
	// One context at a time, since the engine may refuse one kv type only.
	fit := memory{host: host.MemAvailableBytes}
	for _, spec := range g.planContexts() {
		cells := g.in(spec)
		got, err := inspect(spec)
		if err == nil && len(got.Memory) != 1 {
			err = refusal{"engine", "the worker did not say what memory the context needs"}
		}
		if err != nil {
			fail(cells, err)
			continue
		}
		g.Contexts = append(g.Contexts, ContextCheck{spec, got.Memory[0]})
		if reason := fit.add(got.Memory[0]); reason != "" {
			for _, c := range cells {
				c.skip(record.SkipMemory, "%s", reason)
			}
		}
	}
}

// clamp shortens the prompt to what the model has positions for.
func (c *CellCheck) clamp(positions int) {
	asked, gen := c.Scenario.PromptTokens, c.Scenario.GenTokens
	switch {
	case positions <= 0 || asked+gen <= positions:
	case gen >= positions:
		c.skip(record.SkipPositions, "gen_tokens %d leaves no room for a prompt in the model's %d positions", gen, positions)
	default:
		c.PromptTokens = positions - gen
		c.Warnings = append(c.Warnings, fmt.Sprintf("prompt clamped from %d to %d tokens: with gen_tokens %d the model's %d positions are full",
			asked, c.PromptTokens, gen, positions))
	}
}

// planContexts gives every cell that runs its context, one for all cells of a
// kv type and batch and as large as the largest of them needs, and returns them.
func (g *GroupCheck) planContexts() []wire.ContextSpec {
	var specs []wire.ContextSpec
	at := map[wire.ContextSpec]int{}
	key := func(c *CellCheck) wire.ContextSpec {
		return wire.ContextSpec{Batch: c.Batch, TypeK: c.KV.K, TypeV: c.KV.V}
	}
	for _, c := range g.running() {
		k := key(c)
		i, ok := at[k]
		if !ok {
			i = len(specs)
			at[k] = i
			specs = append(specs, k)
		}
		specs[i].NCtx = max(specs[i].NCtx, c.PromptTokens+c.Scenario.GenTokens)
	}
	for _, c := range g.running() {
		c.Context = specs[at[key(c)]]
	}
	return specs
}

// in returns the cells that run in a context.
func (g *GroupCheck) in(spec wire.ContextSpec) []*CellCheck {
	var out []*CellCheck
	for _, c := range g.running() {
		if c.Context == spec {
			out = append(out, c)
		}
	}
	return out
}

// memory adds up what the contexts of one worker hold, which live side by side
// over one copy of the weights.
type memory struct {
	host             int64 // main memory available, 0 if not known
	heldDev, heldHst int64 // by the contexts added so far, without weights
}

// add takes one more context in, or says why it does not fit.
func (m *memory) add(need wire.MemoryNeed) string {
	dev, hst := need.Device.Sum()+m.heldDev, need.Host.Sum()+m.heldHst
	const mib = 1 << 20
	if dev > need.FreeDev {
		return fmt.Sprintf("needs %d MiB of GPU memory, %d MiB are free", dev/mib, need.FreeDev/mib)
	}
	if m.host > 0 && hst > m.host {
		return fmt.Sprintf("needs %d MiB of main memory, %d MiB are available", hst/mib, m.host/mib)
	}
	m.heldDev, m.heldHst = dev-need.Device.Weights, hst-need.Host.Weights
	return ""
}

// engine translates a backend entry for the worker.
func engine(b matrix.Backend) wire.Engine {
	e := wire.Engine{
		Device: b.Device, Threads: b.Threads, NBatch: b.NBatch, NUbatch: b.NUbatch,
		FlashAttn: b.FlashAttn, Mmap: b.Mmap == nil || *b.Mmap, Argmax: b.Argmax, KVUnified: b.KVUnified,
	}
	if b.Device == "cuda" {
		e.GPULayers = -1
		if b.GPULayers != nil {
			e.GPULayers = *b.GPULayers
		}
	}
	return e
}
