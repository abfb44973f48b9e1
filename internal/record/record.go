// Package record defines the rows a run produces and keeps them safe on disk.
//
// A run is a file of JSON objects, one a line. Rows are only ever appended,
// each followed by fsync, so that whatever happens to the machine, a row that
// was reported as written can be read back. Every number carries its unit in
// its name. A quantity that was not measured is absent from the row: pointers
// and omitempty are used so that absent can be told from zero.
package record

import "time"

// Schema is the version of the row format this package writes. Readers accept
// rows of this version only.
const Schema = 1

// Status says how a planned row ended.
type Status string

// The three ways a planned row can end. Every planned row ends in one of them.
const (
	StatusOK      Status = "ok"      // measured
	StatusSkipped Status = "skipped" // not attempted; Reason says why
	StatusError   Status = "error"   // attempted and failed; Error says how
)

// SkipKind says what kept a row from being attempted.
type SkipKind string

// The kinds of reasons for a skipped row.
const (
	SkipRule      SkipKind = "rule"      // the matrix leaves the cell out
	SkipDevice    SkipKind = "device"    // the machine lacks the device
	SkipMemory    SkipKind = "memory"    // the cell does not fit into free memory
	SkipPositions SkipKind = "positions" // the model has too few positions
	SkipCache     SkipKind = "cache"     // the engine cannot use a cache of these types there
)

// Key identifies one planned row of a run. At most one ok row exists per key;
// an error row may be followed by a retry under the same key.
type Key struct {
	Pool   string
	CellID string
	Launch int
	Rep    int
	Warmup bool
}

// Place says where something was measured. Both are empty in runs that do not
// know them.
type Place struct {
	// Host is the machine, by its name in the network or the cluster.
	Host string `json:"host,omitempty"`
	// Pool names the kind of machines that the run was started for. What was
	// measured in one is kept apart from what was in another.
	Pool string `json:"pool,omitempty"`
}

