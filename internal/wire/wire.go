// Package wire is the language the parent and a worker process speak: JSON
// objects, one a line, over the socket the worker inherits as file descriptor
// 3. The parent asks, the worker answers; there is exactly one reply to each
// request and nothing is sent in between, so that no message disturbs a phase
// that is being timed. When the socket closes, the worker exits.
package wire

import (
	"time"

	"github.com/phasebench/phasebench/internal/quality"
)

// Request is what the parent sends. Exactly one field is set.
type Request struct {
	Open    *Open    `json:"open,omitempty"`    // load a model; first request of a measuring worker
	Inspect *Inspect `json:"inspect,omitempty"` // describe a model file and its memory needs without loading it
	Devices *Devices `json:"devices,omitempty"` // list the devices the engine sees
	Row     *Row     `json:"row,omitempty"`     // measure one row with the open model
	KV      *KV      `json:"kv,omitempty"`      // fill caches of several lengths and look inside

	Window   *Window   `json:"window,omitempty"`   // repeat one phase of a row for seconds
	Roofline *Roofline `json:"roofline,omitempty"` // what the device can do at most

	Quality *Quality `json:"quality,omitempty"` // what a model makes of one chunk of a text
}

// Reply is what the worker answers: the field that matches the request, or Error.
type Reply struct {
	Opened    *Opened       `json:"opened,omitempty"`
	Inspected *Inspected    `json:"inspected,omitempty"`
	Devices   *DevicesReply `json:"devices,omitempty"`
	Row       *RowReply     `json:"row,omitempty"`
	KV        *KVReply      `json:"kv,omitempty"`

	Window   *WindowReply   `json:"window,omitempty"`
	Roofline *RooflineReply `json:"roofline,omitempty"`

	Quality *QualityReply `json:"quality,omitempty"`

	Error *Error `json:"error,omitempty"`
}

// Error is a request that failed without killing the worker.
type Error struct {
	Kind    string `json:"kind"`    // "engine", "memory", "input"; see record.Error
	Message string `json:"message"` // complete, with the engine's last lines
}

// Engine says where and how the model runs. It is the backend entry of the
// matrix with defaults resolved. The engine environment (CUDA graphs and the
// like) is not here: it is read once per process, so the parent sets it when
// it spawns the worker.
type Engine struct {
	Device    string `json:"device"`     // "cpu" or "cuda"
	GPULayers int    `json:"gpu_layers"` // -1 for all; 0 on cpu
	Threads   int    `json:"threads"`    // 0 for the number of physical cores (1 when fully offloaded)
	NBatch    int    `json:"n_batch"`    // 0 for as much as the prompts of all sequences need
	NUbatch   int    `json:"n_ubatch"`   // 0 for the engine's default, 512
	FlashAttn string `json:"flash_attn"` // "on", "off" or "auto"
	Mmap      bool   `json:"mmap"`
	Argmax    string `json:"argmax"`               // "graph" (default), "graph-split" or "host", where the greedy token is chosen
	KVUnified bool   `json:"kv_unified,omitempty"` // one buffer for the cells of all sequences, instead of one each
}

// ContextSpec is what a context must be able to hold. The worker keeps one
// context per distinct spec.
type ContextSpec struct {
	NCtx  int    `json:"n_ctx"` // positions of each sequence; the largest cell's need
	Batch int    `json:"batch"` // sequences evaluated together, 1 or more
	TypeK string `json:"type_k"`
	TypeV string `json:"type_v"`
}

// Open loads a model.
type Open struct {
	ModelPath string `json:"model_path"`
	Engine    Engine `json:"engine"`
}

// Opened describes the loaded model and the process.
type Opened struct {
	Info    ModelInfo `json:"info"`
	LoadMs  float64   `json:"load_ms"`
	PID     int       `json:"pid"`
	Threads int       `json:"threads"` // as resolved
	Device  string    `json:"device"`  // name of the device that holds the weights
	Version string    `json:"version"` // of the engine
}

