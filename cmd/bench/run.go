package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/power"
	"github.com/phasebench/phasebench/internal/progress"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
	"github.com/phasebench/phasebench/internal/runner"
)

// selection is the flags that say what to run; run and plan share them.
type selection struct {
	matrix    string
	narrow    matrix.Narrow
	synthetic bool
}

func (s *selection) flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.matrix, "matrix", "", "matrix file, e.g. configs/matrix.yaml")
	fs.StringSliceVar(&s.narrow.Models, "models", nil, "only these models of the matrix")
	fs.StringSliceVar(&s.narrow.Backends, "backends", nil, "only these backends")
	fs.StringSliceVar(&s.narrow.Scenarios, "scenarios", nil, "only these scenarios")
	fs.IntVar(&s.narrow.Reps, "reps", 0, "repetitions instead of the matrix's")
	fs.IntVar(&s.narrow.Launches, "launches", 0, "launches instead of the matrix's")
	fs.BoolVar(&s.synthetic, "synthetic", false, "use random weights of the published shapes instead of model files")
}

func (s *selection) plan() (*matrix.Plan, error) {
	if s.matrix == "" {
		return nil, usagef("need -matrix FILE, e.g. -matrix configs/demo.yaml")
	}
	spec, err := matrix.Load(s.matrix)
	if err != nil {
		return nil, usageError{err}
	}
	plan, err := spec.Plan(s.narrow)
	if err != nil {
		return nil, usageError{err}
	}
	return plan, nil
}

func runCommand(ctx context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	var sel selection
	sel.flags(flags)
	var price priceFlags
	price.flags(flags)
	resume := flags.String("resume", "", "continue the run in this folder: do only what is missing")
	out := flags.StringP("out", "o", "", "folder for the results (default results/RUN-ID)")
	noKV := flags.Bool("no-kv", false, "do not look into each model's KV cache after the rows")
	quiet := flags.BoolP("quiet", "q", false, "print no progress")
	if err := parse(flags, "[run] -matrix FILE [flags]", args, io.out); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usagef("unexpected argument %q", flags.Arg(0))
	}
	if err := price.check(flags); err != nil {
		return err
	}
	var job *job
	var err error
	if *resume != "" {
		for _, name := range []string{"matrix", "models", "backends", "scenarios", "reps", "launches", "synthetic", "out"} {
			if flags.Changed(name) && !(name == "matrix" && sameFile(sel.matrix, *resume)) {
				return usagef("--%s cannot be changed when a run is resumed: it goes on as it was started", name)
			}
		}
		job, err = resumed(*resume)
	} else {
		job, err = started(sel, price, *out)
	}
	if err != nil {
		return err
	}
	if err := price.checkFiles(job.pricingFile(price)); err != nil {
		return err
	}
	job.kv = !*noKV
	return job.run(ctx, price, *quiet, io)
}

// sameFile reports whether the matrix file is still what the run in dir was
// started from, so that the same command line with --resume added works.
func sameFile(path, dir string) bool {
	setup, err := rundir.Read(dir)
	data, err2 := os.ReadFile(path)
	return err == nil && err2 == nil && string(data) == string(setup.Matrix)
}

// job is a run to be started or continued.
type job struct {
	dir   string
	setup rundir.Setup
	plan  *matrix.Plan
	fresh bool
	kv    bool // look into caches after the rows
}

// started prepares a new run; nothing is written yet.
func started(sel selection, price priceFlags, out string) (*job, error) {
	plan, err := sel.plan()
	if err != nil {
		return nil, err
	}
	j := &job{plan: plan, fresh: true, dir: out}
	j.setup = rundir.Setup{
		RunID:          time.Now().UTC().Format("20060102-150405"),
		MatrixPath:     sel.matrix,
		Narrow:         sel.narrow,
		Synthetic:      sel.synthetic,
		RateUSDPerHour: price.rateUSDPerHour(),
		Blend:          price.blend,
		PlannedRows:    plan.Rows(),
	}
	if j.dir == "" {
		j.dir = filepath.Join("results", j.setup.RunID)
	}
	if j.setup.Matrix, err = os.ReadFile(sel.matrix); err != nil {
		return nil, usageError{err}
	}
	j.setup.PricingPath = price.file
	if price.file == "" && plan.Spec.Pricing != "" {
		j.setup.PricingPath = filepath.Join(filepath.Dir(sel.matrix), plan.Spec.Pricing)
	}
	if j.setup.PricingPath != "" {
		if j.setup.Pricing, err = os.ReadFile(j.setup.PricingPath); err != nil {
			return nil, usageError{err}
		}
	}
	return j, nil
}

