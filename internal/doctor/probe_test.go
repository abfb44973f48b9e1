package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/wire"
)

// engine is a launcher of workers whose prefill takes 1 ms a row and whose 2
// decode steps take what a list says, over and over.
type engine struct {
	stepMs []int64
	dies   error  // of every row
	says   string // instead of every row
	opened []wire.Open
	rows   int
	closed int
}

func (e *engine) Launch(runner.LaunchSpec) (runner.Worker, error) { return (*engineWorker)(e), nil }

type engineWorker engine

func (w *engineWorker) PID() int     { return 1 }
func (w *engineWorker) Close() error { w.closed++; return nil }

func (w *engineWorker) Call(_ context.Context, q wire.Request) (wire.Reply, error) {
	switch {
	case q.Open != nil:
		if _, err := os.Stat(q.Open.ModelPath); err != nil {
			return wire.Reply{}, err
		}
		w.opened = append(w.opened, *q.Open)
		return wire.Reply{Opened: &wire.Opened{}}, nil
	case w.dies != nil:
		return wire.Reply{}, w.dies
	case w.says != "":
		return wire.Reply{Error: &wire.Error{Message: w.says}}, nil
	}
	const ms = 1_000_000
	step := w.stepMs[w.rows%len(w.stepMs)]
	if w.rows++; w.rows <= probeWarmups {
		step = 1000 // which must not count
	}
	return wire.Reply{Row: &wire.RowReply{
		PromptTokens: q.Row.PromptTokens, StartNs: 5 * ms, PrefillEndNs: 6 * ms, StepEndNs: []int64{(6 + step) * ms, (6 + 2*step) * ms},
	}}, nil
}

func (e *engine) probe(t *testing.T, m environ.Machine, devices ...wire.Device) []Line {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	lines := Probe(t.Context(), ProbeOptions{
		Launcher: e, Devices: devices, VocabDir: "../../third_party/llama.cpp/models", For: time.Millisecond, Machine: m, Root: t.TempDir(),
	})
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if e.closed != len(e.opened) {
		t.Errorf("%d workers, %d closed", len(e.opened), e.closed)
	}
	return lines
}

func TestProbe(t *testing.T) {
	e := &engine{stepMs: []int64{2}}
	check(t, e.probe(t, environ.Machine{}, cpuDevice),
		want{"prefill on cpu", OK, `^256000 tok/s, CV 0\.0 % of [0-9]+ repetitions$`, ""},
		want{"decode on cpu", OK, `^500 tok/s, CV 0\.0 %`, ""})
	if e.rows < probeWarmups+probeLeast {
		t.Errorf("%d rows", e.rows)
	}
}

func TestProbeOnBoth(t *testing.T) {
	e := &engine{stepMs: []int64{2}}
	lines := e.probe(t, environ.Machine{}, cpuDevice, cudaDevice)
	if len(lines) != 4 || lines[2].Name != "prefill on cuda" || lines[3].Name != "decode on cuda" {
		t.Errorf("%+v", lines)
	}
	if len(e.opened) != 2 || e.opened[0].Engine.Device != "cpu" || e.opened[1].Engine.Device != "cuda" || e.opened[1].Engine.GPULayers != -1 {
		t.Errorf("%+v", e.opened)
	}
}

func TestProbeOfNoisyMachine(t *testing.T) {
	e := &engine{stepMs: []int64{2, 4}}
	load := 7.0
	lines := e.probe(t, environ.Machine{PhysicalCores: 2, LoadAverage: &load, Governor: "powersave"}, cpuDevice)
	check(t, lines, want{"prefill on cpu", OK, "", ""},
		want{"decode on cpu", Warn, "^[0-9]+ tok/s, CV 3[0-9].* from 250 to 500: a noisy machine$", "other work .load 7., the governor powersave; "})
}

func TestProbeFails(t *testing.T) {
	e := &engine{dies: &runner.Death{Signal: "SIGABRT", StderrTail: []string{"first", "last"}}}
	check(t, e.probe(t, environ.Machine{}), want{"cpu", Fail, "^died by SIGABRT: last$", `first \| last$`})
	e = &engine{says: "out of memory"}
	check(t, e.probe(t, environ.Machine{}), want{"cpu", Fail, "^out of memory$", "bench probe"})
	lines := Probe(t.Context(), ProbeOptions{VocabDir: t.TempDir()})
	check(t, lines, want{"model", Fail, "ggml-vocab", "make cpu"})
}

func TestStolenTime(t *testing.T) {
	at := func(stat string) cpuTimes {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, root, "proc/stat", stat)
		return readTimes(root)
	}
	before := at("cpu  100 0 50 800 0 0 0 50 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	after := at("cpu  150 0 50 825 0 0 0 75 9 0\n") // 100 ticks, 25 of them stolen
	if pct := after.since(before).stolenPct(); pct != 25 {
		t.Errorf("%v %%, want 25", pct)
	}
	if text := causes(environ.Machine{}, after.since(before)); !strings.Contains(text, "the hypervisor, which took 25 %") {
		t.Error(text)
	}
	if text := causes(environ.Machine{}, cpuTimes{}); strings.Contains(text, "hypervisor") || !strings.Contains(text, "look for other work") {
		t.Error(text)
	}
	if (at("nothing") != cpuTimes{}) || (readTimes(t.TempDir()) != cpuTimes{}) {
		t.Error("times that cannot be read are not zero")
	}
}