// ModelInfo is what the engine says about a model file.
type ModelInfo struct {
	Arch         string `json:"arch"`
	Name         string `json:"name"`
	Synthetic    bool   `json:"synthetic"` // the file says its weights are random
	Layers       int    `json:"layers"`
	Embd         int    `json:"embd"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"`
	HeadDimK     int    `json:"head_dim_k"`
	HeadDimV     int    `json:"head_dim_v"`
	Vocab        int    `json:"vocab"`
	CtxTrain     int    `json:"ctx_train"` // positions the model was trained for
	Params       int64  `json:"params"`
	WeightsBytes int64  `json:"weights_bytes"`
	FileType     string `json:"file_type"`

	// What one token costs a dense model, by the tensors in its file; all absent
	// where that is not known (experts, recurrent layers).
	ReadBytes  int64 `json:"read_bytes,omitempty"`  // of weights read per decoded token: all but tables that are only looked up
	BodyParams int64 `json:"body_params,omitempty"` // weights that every token is multiplied with, in the layers
	HeadParams int64 `json:"head_params,omitempty"` // of the output matrix: multiplied with the tokens that have logits

	// CostUnknown says why those are absent, e.g. "a token uses some of the
	// experts"; absent where they are there.
	CostUnknown string `json:"cost_unknown,omitempty"`

	// KVIrregular says why the cache has no formula, e.g. "sliding-window
	// attention"; absent where it has one.
	KVIrregular string `json:"kv_irregular,omitempty"`
}

// Inspect asks for a model's description and, for each context, the memory it
// would need, by the engine's own allocator in a dry run.
type Inspect struct {
	ModelPath string        `json:"model_path"`
	Engine    Engine        `json:"engine"`
	Contexts  []ContextSpec `json:"contexts"`
}

// Inspected answers Inspect.
type Inspected struct {
	Info   ModelInfo    `json:"info"`
	Memory []MemoryNeed `json:"memory"` // one per asked context, in order
}

// MemoryNeed is the memory of one context with its model, by place.
type MemoryNeed struct {
	Device  MemoryBytes `json:"device"` // on the GPU; zero for a CPU run
	Host    MemoryBytes `json:"host"`
	FreeDev int64       `json:"free_dev"` // free on the GPU now; 0 for a CPU run
	TotDev  int64       `json:"total_dev"`
}

// MemoryBytes splits bytes by what they hold.
type MemoryBytes struct {
	Weights int64 `json:"weights"`
	KV      int64 `json:"kv"`
	Compute int64 `json:"compute"`
}

// Sum returns the total number of bytes.
func (m MemoryBytes) Sum() int64 { return m.Weights + m.KV + m.Compute }

// Devices asks for the devices the engine sees.
type Devices struct{}

// DevicesReply lists them.
type DevicesReply struct {
	Version  string   `json:"version"`
	Features string   `json:"features"` // the engine's own feature line
	Devices  []Device `json:"devices"`
}

// Device is one compute device as the engine sees it.
type Device struct {
	Name        string `json:"name"` // e.g. "CUDA0"
	Description string `json:"description"`
	Kind        string `json:"kind"`    // "cpu", "gpu", "igpu" or "accel"
	Backend     string `json:"backend"` // e.g. "CUDA"
	PCIBusID    string `json:"pci_bus_id,omitempty"`
	FreeBytes   int64  `json:"free_bytes"`
	TotalBytes  int64  `json:"total_bytes"`
}

// Row asks for one measurement.
type Row struct {
	Context      ContextSpec `json:"context"`
	PromptTokens int         `json:"prompt_tokens"`
	GenTokens    int         `json:"gen_tokens"`
	DecodeMode   string      `json:"decode_mode"` // "cached" or "uncached"
	Seed         int64       `json:"seed"`        // selects the prompt text

	// StepTimes asks for the device-side time of every step, which slows short
	// steps down by some percent: for rows that are in no statistic.
	StepTimes bool `json:"step_times,omitempty"`
	// NoDeviceTimes leaves out the events on the GPU's stream, to see what
	// taking them costs.
	NoDeviceTimes bool `json:"no_device_times,omitempty"`
}