// resumed prepares the continuation of the run in dir.
func resumed(dir string) (*job, error) {
	setup, err := rundir.Read(dir)
	if err != nil {
		return nil, usageError{err}
	}
	plan, err := setup.Plan()
	if err != nil {
		return nil, usageError{err}
	}
	return &job{dir: dir, setup: setup, plan: plan}, nil
}

// pricingFile returns the path of the prices that the rows will be shown with.
func (j *job) pricingFile(price priceFlags) string {
	if j.fresh {
		return j.setup.PricingPath
	}
	return cmp.Or(price.file, j.setup.PricingFile(j.dir))
}

func (j *job) run(ctx context.Context, price priceFlags, quiet bool, io stdio) error {
	launcher := &runner.Processes{Args: []string{"worker"}}
	host, err := runner.Survey(ctx, launcher)
	if err != nil {
		return err
	}
	if err := j.resolveModels(ctx, host, quiet, io); err != nil {
		return err
	}
	store, rows, err := j.open()
	var locked *record.LockedError
	if errors.As(err, &locked) || errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	defer store.Close()
	if held := runner.HeldBack(); len(held) > 0 {
		fmt.Fprintf(io.err, "warning: %s kept from the engine; set them under a backend's env in the matrix, so that rows show them\n", strings.Join(held, ", "))
	}
	for _, w := range store.Warnings {
		fmt.Fprintf(io.err, "warning: %v\n", w)
	}
	log, err := os.OpenFile(filepath.Join(j.dir, "worker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	launcher.Log = log
	gpu := j.watchGPU(host, io)
	if gpu != nil {
		defer func() {
			if err := gpu.Close(); err != nil {
				fmt.Fprintf(io.err, "warning: %v\n", err)
			}
		}()
	}
	env, err := j.environment(host, gpu, io)
	if err != nil {
		return err
	}

	ctx, stop, release := runner.Signals(ctx, func(s os.Signal) {
		fmt.Fprintf(io.err, "\n%v: stopping after this row; once more to stop at once\n", s)
	})
	defer release()
	opts := runner.Options{RunID: j.setup.RunID, Launcher: launcher, Host: host, Rows: rows, Sink: store, Stop: stop}
	if gpu != nil {
		opts.Telemetry = gpu
	}
	var printer *progress.Printer
	if !quiet {
		printer = progress.New(os.Stderr)
		opts.Progress = printer
	}
	sum, err := runner.Run(ctx, j.plan, opts)
	if printer != nil {
		printer.Close()
	}
	if err == nil && j.kv && !sum.Interrupted {
		err = j.inspectKV(ctx, launcher, store, stop, io)
	}
	now := time.Now().UTC()
	env.Sessions[len(env.Sessions)-1].Ended = &now
	err = errors.Join(err, env.Write(j.dir), store.Close())
	if err != nil {
		return err
	}
	shown := show(j.dir, price, io)
	if shown != nil && !errors.Is(shown, failedError{}) {
		return shown
	}
	fmt.Fprintf(io.out, "engine busy %.0f%% of %s\n", 100*sum.BusyMs/sum.WallMs, time.Duration(sum.WallMs*1e6).Round(time.Second))
	if n := sum.Missing(); n > 0 {
		fmt.Fprintf(io.out, "%d of %d rows are missing; continue with: bench --resume %s\n", n, sum.Planned, j.dir)
	} else if sum.Errors > 0 {
		fmt.Fprintf(io.out, "%d rows failed; try them again with: bench --resume %s\n", sum.Errors, j.dir)
	}
	if sum.Errors > 0 || sum.Missing() > 0 {
		return failedError{}
	}
	return shown
}

// inspectKV looks into the caches of the models that were measured.
func (j *job) inspectKV(ctx context.Context, l runner.Launcher, store *record.Store, stop <-chan struct{}, io stdio) error {
	rows, _, err := record.Read(filepath.Join(j.dir, record.File))
	if err != nil {
		return err
	}
	done, _, err := record.ReadKV(filepath.Join(j.dir, record.KVFile))
	if err != nil {
		return err
	}
	err = runner.InspectKV(ctx, j.plan, runner.KVOptions{
		Launcher: l, Rows: rows, Done: done, Sink: store, Stop: stop,
		Note: func(text string) { fmt.Fprintf(io.err, "warning: %s\n", text) },
	})
	if ctx.Err() != nil {
		return nil // the user ended it; what is missing is done by --resume
	}
	return err
}

// resolveModels finds or makes the model files of the cells that can run.
func (j *job) resolveModels(ctx context.Context, host runner.Host, quiet bool, io stdio) error {
	opt := models.Options{Synthetic: j.setup.Synthetic, Dir: syntheticDir, VocabDir: vocabDir()}
	if !quiet {
		opt.Making = func(path string, bytes int64) {
			fmt.Fprintf(io.err, "making %s, %.2f GB of random weights\n", path, float64(bytes)/1e9)
		}
	}
	err := models.Resolve(ctx, j.plan, func(c matrix.Cell) bool { return runner.MayRun(c, host) }, opt)
	var missing *models.MissingError
	var shapeless *models.ShapeError
	if errors.As(err, &missing) || errors.As(err, &shapeless) || errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	return err
}

// syntheticDir is where stand-ins are kept, below the working directory as the
// paths of a matrix are.
var syntheticDir = filepath.Join("models", "synthetic")

// vocabDir is where the engine's tokenizer files lie: in the source tree that
// the executable stands in.
func vocabDir() string {
	exe, err := os.Executable()
	if err != nil {
		exe = "bench"
	}
	return filepath.Join(filepath.Dir(exe), "third_party", "llama.cpp", "models")
}

// open returns the store to append to and the rows that are there already.
func (j *job) open() (*record.Store, []record.Record, error) {
	if j.fresh {
		store, err := record.Create(j.dir)
		if err == nil {
			err = j.setup.Write(j.dir)
		}
		return store, nil, err
	}
	store, err := record.Open(j.dir)
	if err != nil {
		return nil, nil, err
	}
	rows, warnings, err := record.Read(filepath.Join(j.dir, record.File))
	store.Warnings = append(store.Warnings, warnings...)
	return store, rows, err
}

// watchGPU begins to sample the GPU if a cell of the plan asks for it. It
// returns nil if there is nothing to sample.
func (j *job) watchGPU(host runner.Host, io stdio) *power.Telemetry {
	if !slices.ContainsFunc(j.plan.Cells, func(c matrix.Cell) bool { return c.Backend.Device == "cuda" }) {
		return nil
	}
	t, warning := power.Open(j.dir, host.Devices.Devices)
	if warning != "" {
		fmt.Fprintf(io.err, "warning: %s\n", warning)
	}
	return t
}

// environment describes this machine in the run's folder and warns when a
// resumed run was started on another one.
func (j *job) environment(host runner.Host, gpu *power.Telemetry, io stdio) (environ.Environment, error) {
	env := environ.Environment{
		Machine: environ.Collect("/"), Engine: host.Devices, Build: environ.ReadBuild(),
		ConfigPath: j.setup.MatrixPath, ConfigHash: j.plan.Spec.Hash,
	}
	if gpu != nil {
		env.GPUs = []environ.GPU{gpu.Describe()}
	}
	if !j.fresh {
		before, err := environ.Read(j.dir)
		if errors.Is(err, fs.ErrNotExist) { // killed before it could be written
			before, err = env, nil
		}
		if err != nil {
			return env, err
		}
		for _, d := range environ.Differences(before, env) {
			fmt.Fprintf(io.err, "warning: since the run was started, %s\n", d)
		}
		env.Sessions = before.Sessions
	}
	env.Sessions = append(env.Sessions, environ.Session{CommandLine: os.Args, Started: time.Now().UTC()})
	return env, env.Write(j.dir)
}
