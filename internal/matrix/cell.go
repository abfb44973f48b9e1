package matrix

// Plan is what a Spec expands to, narrowed by the user's flags. Each cell is
// repeated Spec.Repetitions times in each of Spec.Launches launches, so the
// plan accounts for len(Cells) * Repetitions * Launches rows besides warm-ups.
type Plan struct {
	Spec  *Spec
	Cells []Cell // model outermost, then backend, kv type, scenario
}

// Cell is one combination that is measured.
type Cell struct {
	// ID is stable across runs and machines: readable names joined by dots,
	// then a short hash of everything that defines the work (model name and
	// synth shape, backend entry, scenario, batch, kv types, seed).
	ID       string
	Model    Model
	Backend  Backend
	Scenario Scenario
	Batch    int // 1 until batches are a dimension
	KV       KVType
	Seed     int64
	Skip     string // why the matrix leaves this cell out; empty when it is run
}
