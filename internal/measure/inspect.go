package measure

import (
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Inspect describes a model file and what each context would need, by the
// engine's own allocator in a dry run: no weights are read.
func Inspect(q wire.Inspect) (*wire.Inspected, error) {
	params, device, err := modelParams(q.ModelPath, q.Engine)
	if err != nil {
		return nil, err
	}
	params.DryRun = true
	model, err := llama.Load(params)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	out := &wire.Inspected{Info: modelInfo(model.Info())}
	for _, spec := range q.Contexts {
		need, err := contextNeed(model, spec, q.Engine)
		if err != nil {
			return nil, err
		}
		if params.Device != nil {
			need.FreeDev, need.TotDev = device.FreeBytes, device.TotalBytes
		}
		out.Memory = append(out.Memory, need)
	}
	return out, nil
}

func contextNeed(model *llama.Model, spec wire.ContextSpec, e wire.Engine) (wire.MemoryNeed, error) {
	var need wire.MemoryNeed
	params, err := contextParams(spec, e)
	if err != nil {
		return need, err
	}
	c, err := newContext(model, params)
	if err != nil {
		return need, err
	}
	defer c.Close()
	for _, m := range c.MemoryUse() {
		place := &need.Host
		if m.Device != nil {
			place = &need.Device
		}
		place.Weights += m.Weights
		place.KV += m.KV
		place.Compute += m.Compute
	}
	return need, nil
}

// ListDevices answers which devices the engine sees.
func ListDevices() (*wire.DevicesReply, error) {
	devices, err := llama.Devices()
	if err != nil {
		return nil, err
	}
	out := &wire.DevicesReply{Version: llama.Version(), Features: llama.SystemInfo()}
	for _, d := range devices {
		out.Devices = append(out.Devices, wire.Device{
			Name: d.Name, Description: d.Description, Kind: string(d.Kind), Backend: d.Backend,
			PCIBusID: d.PCIBusID, FreeBytes: d.FreeBytes, TotalBytes: d.TotalBytes,
		})
	}
	return out, nil
}
