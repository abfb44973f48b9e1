package llama

// DeviceKind says what sort of device computes.
type DeviceKind string

// The kinds of device the engine knows.
const (
	CPU           DeviceKind = "cpu"
	GPU           DeviceKind = "gpu"
	IntegratedGPU DeviceKind = "igpu"
	Accelerator   DeviceKind = "accel"
)

// Device is one compute device as the engine sees it.
type Device struct {
	Index       int    // in the list Devices returns
	Name        string // the engine's name, e.g. "CUDA0"
	Description string // e.g. the card's marketing name
	Backend     string // e.g. "CUDA"
	PCIBusID    string // lower case domain:bus:device.function; empty if not known
	Kind        DeviceKind
	FreeBytes   int64
	TotalBytes  int64
}

// ModelInfo is what a model file says about itself.
type ModelInfo struct {
	Arch         string // e.g. "llama"
	Name         string
	FileType     string // e.g. "F16"
	Synthetic    bool   // weights are seeded random numbers, see Synth
	HasVocab     bool   // the file has a tokenizer
	Layers       int
	Embd         int // width of the residual stream
	Heads        int // query heads of the first layer
	KVHeads      int // key/value heads of the first layer
	HeadDimK     int
	HeadDimV     int
	Vocab        int   // size of the vocabulary, tokens
	CtxTrain     int   // positions the model was trained for
	Params       int64 // number of weights, tied matrices counted once
	WeightsBytes int64 // of all tensors in the file

	// What one token costs. All 0 for models whose tensors do not tell: with
	// experts or recurrent layers.
	ReadBytes  int64 // of weights read per decoded token: all but tables that are only looked up
	BodyParams int64 // elements of the matrices in the layers; each takes two operations per token
	HeadParams int64 // elements of the output matrix, the embedding's if tied: likewise per token with logits

	// CostUnknown says why those are 0, e.g. "a token uses some of the experts";
	// empty when they are not.
	CostUnknown string

	// KVIrregular says what keeps the cache from being Layers * positions *
	// KVHeads * (HeadDimK + HeadDimV) values, e.g. "sliding-window attention";
	// empty when it is that.
	KVIrregular string
}

// ModelParams says how to load a model. The zero value, with a path, loads the
// whole model on the CPU without mmap.
type ModelParams struct {
	Path         string
	Device       *Device            // nil for the CPU alone
	GPULayers    int                // layers to put on Device; negative for all
	Mmap         bool               // map the file instead of reading it
	CheckTensors bool               // read every weight and refuse NaN and infinities
	DryRun       bool               // metadata and sizes only; no weights, no decoding
	Progress     func(float32) bool // called with [0,1] while loading; false stops
}

// FlashAttn chooses the attention kernel.
type FlashAttn int

// FlashAuto lets the engine decide.
const (
	FlashAuto FlashAttn = -1
	FlashOff  FlashAttn = 0
	FlashOn   FlashAttn = 1
)

// ContextParams says what a context must hold and how it computes.
type ContextParams struct {
	NCtx      int       // positions of a sequence, at least 1 and at most the model's CtxTrain
	NBatch    int       // most tokens submitted in one engine call; 0 for all that fit into the cache, and at most 2048 of several sequences
	NUbatch   int       // most tokens computed at once; 0 for the smaller of 512 and NBatch
	Threads   int       // CPU threads; 0 for PhysicalCores, or 1 when all layers are on a GPU
	FlashAttn FlashAttn // FlashOff is the zero value
	TypeK     string    // ggml type of the K cache; "" for "f16"
	TypeV     string    // ggml type of the V cache; "" for "f16"
	// HostArgmax copies the logits to the host at every step and chooses the
	// token there, which is what makes Logits available.
	HostArgmax bool
	// SplitArgmax has the choice on a GPU made in two passes: among the tokens of
	// each part of the vocabulary, then among what they chose. A CPU makes it in
	// one, whose order of equals and whose error about NaN are those of HostArgmax.
	SplitArgmax bool
	// Outputs is the largest number of positions that one call of Score returns
	// the logits of, which the engine reserves memory for; 0 without Score.
	Outputs int

	Sequences int // evaluated together, 1 to MaxSequences; 0 for 1. NewContext takes no more
	// Unified puts the cells of all sequences into one buffer, where each
	// attends past those of the others, instead of a buffer for each.
	Unified bool
}

// MaxSequences is how many sequences the engine evaluates together at most.
const MaxSequences = 256

// Vocabulary is what a model's tokenizer does to a text.
type Vocabulary struct {
	// Hash is over the kind of tokenizer and the text and kind of every token:
	// models with the same one can be compared token by token.
	Hash string
	BOS  *int32 // put in front of a text; nil for none
	// AddsEOS says that a token is put behind a text.
	AddsEOS bool
}

// Mark is where a context stood; see Context.Mark. It holds a copy of the tokens
// before it, nothing of the cache.
type Mark struct {
	of     *Context
	tokens []int32
	next   int32
}

// BatchMark is Mark of a Batch; see Batch.Mark.
type BatchMark struct {
	of           *Batch
	tokens, next []int32
}

// KVTensor is the part of the cache that one layer's keys or values of a
// sequence occupy.
type KVTensor struct {
	Name      string // the engine's name, e.g. "cache_k_l0"
	Type      string // ggml type name
	RowBytes  int64  // bytes of one position
	UsedBytes int64  // bytes of the positions in use
}

// Memory is what a context and its model occupy in one kind of buffer.
type Memory struct {
	Buffer  string // the engine's name of the buffer type
	Device  *int   // index of the device; nil for host memory
	Weights int64  // bytes
	KV      int64  // bytes
	Compute int64  // bytes
}
