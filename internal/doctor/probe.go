package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/runner"
	"github.com/phasebench/phasebench/internal/stats"
	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

// NoisyCVPct is the coefficient of variation of a machine's repetitions, in
// percent, above which it is called noisy.
const NoisyCVPct = 5

// A row of the probe is short, so that its repetitions are many.
const (
	probePrompt  = 256
	probeGen     = 32
	probeWarmups = 3
	probeLeast   = 5               // repetitions, however long they take
	probeLimit   = 2 * time.Minute // for all of them
)

// ProbeOptions says what to probe with.
type ProbeOptions struct {
	Launcher runner.Launcher
	Devices  []wire.Device   // that the engine sees
	VocabDir string          // where the tokenizers for random models lie
	For      time.Duration   // how long rows are repeated, on all devices together
	Machine  environ.Machine // that it runs on, to name causes of noise
	Root     string          // of its file system, "/" for this one
}

// Probe runs prefill and decode of the smallest model over and over in a worker
// on each kind of device, as a run would, and tells how fast that was and how
// even. The model has random weights and is removed.
func Probe(ctx context.Context, opt ProbeOptions) []Line {
	s := section{name: "probe"}
	dir, err := os.MkdirTemp("", "phasebench-doctor")
	if err != nil {
		s.fail("model", "free space in the folder for temporary files, or set TMPDIR", "%v", err)
		return s.lines
	}
	defer os.RemoveAll(dir)
	model := filepath.Join(dir, "tiny.gguf")
	if _, err := llama.Synth(ctx, "tiny-gpt2", model, llama.SynthOptions{Seed: models.Seed, VocabDir: opt.VocabDir}); err != nil {
		s.fail("model", "make cpu, which fetches the engine's source; the file takes 20 MB in the folder for temporary files", "%v", err)
		return s.lines
	}
	engines := []wire.Engine{{Device: "cpu", FlashAttn: "auto", Mmap: true}}
	if CUDA(opt.Devices) != nil {
		engines = append(engines, wire.Engine{Device: "cuda", GPULayers: -1, FlashAttn: "auto", Mmap: true})
	}
	opt.For /= time.Duration(len(engines))
	for _, e := range engines {
		s.trial(ctx, opt, wire.Open{ModelPath: model, Engine: e})
	}
	return s.lines
}

func (s *section) trial(ctx context.Context, opt ProbeOptions, open wire.Open) {
	before := readTimes(opt.Root)
	seen, err := repeat(ctx, opt, open)
	if err != nil {
		s.fail(open.Engine.Device, deathFix(err), "%v", err)
		return
	}
	causes := causes(opt.Machine, readTimes(opt.Root).since(before))
	s.rate("prefill on "+open.Engine.Device, seen.prefill, causes)
	s.rate("decode on "+open.Engine.Device, seen.decode, causes)
}

// rates of repetitions, in tokens per second.
type rates struct{ prefill, decode []float64 }

func (s *section) rate(name string, perS []float64, causes string) {
	d, _ := stats.Describe(perS, 0.95) // of probeLeast or more rates above 0
	seen := fmt.Sprintf("%.0f tok/s, CV %.1f %% of %d repetitions", d.Mean, *d.CVPct, d.N)
	s.check(*d.CVPct > NoisyCVPct, name, causes, "%s", seen+noisy(*d.CVPct, d.Min, d.Max))
}

func noisy(cvPct, least, most float64) string {
	if cvPct <= NoisyCVPct {
		return ""
	}
	return fmt.Sprintf(", from %.0f to %.0f: a noisy machine", least, most)
}