// RowReply is one measurement. Times are CLOCK_MONOTONIC nanoseconds, the same
// clock the parent stamps power samples with. The sequences of a batch have
// prompts of their own, all of one length, and go in lockstep: they are submitted
// together, and a time is when the tokens of all are known.
type RowReply struct {
	PromptTokens int     `json:"prompt_tokens"`  // of each sequence
	GenTokens    int     `json:"gen_tokens"`     // of each sequence
	PromptHash   string  `json:"prompt_hash"`    // over the prompts, one after the other
	TokenHash    string  `json:"token_hash"`     // over what was sampled, sequence by sequence
	StartNs      int64   `json:"start_ns"`       // before the prompt is submitted
	PrefillEndNs int64   `json:"prefill_end_ns"` // first sampled token known
	StepEndNs    []int64 `json:"step_end_ns"`    // after each decode step

	// By events on the GPU's compute stream: the phases from submission to the
	// end of their work, and the prefill and, if asked for, each step from its
	// first kernel on.
	PrefillCudaMs *float64  `json:"prefill_cuda_ms,omitempty"`
	DecodeCudaMs  *float64  `json:"decode_cuda_ms,omitempty"`
	PrefillBusyMs *float64  `json:"prefill_busy_ms,omitempty"`
	StepCudaMs    []float64 `json:"step_cuda_ms,omitempty"`

	ContextMs        *float64 `json:"context_ms,omitempty"` // when this row created its context
	KVUsedBytes      int64    `json:"kv_used_bytes"`        // of all sequences
	KVAllocBytes     int64    `json:"kv_alloc_bytes"`
	WeightsBytes     int64    `json:"weights_bytes"`
	ComputeBytes     int64    `json:"compute_bytes"`
	EngineGPUBytes   int64    `json:"engine_gpu_bytes,omitempty"` // all engine buffers on the GPU
	HostPeakRSSBytes int64    `json:"host_peak_rss_bytes"`
	HostRSSBytes     int64    `json:"host_rss_bytes"`
	NCtx             int      `json:"n_ctx"` // as padded by the engine
	NBatch           int      `json:"n_batch"`
	NUbatch          int      `json:"n_ubatch"`
	Warnings         []string `json:"warnings,omitempty"`
}

// KV asks what the cache of a model holds at each length.
type KV struct {
	ModelPath string `json:"model_path"`
	Engine    Engine `json:"engine"`
	TypeK     string `json:"type_k"`
	TypeV     string `json:"type_v"`
	Lengths   []int  `json:"lengths"` // tokens in the cache; clamped to what the model has positions for
	Seed      int64  `json:"seed"`
}

// KVReply answers KV.
type KVReply struct {
	Info   ModelInfo `json:"info"`
	Device string    `json:"device"` // that holds the weights
	Points []KVPoint `json:"points"` // one per asked length, in order
}

// KVPoint is the cache at one length: filled by a prefill, then by cached
// decode steps up to Tokens, then cleared.
type KVPoint struct {
	Asked            int   `json:"asked"`
	Tokens           int   `json:"tokens"`         // less than Asked when clamped
	PrefillTokens    int   `json:"prefill_tokens"` // of them, by prefill
	PrefillUsedBytes int64 `json:"prefill_used_bytes"`
	UsedBytes        int64 `json:"used_bytes"` // at Tokens
	ClearedUsedBytes int64 `json:"cleared_used_bytes"`
	AllocBytes       int64 `json:"alloc_bytes"` // reserved by the engine for n_ctx positions
	NCtx             int   `json:"n_ctx"`       // positions reserved: Tokens, padded
	Tensors          int   `json:"tensors"`     // K and V tensors with a payload

	// Memory in use with the cache filled and after its context was freed: of
	// the whole GPU, all processes, and of this process on the host.
	GPUUsedBytes      *int64 `json:"gpu_used_bytes,omitempty"`
	GPUUsedAfterBytes *int64 `json:"gpu_used_after_bytes,omitempty"`
	HostRSSBytes      *int64 `json:"host_rss_bytes,omitempty"`
	HostRSSAfterBytes *int64 `json:"host_rss_after_bytes,omitempty"`
}

// Window asks to repeat one phase of a row until it has gone on for long enough
// to measure its energy. Decode starts again from the end of the prompt each
// time, with no prefill inside the window. Prefills alternate between the row's
// prompt and one token less: two alike in a row would leave out work that a
// prefill after a decode has (FACTS 3), and a decode between them is none of
// theirs.
type Window struct {
	Row   Row    `json:"row"`
	Phase string `json:"phase"` // "prefill" or "decode"
	// RampMs is how long the phase is repeated before the window opens, and
	// WindowMs how long it is open at least. Both end with a repetition.
	RampMs   float64 `json:"ramp_ms"`
	WindowMs float64 `json:"window_ms"`
}

