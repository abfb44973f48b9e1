// Package matrix reads a matrix file and expands it into the cells of a run.
//
// The file is YAML, read strictly: a key that is not known, a value of the
// wrong type, a name used twice or a list that is empty is an error that
// points at its line and column, before anything else happens.
package matrix

// Spec is a matrix file.
type Spec struct {
	Path string `yaml:"-"` // file the spec was read from
	Hash string `yaml:"-"` // SHA-256 of the file's bytes, hex

	Name        string     `yaml:"name"`
	Seed        int64      `yaml:"seed"`
	Repetitions int        `yaml:"repetitions"`
	Launches    int        `yaml:"launches"` // default 1
	Models      []Model    `yaml:"models"`
	Backends    []Backend  `yaml:"backends"`
	Scenarios   []Scenario `yaml:"scenarios"`
	KVTypes     []KVType   `yaml:"kv_types"` // default [f16]
	Skip        []SkipRule `yaml:"skip"`
	Pricing     string     `yaml:"pricing"` // pricing file, relative to the matrix file
}

// Model is one model of the matrix.
type Model struct {
	Name  string `yaml:"name"`
	Path  string `yaml:"path"`  // GGUF file, relative to the working directory
	Synth string `yaml:"synth"` // shape that `bench synth` makes for --synthetic
}

// Backend is one way of running the engine. Env is set in the worker's
// environment, since the engine reads such switches once per process.
type Backend struct {
	Name      string            `yaml:"name"`
	Device    string            `yaml:"device"` // "cpu" or "cuda"
	Graphs    *bool             `yaml:"graphs"` // CUDA graphs; only for cuda, default true
	Warmup    int               `yaml:"warmup"` // warm-up rows per scenario and launch
	Threads   int               `yaml:"threads"`
	GPULayers *int              `yaml:"gpu_layers"` // default all; only for cuda
	NBatch    int               `yaml:"n_batch"`
	NUbatch   int               `yaml:"n_ubatch"`
	FlashAttn string            `yaml:"flash_attn"` // "on", "off" or "auto" (default)
	Mmap      *bool             `yaml:"mmap"`       // default true
	Argmax    string            `yaml:"argmax"`     // "graph" (default) or "host"
	Env       map[string]string `yaml:"env"`
}

// Scenario is one shape of work.
type Scenario struct {
	Name         string `yaml:"name"`
	PromptTokens int    `yaml:"prompt_tokens"`
	GenTokens    int    `yaml:"gen_tokens"`
	Decode       string `yaml:"decode"` // "cached" (default) or "uncached"
}

// KVType is the cache's element types. In YAML a plain string sets both.
type KVType struct {
	K string `yaml:"k"`
	V string `yaml:"v"`
}

// SkipRule leaves combinations out by name, with the reason that their rows
// will carry. An empty Model, Backend or Scenario matches all.
type SkipRule struct {
	Model    string `yaml:"model"`
	Backend  string `yaml:"backend"`
	Scenario string `yaml:"scenario"`
	Reason   string `yaml:"reason"`
}
