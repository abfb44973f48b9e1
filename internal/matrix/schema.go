package matrix

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Upper limits. They are far beyond any useful value: they catch slips of the
// keyboard and keep sizes computed from them within bounds.
const (
	maxEntries     = 1_000 // of a list
	maxRepetitions = 10_000
	maxLaunches    = 1_000
	maxTokens      = 1 << 20
	maxThreads     = 4096
	maxLayers      = 10_000
	maxRows        = 1_000_000
)

// kvTypeNames are the ggml types that the engine accepts for a cache, those
// that are quantized last.
var kvTypeNames = []string{"f16", "f32", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "iq4_nl"}

// WeightTypes are the types that stand-ins can have their weights in: "f16", and
// those that the engine's quantizer makes of it, by the names of its tool.
var WeightTypes = []string{"f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "q3_k_m", "q2_k"}

// Quantized reports whether a cache type holds blocks of small integers.
func Quantized(kvType string) bool { return slices.Index(kvTypeNames, kvType) >= 3 }

func (r *reader) spec(n ast.Node) Spec {
	t := r.table(n, "the matrix")
	t.need("name", "repetitions", "models", "backends", "scenarios")
	s := Spec{
		Name:        t.name("name"),
		Seed:        t.integer("seed", 0, math.MaxInt64, 42),
		Repetitions: t.int("repetitions", 1, maxRepetitions, 1),
		Launches:    t.int("launches", 1, maxLaunches, 1),
		Models:      list(t, "models", r.model),
		KVTypes:     list(t, "kv_types", r.kvType),
		Scenarios:   r.scenarios(t),
		Pricing:     t.text("pricing"),
	}
	if s.KVTypes == nil {
		s.KVTypes = []KVType{{K: "f16", V: "f16"}}
	}
	s.Backends = list(t, "backends", func(n ast.Node) Backend { return r.backend(n, s.KVTypes) })
	s.Skip = list(t, "skip", r.skipRule) // after the names it refers to
	s.Energy = r.energy(t.get("energy"))
	s.Quality = r.quality(t.get("quality"))
	r.references(s.Models)
	if s.Pricing != "" {
		if err := r.checkFile(s.Pricing); err != nil {
			t.errorf("pricing", "%v", err)
		}
	}
	shapes := 0
	for _, c := range s.Scenarios {
		shapes += len(c.Batch)
	}
	rows := float64(s.Repetitions) * float64(s.Launches) * float64(len(s.Models)) *
		float64(len(s.Backends)) * float64(len(s.KVTypes)) * float64(shapes)
	if rows > maxRows {
		r.errorf(t.at, "the matrix has %.0f rows; at most %d are allowed", rows, maxRows)
	}
	t.end()
	return s
}

func (r *reader) model(n ast.Node) Model {
	t := r.table(n, "a model")
	t.need("name")
	m := Model{Name: t.define("model"), Path: t.text("path"), Synth: t.name("synth"), Type: t.choice("type", WeightTypes...), Reference: t.name("reference")}
	if m.Reference != "" {
		r.referred[m.Name] = t.values["reference"].GetToken()
	}
	if t.values != nil && t.values["path"] == nil && t.values["synth"] == nil {
		r.errorf(t.at, `a model has neither "path" (a GGUF file) nor "synth" (a shape to make one of)`)
	}
	if m.Synth == "" {
		m.Type = ""
	}
	if t.values["type"] != nil && t.values["synth"] == nil {
		t.errorf("type", `is of the weights made for "synth", which is missing; a GGUF file has a type of its own`)
	}
	t.end()
	return m
}

func (r *reader) backend(n ast.Node, kvTypes []KVType) Backend {
	t := r.table(n, "a backend")
	t.need("name", "device")
	b := Backend{
		Name:      t.define("backend"),
		Device:    t.choice("device", "cpu", "cuda"),
		Graphs:    t.bool("graphs", true),
		Warmup:    t.int("warmup", 0, maxRepetitions, 2),
		Threads:   t.int("threads", 0, maxThreads, 0),
		NBatch:    t.int("n_batch", 0, maxTokens, 0),
		NUbatch:   t.int("n_ubatch", 0, maxTokens, 0),
		FlashAttn: t.choice("flash_attn", "auto", "on", "off"),
		Mmap:      t.bool("mmap", true),
		Argmax:    t.choice("argmax", "graph", "graph-split", "host"),
		KVUnified: *t.bool("kv_unified", false),
		Env:       t.env("env"),
	}
	layers := t.int("gpu_layers", -1, maxLayers, -1)
	b.GPULayers = &layers
	if b.Device == "cpu" {
		b.Graphs, b.GPULayers = nil, nil
		for _, key := range []string{"graphs", "gpu_layers"} {
			if t.values[key] != nil {
				t.errorf(key, "only a backend with device: cuda has this")
			}
		}
	}
	if b.NBatch > 0 && b.NUbatch > b.NBatch {
		t.errorf("n_ubatch", "must not exceed n_batch, which is %d", b.NBatch)
	}
	if b.FlashAttn == "off" {
		if i := slices.IndexFunc(kvTypes, func(kv KVType) bool { return Quantized(kv.V) }); i >= 0 {
			t.errorf("flash_attn", "off cannot run kv type v: %s of this matrix; a quantized V cache needs flash attention (auto or on)", kvTypes[i].V)
		}
	}
	t.end()
	return b
}

var validEnv = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (t *table) env(key string) map[string]string {
	n := t.get(key)
	if n == nil {
		return nil
	}
	vars := t.r.table(n, key)
	if len(vars.keys) == 0 {
		return nil // an empty mapping means the same as none
	}
	env := map[string]string{}
	for _, k := range vars.keys {
		value, ok := stringOf(vars.values[k.Value])
		switch {
		case !validEnv.MatchString(k.Value):
			t.r.errorf(k, "%q is not the name of an environment variable; use letters, digits and '_'", k.Value)
		case k.Value == graphsOffEnv:
			t.r.errorf(k, "write graphs: false instead; the engine turns graphs off at any value of %s, even 0", graphsOffEnv)
		case !ok:
			vars.errorf(k.Value, "must be text, not %s; put it in quotes", describe(vars.values[k.Value]))
		case strings.ContainsRune(value, 0):
			vars.errorf(k.Value, "must not contain a zero byte")
		default:
			env[k.Value] = value
		}
	}
	return env
}

func (r *reader) scenario(n ast.Node, batches []int) Scenario {
	t := r.table(n, "a scenario")
	t.need("name", "prompt_tokens", "gen_tokens")
	s := Scenario{
		Name:         t.define("scenario"),
		PromptTokens: t.int("prompt_tokens", 1, maxTokens, 1),
		GenTokens:    t.int("gen_tokens", 1, maxTokens, 1),
		Decode:       t.choice("decode", "cached", "uncached"),
		Batch:        t.batches("batch"),
	}
	if s.Batch == nil {
		s.Batch = batches
	}
	if s.Decode == "uncached" && !slices.Equal(s.Batch, []int{1}) {
		t.errorf("decode", "uncached is for one sequence: give this scenario batch: [1]")
	}
	t.end()
	return s
}

func (r *reader) kvType(n ast.Node) KVType {
	var kv KVType
	before := len(r.problems)
	if s, ok := stringOf(n); ok {
		if !slices.Contains(kvTypeNames, s) {
			r.errorf(n.GetToken(), "a kv type must be one of %s, not %s", strings.Join(kvTypeNames, ", "), describe(n))
		}
		kv = KVType{K: s, V: s}
	} else {
		t := r.table(n, "a kv type")
		t.need("k", "v")
		kv = KVType{K: t.choice("k", kvTypeNames...), V: t.choice("v", kvTypeNames...)}
		t.end()
	}
	if len(r.problems) == before {
		r.define(start(n), "kv type", fmt.Sprintf("k: %s, v: %s", kv.K, kv.V))
	}
	return kv
}

func (r *reader) skipRule(n ast.Node) SkipRule {
	t := r.table(n, "a skip rule")
	t.need("reason")
	s := SkipRule{
		Model:    t.refer("model"),
		Backend:  t.refer("backend"),
		Scenario: t.refer("scenario"),
		Reason:   t.text("reason"),
	}
	if t.values != nil && t.values["model"] == nil && t.values["backend"] == nil && t.values["scenario"] == nil {
		r.errorf(t.at, "a skip rule names no model, backend or scenario and would skip everything")
	}
	t.end()
	return s
}
