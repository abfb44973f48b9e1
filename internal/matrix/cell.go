package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Cell is one combination that is measured.
type Cell struct {
	// ID is stable across runs and machines: readable names joined by dots
	// (model, backend, kv type, scenario, batch above 1), then the first 8 hex digits of a
	// SHA-256 of everything that defines the work (model name, synth shape
	// and type of weights, backend entry with its defaults, scenario, batch, kv types,
	// seed). Where the model's file lies and how often the cell is repeated
	// are not part of it. It can be used as a file name.
	ID       string
	Model    Model
	Backend  Backend
	Scenario Scenario
	Batch    int // sequences evaluated together
	KV       KVType
	Seed     int64
	Skip     string // why the matrix leaves this cell out; empty when it is run
}

// String returns the name of the type if K and V are the same, else K's and
// V's joined by "-".
func (kv KVType) String() string {
	if kv.K == kv.V {
		return kv.K
	}
	return kv.K + "-" + kv.V
}

// quantized returns the type of the weights; "" for F16.
func (m Model) quantized() string {
	if m.Type == "f16" {
		return ""
	}
	return m.Type
}

func (c Cell) id() string {
	work, err := json.Marshal(struct {
		Model, Synth string
		Type         string `json:",omitempty"` // so that cells of F16 keep the IDs they had before there were others
		Backend      Backend
		Scenario     Scenario
		Batch        int
		KV           KVType
		Seed         int64
	}{c.Model.Name, c.Model.Synth, c.Model.quantized(), c.Backend, c.Scenario, c.Batch, c.KV, c.Seed})
	if err != nil {
		panic(err) // strings, numbers and a map of strings: cannot fail
	}
	hash := sha256.Sum256(work)
	names := []string{c.Model.Name, c.Backend.Name, c.KV.String(), c.Scenario.Name}
	if c.Batch > 1 {
		names = append(names, fmt.Sprintf("batch%d", c.Batch))
	}
	return strings.Join(append(names, hex.EncodeToString(hash[:4])), ".")
}