// repeat measures rows for a while with one worker.
func repeat(ctx context.Context, opt ProbeOptions, open wire.Open) (rates, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("not done after %v", probeLimit))
	defer cancel()
	var out rates
	w, err := opt.Launcher.Launch(runner.LaunchSpec{Label: "doctor's probe"})
	if err != nil {
		return out, err
	}
	defer w.Close()
	ask := func(q wire.Request) (wire.Reply, error) {
		r, err := w.Call(ctx, q)
		if err == nil && r.Error != nil {
			err = errors.New(r.Error.Message)
		}
		return r, err
	}
	if _, err := ask(wire.Request{Open: &open}); err != nil {
		return out, err
	}
	row := wire.Row{
		Context:      wire.ContextSpec{NCtx: probePrompt + probeGen, Batch: 1, TypeK: "f16", TypeV: "f16"},
		PromptTokens: probePrompt, GenTokens: probeGen, DecodeMode: "cached", Seed: 42,
	}
	var start time.Time
	for i := 0; i < probeWarmups+probeLeast || time.Since(start) < opt.For; i++ {
		if i == probeWarmups {
			start = time.Now()
		}
		reply, err := ask(wire.Request{Row: &row})
		if err != nil {
			return out, err
		}
		if r := reply.Row; i >= probeWarmups {
			out.prefill = append(out.prefill, perSecond(r.PromptTokens, r.StartNs, r.PrefillEndNs))
			out.decode = append(out.decode, perSecond(len(r.StepEndNs), r.PrefillEndNs, r.StepEndNs[len(r.StepEndNs)-1]))
		}
	}
	return out, nil
}

func perSecond(tokens int, fromNs, toNs int64) float64 {
	return float64(tokens) / (float64(toNs-fromNs) / 1e9)
}

// deathFix says where to look further after a worker that failed.
func deathFix(err error) string {
	fix := "bench devices and bench probe show more of what the engine says"
	var death *runner.Death
	if errors.As(err, &death) && len(death.StderrTail) > 1 {
		fix += "; its last words: " + strings.Join(death.StderrTail, " | ")
	}
	return fix
}

// causes names what was seen of the machine that makes rows scatter, and what
// to do.
func causes(m environ.Machine, during cpuTimes) string {
	var found []string
	if m.Loaded() != "" {
		found = append(found, fmt.Sprintf("other work (load %.2g)", *m.LoadAverage))
	}
	if stolen := during.stolenPct(); stolen >= 1 {
		found = append(found, fmt.Sprintf("the hypervisor, which took %.0f %% of the CPU time during the probe", stolen))
	}
	if m.CPULimit != nil {
		found = append(found, fmt.Sprintf("the quota of %.2g CPUs", *m.CPULimit))
	}
	if g := m.Governor; g != "" && g != "performance" {
		found = append(found, "the governor "+g)
	}
	if len(found) == 0 {
		return "look for other work (top), clocks that follow load or temperature, and neighbours on the same host; more repetitions and launches in the matrix narrow the intervals"
	}
	return "likely because of " + strings.Join(found, ", ") + "; what cannot be changed takes more repetitions and launches in the matrix"
}

// cpuTimes are what all CPUs did since boot, in the kernel's ticks.
type cpuTimes struct{ all, stolen float64 }

// readTimes reads the first line of /proc/stat (proc_stat(5)): user, nice,
// system, idle, iowait, irq, softirq, steal; guests' time, which follows, is
// counted in user. It returns zeros if that cannot be read.
func readTimes(root string) cpuTimes {
	var name string
	var v [8]float64
	if n, _ := fmt.Sscan(firstLine(filepath.Join(root, "proc/stat")), &name, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]); n != 9 {
		return cpuTimes{}
	}
	t := cpuTimes{stolen: v[7]}
	for _, x := range v {
		t.all += x
	}
	return t
}

func (t cpuTimes) since(before cpuTimes) cpuTimes {
	return cpuTimes{t.all - before.all, t.stolen - before.stolen}
}

// stolenPct is the share that the hypervisor gave to others, 0 if not known.
func (t cpuTimes) stolenPct() float64 {
	if t.all <= 0 {
		return 0
	}
	return 100 * t.stolen / t.all
}
