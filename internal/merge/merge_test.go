package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
	"github.com/phasebench/phasebench/internal/wire"
)

// study is a matrix whose runs are made up.
type study struct {
	t      testing.TB
	models int
	reps   int
	of     int // shards
	steps  int // in each row
}

func (s study) matrix() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "name: s\nrepetitions: %d\nmodels:\n", s.reps)
	for i := range s.models {
		fmt.Fprintf(&b, "  - {name: m%d, synth: tiny-gpt2}\n", i)
	}
	b.WriteString("backends: [{name: a, device: cpu}, {name: b, device: cpu}]\nscenarios: [{name: s, prompt_tokens: 4, gen_tokens: 4}]\n")
	return []byte(b.String())
}

// shard writes the run of shard i of the study, 1-based, into a folder of that
// name, with what change makes of it.
func (s study) shard(dir string, i int, change func(*rundir.Setup, *environ.Environment, []record.Record) []record.Record) string {
	s.t.Helper()
	fatal := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	setup := rundir.Setup{RunID: fmt.Sprint("run", i), MatrixPath: "m.yaml", Matrix: s.matrix()}
	plan, err := setup.Whole()
	fatal(err)
	shards, err := plan.Divide(s.of, nil)
	fatal(err)
	setup.Shard = &matrix.Shard{Index: i, Of: s.of, Pairs: shards[i-1]}
	env := environ.Environment{Machine: environ.Machine{Host: fmt.Sprint("node", i)}, Engine: wire.DevicesReply{Version: "1"}, Build: environ.Build{Revision: "c"}}
	var rows []record.Record
	for _, c := range plan.Only(setup.Shard.Pairs).Cells {
		for rep := range s.reps {
			ms := 1.5
			r := record.Record{
				Schema: record.Schema, Timestamp: time.Unix(1e9, 0).UTC(), RunID: setup.RunID, Place: record.Place{Host: env.Host}, CellID: c.ID, Model: c.Model.Name, Backend: c.Backend.Name, Scenario: "s",
				Rep: rep, Status: record.StatusOK, Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", PromptTokens: 4, GenTokens: 4,
				PromptHash: "p", PrefillMs: &ms, DecodeMs: &ms, Device: "cpu of " + env.Host, DeviceKind: "cpu", EngineVersion: "1",
			}
			for range s.steps {
				r.StepMs = append(r.StepMs, 12.345678)
			}
			rows = append(rows, r)
		}
	}
	if change != nil {
		rows = change(&setup, &env, rows)
	}
	dir = filepath.Join(dir, fmt.Sprint("shard-", i))
	fatal(os.MkdirAll(dir, 0o755))
	fatal(setup.Write(dir))
	fatal(env.Write(dir))
	var out []byte
	for i := range rows {
		line, err := json.Marshal(&rows[i])
		fatal(err)
		out = append(append(out, line...), '\n')
	}
	fatal(os.WriteFile(filepath.Join(dir, record.File), out, 0o644))
	return dir
}

