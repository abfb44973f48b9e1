package measure

import (
	"errors"

	"github.com/phasebench/phasebench/internal/prompt"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// decodedTail is how many of a point's tokens are put into the cache by decode
// steps instead of prefill, to see that both leave the same payload behind.
const decodedTail = 8

// InspectKV fills a cache to each asked length and reports its payload.
func InspectKV(q wire.KV) (*wire.KVReply, error) {
	params, device, err := modelParams(q.ModelPath, q.Engine)
	if err != nil {
		return nil, err
	}
	model, err := llama.Load(params)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	out := &wire.KVReply{Info: modelInfo(model.Info()), Device: device.Description}
	for _, asked := range q.Lengths {
		p, err := kvPoint(model, q, asked)
		if err != nil {
			return nil, err
		}
		out.Points = append(out.Points, *p)
	}
	return out, nil
}

func kvPoint(model *llama.Model, q wire.KV, asked int) (*wire.KVPoint, error) {
	n := min(asked, model.Info().CtxTrain)
	params, err := contextParams(wire.ContextSpec{NCtx: n, Batch: 1, TypeK: q.TypeK, TypeV: q.TypeV}, q.Engine)
	if err != nil {
		return nil, err
	}
	c, err := model.NewContext(params)
	if err != nil {
		return nil, err
	}
	p, err := fillCache(model, c, q, asked, n)
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, err
	}
	p.GPUUsedAfterBytes, p.HostRSSAfterBytes, err = memoryInUse(q.Engine)
	return p, err
}

// fillCache fills the cache of c to n tokens, looks inside and clears it.
func fillCache(model *llama.Model, c *llama.Context, q wire.KV, asked, n int) (*wire.KVPoint, error) {
	p := &wire.KVPoint{Asked: asked, Tokens: n, PrefillTokens: max(n-decodedTail, 1), NCtx: c.PaddedCtx()}
	tokens, err := prompt.Tokens(model.Tokenize, q.Seed, p.PrefillTokens)
	if err != nil {
		return nil, err
	}
	if _, err := c.Prefill(tokens); err != nil {
		return nil, err
	}
	if p.PrefillUsedBytes, err = c.KVUsedBytes(); err != nil {
		return nil, err
	}
	if err := c.Generate(n-p.PrefillTokens, nil); err != nil {
		return nil, err
	}
	tensors, err := c.KVUsed()
	if err != nil {
		return nil, err
	}
	p.Tensors = len(tensors)
	for _, t := range tensors {
		p.UsedBytes += t.UsedBytes
	}
	for _, m := range c.MemoryUse() {
		p.AllocBytes += m.KV
	}
	if p.GPUUsedBytes, p.HostRSSBytes, err = memoryInUse(q.Engine); err != nil {
		return nil, err
	}
	c.Clear()
	p.ClearedUsedBytes, err = c.KVUsedBytes()
	return p, err
}

// memoryInUse returns what is in use of the engine's GPU, nil on the CPU, and
// of main memory by this process.
func memoryInUse(e wire.Engine) (gpu, host *int64, err error) {
	_, rss, err := residentBytes()
	if err != nil {
		return nil, nil, err
	}
	d, err := pickDevice(e.Device)
	if err != nil || d.Kind != llama.GPU {
		return nil, &rss, err
	}
	used := d.TotalBytes - d.FreeBytes
	return &used, &rss, nil
}
