package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/record"
)

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "results", "tonight") // neither is there
	lines := Disk(folder, 1000, 1<<20)
	check(t, named(lines, "results"), want{"results", OK, "can be written$", ""})
	if l := named(lines, "fsync"); len(l) != 1 || l[0].Seen == "" {
		t.Errorf("%+v", lines)
	}
	check(t, named(lines, "space"), want{"space", OK, "^[1-9][0-9]* MiB free, the run takes 1 at most$", ""})
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	write(t, dir, "file", "")
	for _, in := range []string{"file", "file/run"} {
		check(t, Disk(filepath.Join(dir, in), 0, 0), want{"results", Fail, "file(/run)?: not a directory$", "another folder with -o"})
	}
	check(t, named(Disk(dir, 0, 1<<60), "space"), want{"space", Fail, "the run may take 1099511627776$", "free some"})
}

func TestSpace(t *testing.T) {
	for _, tc := range []struct {
		free, need int64
		want       Level
	}{
		{1 << 30, 0, OK}, {1<<30 - 1, 0, Warn},
		{200, 100, OK}, {199, 100, Warn}, {100, 100, Warn}, {99, 100, Fail},
	} {
		s := section{}
		s.space(tc.free, tc.need)
		if len(s.lines) != 1 || s.lines[0].Level != tc.want {
			t.Errorf("%d free, %d needed: %+v, want %s", tc.free, tc.need, s.lines, tc.want)
		}
	}
}

// The bound holds for the longest rows there are, warm-ups with every step timed
// twice, and counts rows as the runner does.
func TestRunBytes(t *testing.T) {
	const gen = 500
	c := matrix.Cell{Scenario: matrix.Scenario{Name: "s", GenTokens: gen}, Backend: matrix.Backend{Warmup: 3}}
	plan := &matrix.Plan{Spec: &matrix.Spec{Repetitions: 7, Launches: 2}, Cells: []matrix.Cell{c}}
	const rows = (7 + 3) * 2
	const fixed = power.MaxFileBytes + reportBytes
	perRow := (RunBytes(plan, models.Found{}) - fixed) / rows

	r := record.Record{Warnings: []string{"a warning about this row, which may take a whole line on the terminal and more"}}
	for range gen {
		r.StepMs = append(r.StepMs, 123.456789)                 // of nanoseconds
		r.StepCudaMs = append(r.StepCudaMs, 0.5182080268859863) // of a float32
	}
	data, err := json.Marshal(r)
	if err != nil || int64(len(data)) > perRow || perRow > 10*int64(len(data)) {
		t.Errorf("a row has %d bytes (%v), counted as %d", len(data), err, perRow)
	}

	without := RunBytes(plan, models.Found{})
	plan.Spec.Energy = matrix.Energy{Windows: 3}
	if got := RunBytes(plan, models.Found{}) - without; got <= 0 {
		t.Errorf("windows add %d bytes", got)
	}
	plan.Spec.Energy = matrix.Energy{}
	plan.Cells[0].Model = matrix.Model{Name: "m", Synth: "tiny-gpt2"}
	for _, there := range []bool{false, true} {
		opt := models.Options{Dir: t.TempDir()}
		if there {
			write(t, opt.Dir, "tiny-gpt2-seed42-f16.gguf", "")
		}
		found, err := models.Find(plan, func(matrix.Cell) bool { return true }, opt)
		if err != nil {
			t.Fatal(err)
		}
		// 50257 embeddings of 128 halves alone are 12.9 MB.
		if got := RunBytes(plan, found) - without; there != (got == 0) || !there && got < 12_900_000 {
			t.Errorf("a stand-in (there: %v) adds %d bytes", there, got)
		}
	}
}