func (s study) shards(dir string) []string {
	var out []string
	for i := range s.of {
		out = append(out, s.shard(dir, i+1, nil))
	}
	return out
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMerge(t *testing.T) {
	dir := t.TempDir()
	parts := study{t: t, models: 2, reps: 3, of: 4}.shards(dir)
	window := `{"schema":1,"cell_id":"c%d","phase":"decode","window":0}` + "\n"
	for i, part := range parts {
		write(t, part, record.WindowFile, fmt.Sprintf(window, i))
		write(t, part, record.KVFile, fmt.Sprintf(`{"schema":1,"model":"m%d","tokens":1}`, i)) // without a newline
		write(t, part, record.DeviceFile, fmt.Sprintf(`{"schema":1,"kind":"idle","device_kind":"cpu","host":"node%d"}`+"\n", i))
		write(t, part, power.File, fmt.Sprintf(`{"t_ns":%d}`+"\n", i))
	}
	out := filepath.Join(dir, "made", "merged")
	r, err := Merge(parts, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Parts != 4 || r.Rows != 12 || r.Planned != 12 || r.Doubles != nil || r.Gaps != nil || r.Notes != nil || r.Unread != nil {
		t.Errorf("%+v", r)
	}
	var want string
	for _, part := range parts {
		want += read(t, part, record.File)
	}
	if read(t, out, record.File) != want {
		t.Error("rows were changed")
	}
	setup, err := rundir.Read(out)
	if err != nil || len(setup.Parts) != 4 || setup.PlannedRows != 12 || setup.Shard != nil || setup.Parts[2].Name != "shard-3" || setup.Parts[2].Rows != 3 || setup.Parts[2].Shard.Index != 3 {
		t.Errorf("%+v, %v", setup, err)
	}
	for i, part := range parts {
		for _, file := range []string{rundir.SetupFile, environ.File, power.File} {
			if read(t, out, rundir.PartsDir, filepath.Base(part), file) != read(t, part, file) {
				t.Errorf("%s of part %d was changed", file, i)
			}
		}
	}
	windows, bad, err := record.ReadWindows(filepath.Join(out, record.WindowFile))
	points, bad2, err2 := record.ReadKV(filepath.Join(out, record.KVFile))
	devices, bad3, err3 := record.ReadDevices(filepath.Join(out, record.DeviceFile))
	if err := errors.Join(err, err2, err3); err != nil || len(bad)+len(bad2)+len(bad3) > 0 || len(windows) != 4 || len(points) != 4 || len(devices) != 4 {
		t.Errorf("%d windows, %d points, %d devices, %v %v %v %v", len(windows), len(points), len(devices), err, bad, bad2, bad3)
	}
	if _, err := Merge(parts, out, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("into a run: %v", err)
	}
	if _, err := Merge([]string{out, parts[0]}, out+"2", nil); !errors.Is(err, ErrNoRun) {
		t.Errorf("a merged run: %v", err)
	}
	if _, err := Merge([]string{parts[0], parts[0] + "/"}, out+"2", nil); !errors.Is(err, ErrNoRun) {
		t.Errorf("one run twice: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
		t.Errorf("refused merges left %v", left)
	}
}

func TestGapsAndDoubles(t *testing.T) {
	dir := t.TempDir()
	s := study{t: t, models: 2, reps: 3, of: 4}
	parts := []string{
		s.shard(dir, 1, func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) []record.Record { return rows[:2] }),
		s.shard(dir, 2, func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) []record.Record {
			rows[1].Status = record.StatusError
			return rows
		}),
		// shard 3 is not there
		s.shard(dir, 4, nil),
		s.shard(filepath.Join(dir, "again"), 4, func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) []record.Record { return rows[1:] }),
	}
	out := filepath.Join(dir, "merged")
	r, err := Merge(parts, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Gap{
		{Place: "m0 on a", Rows: 1, Of: 3, Dir: parts[0]},
		{Place: "m0 on b", Rows: 1, Of: 3, Failed: true, Dir: parts[1]},
		{Place: "m1 on a", Rows: 3, Of: 3, Shards: 4},
	}
	for i := range r.Gaps {
		if r.Gaps[i].Dir != "" {
			r.Gaps[i].Shards = 0
		}
	}
	if !slices.Equal(r.Gaps, want) {
		t.Errorf("gaps %+v\nwant %+v", r.Gaps, want)
	}
	if len(r.Doubles) != 1 || r.Doubles[0] != (Double{"m1 on b", 2, parts[2], parts[3]}) {
		t.Errorf("doubles %+v", r.Doubles)
	}
	if r.Rows != 8 || r.Planned != 12 {
		t.Errorf("%d of %d rows", r.Rows, r.Planned)
	}
	rows, _, err := record.Read(filepath.Join(out, record.File))
	if _, doubles := record.Latest(rows); err != nil || len(rows) != 8 || doubles != nil {
		t.Errorf("%d rows, %v, %v", len(rows), doubles, err)
	}
}

// Pools measure the same cells, and each must be whole.
func TestPools(t *testing.T) {
	dir := t.TempDir()
	s := study{t: t, models: 1, reps: 2, of: 2}
	in := func(pool string) func(*rundir.Setup, *environ.Environment, []record.Record) []record.Record {
		return func(setup *rundir.Setup, _ *environ.Environment, rows []record.Record) []record.Record {
			setup.Pool = pool
			for i := range rows {
				rows[i].Pool = pool
			}
			return rows
		}
	}
	parts := []string{
		s.shard(filepath.Join(dir, "p"), 1, in("p")), s.shard(filepath.Join(dir, "p"), 2, in("p")), s.shard(filepath.Join(dir, "q"), 2, in("q")),
	}
	for i, pool := range []string{"p", "p", "q"} { // the second repeats what the first has
		write(t, parts[i], record.WindowFile, `{"schema":1,"pool":"`+pool+`","cell_id":"c","phase":"decode","window":0}`+"\n")
	}
	r, err := Merge(parts, filepath.Join(dir, "merged"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(read(t, dir, "merged", record.WindowFile), "\n"); got != 2 {
		t.Errorf("%d energy windows, want one of each pool", got)
	}
	windows, _, err := record.ReadWindows(filepath.Join(dir, "merged", record.WindowFile))
	if err != nil || len(windows) != 2 {
		t.Errorf("%d energy windows are read, %v", len(windows), err)
	}
	rows, _, err := record.Read(filepath.Join(dir, "merged", record.File))
	if latest, doubles := record.Latest(rows); err != nil || len(latest) != 6 || doubles != nil {
		t.Errorf("%d rows, %v, %v", len(latest), doubles, err)
	}
	if r.Planned != 8 || r.Rows != 6 || r.Doubles != nil || len(r.Gaps) != 1 || r.Gaps[0].Place != "m0 on a in pool q" {
		t.Errorf("%+v", r)
	}
	if setup, err := rundir.Read(filepath.Join(dir, "merged")); err != nil || setup.Parts[2].Name != "shard-2-2" || setup.Parts[2].Pool != "q" {
		t.Errorf("%+v, %v", setup.Parts, err)
	}
}

// One folder is one run, by whatever path it is named.
func TestRefusesAFolderTwice(t *testing.T) {
	dir := t.TempDir()
	part := study{t: t, models: 1, reps: 2, of: 2}.shard(dir, 1, nil)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(part, link); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{part, part + "/.", link} {
		if _, err := Merge([]string{part, other}, filepath.Join(dir, "merged"), nil); !errors.Is(err, ErrNoRun) || !strings.Contains(err.Error(), "named twice") {
			t.Errorf("%s: %v", other, err)
		}
	}
}

func TestRefusesOtherWork(t *testing.T) {
	info := func(layers int) *record.ModelInfo { return &record.ModelInfo{Arch: "x", Layers: layers, Params: 1} }
	for _, c := range []struct {
		kind   string
		change func(setup *rundir.Setup, env *environ.Environment, rows []record.Record)
	}{
		{"matrix", func(s *rundir.Setup, _ *environ.Environment, _ []record.Record) {
			s.Matrix = append(s.Matrix, "# other\n"...)
		}},
		{"matrix", func(s *rundir.Setup, _ *environ.Environment, _ []record.Record) { s.Narrow.Reps = 2 }},
		{"engine", func(_ *rundir.Setup, e *environ.Environment, _ []record.Record) { e.Engine.Version = "2" }},
		{"engine", func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) { rows[1].EngineVersion = "2" }},
		{"engine", func(_ *rundir.Setup, e *environ.Environment, _ []record.Record) {
			e.Earlier = []environ.Environment{{Engine: wire.DevicesReply{Version: "2"}}}
		}},
		{"program", func(_ *rundir.Setup, e *environ.Environment, _ []record.Record) { e.Build.Revision = "d" }},
		{"models", func(_ *rundir.Setup, e *environ.Environment, _ []record.Record) { e.Models[0].Fingerprint = "y" }},
		{"models", func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) { rows[0].Synthetic = true }},
		{"models", func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) { rows[0].ModelInfo = info(3) }},
		{"models", func(_ *rundir.Setup, _ *environ.Environment, rows []record.Record) { rows[0].PromptHash = "q" }},
	} {
		dir := t.TempDir()
		s := study{t: t, models: 1, reps: 2, of: 2}
		common := func(_ *rundir.Setup, e *environ.Environment, rows []record.Record) []record.Record {
			e.Models = []environ.ModelFile{{Name: "m0", Bytes: 1, Fingerprint: "x"}}
			rows[0].ModelInfo = info(2)
			return rows
		}
		parts := []string{s.shard(dir, 1, common), s.shard(dir, 2, func(setup *rundir.Setup, e *environ.Environment, rows []record.Record) []record.Record {
			common(setup, e, rows)
			c.change(setup, e, rows)
			return rows
		})}
		out := filepath.Join(dir, "merged")
		_, err := Merge(parts, out, nil)
		var differ *DifferError
		if !errors.As(err, &differ) || !slices.Equal(differ.Kinds, []string{c.kind}) || !strings.Contains(err.Error(), parts[1]) {
			t.Errorf("%s: %v", c.kind, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*merged*")); left != nil {
			t.Errorf("%s: a refused merge left %v", c.kind, left)
		}
		if hidden, _ := filepath.Glob(filepath.Join(dir, ".merged*")); hidden != nil {
			t.Errorf("%s: a refused merge left %v", c.kind, hidden)
		}
		r, err := Merge(parts, out, []string{c.kind})
		if err != nil || len(r.Notes) != 1 {
			t.Errorf("%s, allowed: %+v, %v", c.kind, r, err)
			continue
		}
		if setup, err := rundir.Read(out); err != nil || !slices.Equal(setup.Differ, r.Notes) {
			t.Errorf("%s: noted %q, %v", c.kind, setup.Differ, err)
		}
	}
}

func TestLinesThatAreNoRows(t *testing.T) {
	dir := t.TempDir()
	parts := study{t: t, models: 1, reps: 2, of: 2}.shards(dir)
	file := filepath.Join(parts[1], record.File)
	write(t, parts[1], record.File, "{half\n"+read(t, file)+`{"schema":1`)
	r, err := Merge(parts, filepath.Join(dir, "merged"), nil)
	if err != nil || len(r.Unread) != 2 || r.Rows != 4 || !strings.Contains(r.Unread[0].Error(), file+":1") {
		t.Errorf("%+v, %v", r, err)
	}
}

// BenchmarkMerge joins 200 shards of 500 rows with 64 decode steps each.
func BenchmarkMerge(b *testing.B) {
	dir := b.TempDir()
	parts := study{t: b, models: 100, reps: 500, of: 200, steps: 64}.shards(dir)
	for i := 0; b.Loop(); i++ {
		r, err := Merge(parts, filepath.Join(dir, fmt.Sprint("merged", i)), nil)
		if err != nil || r.Rows != 100000 || r.Gaps != nil {
			b.Fatalf("%+v, %v", r, err)
		}
	}
}
