package measure

import (
	"fmt"

	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// Translation between the words of the wire and those of the engine.

// pickDevice returns the device an engine entry means: the first CUDA GPU, or
// the CPU.
func pickDevice(kind string) (llama.Device, error) {
	devices, err := llama.Devices()
	if err != nil {
		return llama.Device{}, err
	}
	for _, d := range devices {
		if kind == "cuda" && d.Kind == llama.GPU && d.Backend == "CUDA" || kind == "cpu" && d.Kind == llama.CPU {
			return d, nil
		}
	}
	return llama.Device{}, fmt.Errorf("no %s device: %w", kind, llama.ErrBadInput)
}

func modelParams(path string, e wire.Engine) (llama.ModelParams, llama.Device, error) {
	d, err := pickDevice(e.Device)
	p := llama.ModelParams{Path: path, Mmap: e.Mmap}
	if d.Kind == llama.GPU {
		p.Device, p.GPULayers = &d, e.GPULayers
	}
	return p, d, err
}

// threads resolves the default. One thread is enough to feed a GPU that holds
// every layer.
func threads(e wire.Engine) int {
	switch {
	case e.Threads > 0:
		return e.Threads
	case e.Device == "cuda" && e.GPULayers < 0:
		return 1
	}
	return llama.PhysicalCores()
}

func contextParams(spec wire.ContextSpec, e wire.Engine) (llama.ContextParams, error) {
	flash := map[string]llama.FlashAttn{"on": llama.FlashOn, "off": llama.FlashOff, "auto": llama.FlashAuto, "": llama.FlashAuto}
	fa, ok := flash[e.FlashAttn]
	if !ok {
		return llama.ContextParams{}, fmt.Errorf("flash_attn is %q, want on, off or auto: %w", e.FlashAttn, llama.ErrBadInput)
	}
	if spec.Batch < 1 {
		return llama.ContextParams{}, fmt.Errorf("batch is %d, want 1 or more: %w", spec.Batch, llama.ErrBadInput)
	}
	return llama.ContextParams{
		NCtx:        spec.NCtx,
		NBatch:      e.NBatch,
		NUbatch:     e.NUbatch,
		Threads:     threads(e),
		FlashAttn:   fa,
		TypeK:       spec.TypeK,
		TypeV:       spec.TypeV,
		HostArgmax:  e.Argmax == "host",
		SplitArgmax: e.Argmax == "graph-split",
		Sequences:   spec.Batch,
		Unified:     e.KVUnified && spec.Batch > 1,
	}, nil
}

func modelInfo(i llama.ModelInfo) wire.ModelInfo {
	return wire.ModelInfo{
		Arch: i.Arch, Name: i.Name, Synthetic: i.Synthetic,
		Layers: i.Layers, Embd: i.Embd, Heads: i.Heads, KVHeads: i.KVHeads,
		HeadDimK: i.HeadDimK, HeadDimV: i.HeadDimV, Vocab: i.Vocab, CtxTrain: i.CtxTrain,
		Params: i.Params, WeightsBytes: i.WeightsBytes, FileType: i.FileType,
		ReadBytes: i.ReadBytes, BodyParams: i.BodyParams, HeadParams: i.HeadParams,
		CostUnknown: i.CostUnknown, KVIrregular: i.KVIrregular,
	}
}
