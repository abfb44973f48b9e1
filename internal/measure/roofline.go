package measure

import (
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Roofline measures what the engine's device can do at most. No model needs to
// be open; one that is takes its part of the memory.
func Roofline(q wire.Roofline) (*wire.RooflineReply, error) {
	d, err := pickDevice(q.Engine.Device)
	if err != nil {
		return nil, err
	}
	n := threads(q.Engine)
	r, err := llama.MeasureRoofline(d, n)
	if err != nil {
		return nil, err
	}
	if d.Kind != llama.CPU {
		n = 0 // they have no part in it
	}
	return &wire.RooflineReply{
		Device:        d.Description,
		CopyBytesPerS: r.CopyBytesPerS, CopyBytes: r.CopyBytes,
		ReadBytesPerS: r.ReadBytesPerS, ReadBytes: r.ReadBytes,
		MatmulFlopsPerS: r.MatmulFlopsPerS, MatmulSize: r.MatmulSize,
		Threads: n,
	}, nil
}
