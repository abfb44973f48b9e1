// Package matrix reads a matrix file and expands it into the cells of a run.
//
// The file is YAML, read strictly: a key that is not known, a value of the
// wrong type or out of range, a name used twice or a list that is empty is an
// error that points at its line and column, before anything else happens. Keys
// are the field names of Spec and its parts in snake case (NUbatch is
// n_ubatch).
//
// # Order of execution
//
// A plan lists its cells with the model outermost, then backend, kv type,
// scenario and batch. A run visits them so that slow drift of the machine (temperature,
// clocks, neighbours) is spread over what is compared instead of falling on
// one side of it:
//
//	for each launch            // fresh processes: real replicates
//	  for each model
//	    for each backend       // one worker process, the model loaded once
//	      for each repetition
//	        for each kv type
//	          for each scenario and batch  // warm-ups come before repetition 0
//
// with one exception: models on the CPU come after all others of a launch, since
// they are the slowest by far and a run that is cut short should have the rest.
// Backends thus alternate within a launch, and one scenario's repetitions are
// spread over the life of the worker. Energy windows come after the last
// repetition of the first launch, in the same process: cell by cell, prefill and
// decode in turns.
package matrix

// Spec is a matrix file. After Load every default is filled in.
type Spec struct {
	Path string // file the spec was read from
	Hash string // SHA-256 of the file's bytes, hex

	Name        string // required
	Seed        int64  // 0 or more; selects the prompt text; default 42
	Repetitions int    // rows per cell in one launch, 1 or more; required
	Launches    int    // worker processes per model and backend, 1 or more; default 1
	Models      []Model
	Backends    []Backend
	Scenarios   []Scenario
	KVTypes     []KVType   // default f16 for both K and V
	Skip        []SkipRule // may be absent; the first rule that matches a cell counts
	Pricing     string     // pricing file, relative to the matrix file; may be absent
	Energy      Energy
	Quality     *Quality // nil when no text is scored
}

// Model is one model of the matrix. At least one of Path and Synth is given.
type Model struct {
	Name  string
	Path  string // GGUF file, relative to the working directory
	Synth string // shape that `bench synth` makes in place of Path
	Type  string // of the weights it makes, one of WeightTypes; default f16, empty without Synth
	// Reference is another model of the matrix, such as the F16 file of a
	// quantized one, that this one's quality is held against; may be absent.
	Reference string
}

// Backend is one way of running the engine.
type Backend struct {
	Name      string
	Device    string            // "cpu" or "cuda"
	Graphs    *bool             // CUDA graphs, default true; nil on cpu
	GPULayers *int              // layers to offload, -1 (default) for all; nil on cpu
	Warmup    int               // warm-up rows per scenario and launch, default 2
	Threads   int               // 0 (default) for the engine's choice
	NBatch    int               // tokens per call, 0 (default) for what the largest prompt needs; in a batch 2048
	NUbatch   int               // tokens per graph, 0 (default) for the engine's choice
	FlashAttn string            // "auto" (default), "on" or "off"
	Mmap      *bool             // map the file instead of reading it, default true; never nil after Load
	Argmax    string            // where the greedy token is chosen: "graph" (default) or "host"
	Env       map[string]string // environment of the engine; see EngineEnv
	// KVUnified puts the cells of all sequences of a batch into one buffer;
	// default false, one for each. It is left out of a cell's ID where it is
	// false, so that cells keep the IDs they had before there were batches.
	KVUnified bool `json:",omitempty"`
}

// Scenario is one shape of work.
type Scenario struct {
	Name         string
	PromptTokens int    // 1 or more
	GenTokens    int    // decode steps after the first sampled token, 1 or more
	Decode       string // "cached" (default) or "uncached"
	Batch        []int  `json:"-"` // sequences decoded together, each a cell; default 1
}

// KVType is the cache's element types, by ggml type name. In the file a plain
// string sets both.
type KVType struct {
	K string
	V string
}

// SkipRule leaves combinations out by name, with the reason that their rows
// will carry. An empty Model, Backend or Scenario matches all; at least one is
// given.
type SkipRule struct {
	Model    string
	Backend  string
	Scenario string
	Reason   string
}