// Record is one row of raw_measurements.jsonl.
type Record struct {
	Schema    int       `json:"schema"`
	Timestamp time.Time `json:"timestamp"` // UTC, when the row was started
	RunID     string    `json:"run_id"`
	CellID    string    `json:"cell_id"` // see matrix.Cell.ID
	// Origin names the program or format an imported row was made from, e.g.
	// "llama-bench" or "csv". Empty for rows that this program measured.
	Origin string `json:"origin,omitempty"`
	Place

	Model    string `json:"model"`
	Backend  string `json:"backend"`
	Scenario string `json:"scenario"`
	Launch   int    `json:"launch"`           // 0-based process launch
	Rep      int    `json:"rep"`              // 0-based repetition within the launch
	Warmup   bool   `json:"warmup,omitempty"` // left out of every statistic

	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // why a row was skipped
	// SkipKind sorts the reasons of skipped rows; see the Skip constants.
	SkipKind SkipKind `json:"skip_kind,omitempty"`
	Error    *Error   `json:"error,omitempty"` // how a row failed

	Batch      int    `json:"batch"`                // sequences evaluated together
	KVUnified  bool   `json:"kv_unified,omitempty"` // their cells share one buffer, instead of having one each
	KVTypeK    string `json:"kv_type_k"`            // ggml type name of the K cache, e.g. "f16"
	KVTypeV    string `json:"kv_type_v"`            // ggml type name of the V cache
	DecodeMode string `json:"decode_mode"`          // "cached" or "uncached"
	Seed       int64  `json:"seed"`

	// The work that was really done. Asked sizes live in the plan; a prompt
	// that had to be clamped shows its true length here and a warning below.
	PromptTokens int    `json:"prompt_tokens,omitempty"` // of each sequence
	GenTokens    int    `json:"gen_tokens,omitempty"`    // of each sequence
	PromptHash   string `json:"prompt_hash,omitempty"`   // over the prompt's token ids, sequence by sequence
	TokenHash    string `json:"token_hash,omitempty"`    // over the sampled token ids in order, sequence by sequence
	Synthetic    bool   `json:"synthetic"`               // the weights are seeded random numbers

	// Wall times on the monotonic clock. Prefill ends with the first sampled
	// token (time to first token without tokenization); decode is exactly
	// GenTokens steps. The sequences of a batch are submitted together and go in
	// lockstep: each has its first token when all have, and a step is one token of
	// each.
	PrefillMs *float64  `json:"prefill_ms,omitempty"`
	DecodeMs  *float64  `json:"decode_ms,omitempty"`
	TotalMs   *float64  `json:"total_ms,omitempty"` // prefill + decode, by a clock span of its own
	StepMs    []float64 `json:"step_ms,omitempty"`  // one per decode step; sums to decode_ms
	StartNs   int64     `json:"start_ns,omitempty"` // CLOCK_MONOTONIC at the start of prefill

	Rates *BatchRates `json:"batch_rates,omitempty"` // of more sequences than one

	// Device-side times from events on the engine's own compute stream: the
	// phases from submission to the end of their work, and the prefill and each
	// decode step from its first kernel on. The steps are timed in warm-up rows
	// only, since that slows short ones down by some percent.
	PrefillCudaMs     *float64  `json:"prefill_cuda_ms,omitempty"`
	DecodeCudaMs      *float64  `json:"decode_cuda_ms,omitempty"`
	PrefillCudaBusyMs *float64  `json:"prefill_cuda_busy_ms,omitempty"`
	StepCudaMs        []float64 `json:"step_cuda_ms,omitempty"`

	// One-time costs of the launch this row belongs to; on its first row only.
	LoadMs    *float64 `json:"load_ms,omitempty"`    // model file to ready weights
	ContextMs *float64 `json:"context_ms,omitempty"` // creating the context and its buffers

	// Memory. MB is 10^6 bytes in names ending in _mb (TR123 printed MiB).
	KVUsedBytes      *int64   `json:"kv_used_bytes,omitempty"`  // K and V payload of all sequences after decode
	KVAllocBytes     *int64   `json:"kv_alloc_bytes,omitempty"` // buffers the engine reserved for K and V
	WeightsBytes     *int64   `json:"weights_bytes,omitempty"`
	ComputeBytes     *int64   `json:"compute_bytes,omitempty"` // engine work buffers
	EngineGPUBytes   *int64   `json:"engine_gpu_bytes,omitempty"`
	HostPeakRSSBytes *int64   `json:"host_peak_rss_bytes,omitempty"` // of the worker process so far
	HostRSSBytes     *int64   `json:"host_rss_bytes,omitempty"`      // of the worker process after the row
	GPUPeakPrefillMB *float64 `json:"gpu_peak_prefill_mb,omitempty"` // worker process by NVML, up to the end of prefill
	GPUPeakTotalMB   *float64 `json:"gpu_peak_total_mb,omitempty"`   // up to the end of the row; engine_gpu_bytes is a part of it

	// The GPU while the row was measured, sampled by the parent process. A row
	// that is over between two samples has those of the nearest one.
	GPUClockMHz    *float64 `json:"gpu_clock_mhz,omitempty"` // mean SM clock
	GPUMemClockMHz *float64 `json:"gpu_mem_clock_mhz,omitempty"`
	GPUTempC       *float64 `json:"gpu_temp_c,omitempty"`       // mean
	Throttle       []string `json:"throttle_reasons,omitempty"` // names of NVML clock event reasons seen, without gpu_idle

	PhasePower *PhasePower `json:"phase_power,omitempty"` // of the GPU or CPU that ran the row
	// GPUIdlePowerW is the mean power of the GPU while a row ran on the CPU. It
	// is no part of what the row took.
	GPUIdlePowerW *float64 `json:"gpu_idle_power_w,omitempty"`
	// AssumedCPUW is what the user says the CPU draws, on rows that ran there.
	// It was not measured.
	AssumedCPUW *float64 `json:"assumed_cpu_w,omitempty"`

	// What was measured, on the first row of a launch only.
	ModelInfo *ModelInfo `json:"model_info,omitempty"`

	// What ran it.
	Device        string            `json:"device,omitempty"`      // as the engine names it
	DeviceKind    string            `json:"device_kind,omitempty"` // "cpu" or "gpu"
	EngineVersion string            `json:"engine_version,omitempty"`
	EngineEnv     map[string]string `json:"engine_env,omitempty"` // environment the backend entry set
	Threads       int               `json:"threads,omitempty"`
	NCtx          int               `json:"n_ctx,omitempty"`
	NBatch        int               `json:"n_batch,omitempty"`
	NUbatch       int               `json:"n_ubatch,omitempty"`
	FlashAttn     string            `json:"flash_attn,omitempty"` // "on", "off" or "auto", as asked
	GPULayers     int               `json:"gpu_layers,omitempty"`
	Graphs        *bool             `json:"graphs,omitempty"` // CUDA graphs; absent on CPU
	Mmap          *bool             `json:"mmap,omitempty"`   // the model file was mapped, not read
	Argmax        string            `json:"argmax,omitempty"` // where the greedy token was chosen: "graph" or "host"

	Degraded bool     `json:"degraded,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// BatchRates is what the times of a row of several sequences mean for all of them
// together and for each.
type BatchRates struct {
	PrefillTokS       float64 `json:"prefill_tok_s"`         // of all sequences
	DecodeTokS        float64 `json:"decode_tok_s"`          // of all sequences
	PrefillTokSPerSeq float64 `json:"prefill_tok_s_per_seq"` // of each
	DecodeTokSPerSeq  float64 `json:"decode_tok_s_per_seq"`  // of each
	TTFTMs            float64 `json:"ttft_ms"`               // of each: they are submitted together
	TPOTMs            float64 `json:"tpot_ms"`               // of each: the mean time of a step
}

// ModelInfo is what the engine says about the model file of a row. It has the
// shape that memory formulas need; see wire.ModelInfo, which it is filled from.
type ModelInfo struct {
	Arch     string `json:"arch"`
	Layers   int    `json:"layers"`
	Heads    int    `json:"heads"`
	KVHeads  int    `json:"kv_heads"`
	HeadDimK int    `json:"head_dim_k"`
	HeadDimV int    `json:"head_dim_v"`
	CtxTrain int    `json:"ctx_train"` // positions the model was trained for
	Params   int64  `json:"params"`
	FileType string `json:"file_type,omitempty"`

	// See wire.ModelInfo. Absent where they are not known.
	ReadBytes  int64 `json:"read_bytes,omitempty"`
	BodyParams int64 `json:"body_params,omitempty"`
	HeadParams int64 `json:"head_params,omitempty"`

	// CostUnknown says why they are not, e.g. "a token uses some of the experts".
	CostUnknown string `json:"cost_unknown,omitempty"`

	// KVIrregular says why the cache has no formula, e.g. "sliding-window
	// attention"; absent where it has one.
	KVIrregular string `json:"kv_irregular,omitempty"`
}

// Error says how a row failed.
type Error struct {
	Kind       string   `json:"kind"`                  // "engine", "signal", "exit", "timeout", "memory", "input"
	Message    string   `json:"message"`               // what, where, what to do next
	Signal     string   `json:"signal,omitempty"`      // e.g. "SIGKILL" when the worker died by one
	ExitCode   *int     `json:"exit_code,omitempty"`   // when the worker exited
	StderrTail []string `json:"stderr_tail,omitempty"` // the worker's last lines
}

// PhasePower is what the power samples inside each phase say.
type PhasePower struct {
	Prefill PowerStats `json:"prefill"`
	Decode  PowerStats `json:"decode"`

	// Source says what power_mean_w is the mean of: "instant", the sensor's
	// latest value, or "average", where the GPU tells only a mean over the
	// second before; or "rapl", where it is by the energy counter of the CPU.
	// Empty if no power was read during the row.
	Source string `json:"power_w_source,omitempty"`
	// SensorPeriodMs is the time between two values of the power sensor, as
	// seen so far. Samples are taken more often; in a shorter phase they show
	// one value, which may be from before it.
	SensorPeriodMs *float64 `json:"sensor_period_ms,omitempty"`
}

// PowerStats summarises the samples whose timestamps fall inside one phase.
// With no samples every mean is absent.
type PowerStats struct {
	PowerMeanW        *float64 `json:"power_mean_w,omitempty"`         // by PhasePower.Source
	PowerAverageMeanW *float64 `json:"power_average_mean_w,omitempty"` // by the GPU's mean over the second before
	TempMeanC         *float64 `json:"temp_mean_c,omitempty"`
	ClockMeanMHz      *float64 `json:"clock_mean_mhz,omitempty"` // SM clock
	NSamples          int      `json:"n_samples"`
}

// Key returns the identity of the planned row that r answers.
func (r *Record) Key() Key {
	return Key{Pool: r.Pool, CellID: r.CellID, Launch: r.Launch, Rep: r.Rep, Warmup: r.Warmup}
}