// SettlingSteps is the number of decode steps after a prefill in which the engine
// builds its graph anew and CUDA captures it. In a window each decode follows a
// decode, so that there are none.
const SettlingSteps = 2

// References are taken on either side of a window until there are enough or
// they have taken long enough, and three at least.
const (
	FewestReferences = 3
	MostReferences   = 10
	ReferencesFor    = 250 * time.Millisecond
)

// WindowReply answers Window. Times are CLOCK_MONOTONIC nanoseconds.
type WindowReply struct {
	StartNs int64   `json:"start_ns"` // of the first repetition of the ramp-in
	OpenNs  int64   `json:"open_ns"`  // end of its last
	EndNs   []int64 `json:"end_ns"`   // of each repetition in the window; each begins where the one before ended
	Tokens  []int   `json:"tokens"`   // evaluated by each, of all sequences

	// References are the rates at which the phase ran in rows timed right before
	// and right after the window, in tok/s: of cached decode without its
	// SettlingSteps. The speed of a host changes within seconds, and a window is
	// to be held against what it was then.
	References []float64 `json:"references"`
	Before     int       `json:"before"` // how many of them were timed before the window
	// BusyNs is how long the engine was at work for all of that, references included.
	BusyNs int64 `json:"busy_ns"`

	// TokenHash is over the tokens that each repetition of a decode window
	// sampled after the first, which is the last of the prefill: as in RowReply.
	// Empty if the repetitions differed, and for prefill.
	TokenHash string `json:"token_hash,omitempty"`
}

// Roofline asks how fast the device copies memory and multiplies F16 matrices,
// through the engine's own kernels.
type Roofline struct {
	Engine Engine `json:"engine"`
}

// RooflineReply answers Roofline with the best of several repetitions.
type RooflineReply struct {
	Device          string  `json:"device"`
	CopyBytesPerS   float64 `json:"copy_bytes_per_s"`   // read plus written
	CopyBytes       int64   `json:"copy_bytes"`         // of the buffer that was copied
	ReadBytesPerS   float64 `json:"read_bytes_per_s"`   // of a matrix, multiplied with a vector
	ReadBytes       int64   `json:"read_bytes"`         // of that matrix
	MatmulFlopsPerS float64 `json:"matmul_flops_per_s"` // F16 weights, F32 activations
	MatmulSize      int     `json:"matmul_size"`        // of the square matrices
	Threads         int     `json:"threads"`
}

// Quality asks what a model makes of one chunk of a text, alone or beside a
// reference that sees the same tokens. The worker keeps models and contexts open
// while only Chunk changes.
type Quality struct {
	Engine    Engine      `json:"engine"` // of both
	Model     Scored      `json:"model"`
	Reference *Scored     `json:"reference,omitempty"`
	Text      QualityText `json:"text"`
	Chunk     int         `json:"chunk"` // 0-based
}

// QualityText is the text and how it is cut.
type QualityText struct {
	Path string `json:"path"`  // a file of plain text
	NCtx int    `json:"n_ctx"` // tokens of a chunk, at least 8
	// AllowSynthetic takes models of random weights too, of which a text says
	// nothing. They are refused otherwise.
	AllowSynthetic bool `json:"allow_synthetic,omitempty"`
}

// Scored is a model with the types of its cache.
type Scored struct {
	Path  string `json:"path"`
	TypeK string `json:"type_k"`
	TypeV string `json:"type_v"`
}

// QualityReply answers Quality.
type QualityReply struct {
	Info      ModelInfo  `json:"info"`
	Reference *ModelInfo `json:"reference,omitempty"`
	Device    string     `json:"device"`
	Threads   int        `json:"threads"`
	Version   string     `json:"version"` // of the engine

	// Vocabulary is equal for models whose tokens mean the same, and TokenHash
	// for texts that are the same tokens: with the same of both and of n_ctx,
	// perplexities can be compared.
	Vocabulary string `json:"vocabulary"`
	TokenHash  string `json:"token_hash"`
	Tokens     int    `json:"tokens"` // of the text
	Chunks     int    `json:"chunks"` // whole ones in it

	Tally quality.Tally `json:"tally"` // of the chunk
}
