package doctor

import (
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

func TestMatrix(t *testing.T) {
	cpu, gpu := matrix.Backend{Name: "cpu", Device: "cpu"}, matrix.Backend{Name: "gpu", Device: "cuda"}
	model := matrix.Model{Name: "m", Path: "m.gguf"}
	skipped := func(kind record.SkipKind, why string) runner.CellCheck {
		return runner.CellCheck{SkipKind: kind, SkipReason: why}
	}
	failed := runner.CellCheck{Err: &record.Error{Message: "bad magic"}}
	host := runner.Host{MemAvailableBytes: 100 * mib}
	need := wire.MemoryNeed{
		Host:   wire.MemoryBytes{Weights: 30 * mib, KV: 10 * mib},
		Device: wire.MemoryBytes{Weights: 300 * mib}, FreeDev: 400 * mib,
	}
	for _, tc := range []struct {
		name  string
		group runner.GroupCheck
		found models.Found
		wants []want
	}{
		{"all is well", runner.GroupCheck{Backend: cpu, Contexts: []runner.ContextCheck{{Need: need}}, Cells: make([]runner.CellCheck, 2)},
			models.Found{}, []want{{"m on cpu", OK, "^2 cells, 40 of 100 MiB free needed$", ""}}},
		{"on the GPU", runner.GroupCheck{Backend: gpu, Contexts: []runner.ContextCheck{{Need: need}}, Cells: make([]runner.CellCheck, 1)},
			models.Found{}, []want{{"m on gpu", OK, "^1 cell, 300 of 400 MiB free needed$", ""}}},
		{"some are skipped", runner.GroupCheck{Backend: cpu, Contexts: []runner.ContextCheck{{Need: need}}, Cells: []runner.CellCheck{
			skipped(record.SkipMemory, "needs 9 MiB"), {}, skipped(record.SkipMemory, "needs 9 MiB"), skipped(record.SkipRule, "too slow"), skipped(record.SkipPositions, "no room"),
		}}, models.Found{}, []want{
			{"m on cpu", OK, "^1 cell, 40 of 100", ""},
			{"m on cpu", Warn, "^2 cells skipped: needs 9 MiB$", "free memory"},
			{"m on cpu", OK, "^1 cell skipped: too slow$", ""},
			{"m on cpu", Warn, "^1 cell skipped: no room$", "gen_tokens"},
		}},
		{"no device", runner.GroupCheck{Backend: gpu, Cells: []runner.CellCheck{skipped(record.SkipDevice, "no CUDA device")}},
			models.Found{}, []want{{"m on gpu", OK, "^1 cell skipped: no CUDA device$", ""}}},
		{"damaged file", runner.GroupCheck{Backend: cpu, Cells: []runner.CellCheck{failed, failed}},
			models.Found{}, []want{{"m on cpu", Fail, "^2 cells fail: bad magic$", "get the model file again"}}},
		{"missing file", runner.GroupCheck{Backend: cpu, Cells: []runner.CellCheck{failed, skipped(record.SkipRule, "too slow")}},
			models.Found{Missing: []matrix.Model{model}}, []want{
				{"m on cpu", Fail, "^1 cell without a model: m.gguf is missing$", "^scripts/fetch-models.sh m$"},
				{"m on cpu", OK, "^1 cell skipped: too slow$", ""},
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.group.Model = model
			check(t, Matrix([]runner.GroupCheck{tc.group}, tc.found, host), tc.wants...)
		})
	}
}

// A stand-in that has to be made first is no failure.
func TestMatrixStandIn(t *testing.T) {
	dir := t.TempDir()
	plan := &matrix.Plan{Cells: []matrix.Cell{{Model: matrix.Model{Name: "m", Synth: "tiny-gpt2"}}}}
	found, err := models.Find(plan, func(matrix.Cell) bool { return true }, models.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	g := runner.GroupCheck{
		Model: plan.Cells[0].Model, Backend: matrix.Backend{Name: "cpu"},
		Cells: []runner.CellCheck{{Err: &record.Error{Message: "no such file " + filepath.Join(dir, "x")}}},
	}
	check(t, Matrix([]runner.GroupCheck{g}, found, runner.Host{}), want{"m on cpu", OK, "^1 cell on 1[0-9] MiB of random weights", ""})
}
