package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	goio "io"
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
	"github.com/phasebench/phasebench/internal/wire"
)

func runCommand(ctx context.Context, args []string, io stdio) error {
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	var sel selection
	sel.flags(flags)
	var price priceFlags
	price.flags(flags)
	price.carbonFlags(flags)
	resume := flags.String("resume", "", "continue the run in this folder: do only what is missing")
	out := flags.StringP("out", "o", "", "folder for the results (default results/RUN-ID)")
	noKV := flags.Bool("no-kv", false, "do not look into each model's KV cache after the rows")
	noQuality := flags.Bool("no-quality", false, "do not score the models on the text of the matrix after the rows")
	noEnergy := flags.Bool("no-energy", false, "measure no energy windows and no power at rest; --resume without this adds them")
	quiet := flags.BoolP("quiet", "q", false, "print no progress")
	verbose := flags.BoolP("verbose", "v", false, "print what the engine says, too, which is always in worker.log")
	if err := parse(flags, "[run] -matrix FILE [flags]"+examples(
		"-matrix configs/demo.yaml --synthetic",
		"-matrix configs/matrix.yaml --models gpt2 --reps 2 --launches 3 --rate 0.35 -o results/gpt2",
		"--resume results/gpt2"), args, io.out); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return usagef("unexpected argument %q", flags.Arg(0))
	}
	if err := errors.Join(sel.check(flags), price.check(flags)); err != nil {
		return err
	}
	var job *job
	var err error
	if *resume == "" {
		job, err = started(sel, price, *out)
	} else if job, err = resumed(*resume); err == nil {
		if name := sel.differs(flags, *out, *resume, job.setup); name != "" {
			return usagef("--%s cannot be changed when a run is resumed: it goes on as it was started", name)
		}
	}
	if err != nil {
		return err
	}
	if err := price.checkFiles(job.pricingFile(price)); err != nil {
		return err
	}
	job.kv = !*noKV
	if *noQuality {
		job.plan.Spec.Quality = nil
	}
	job.verbose = *verbose
	if *noEnergy {
		job.plan.Spec.Energy.Windows, job.plan.Spec.Energy.IdleS = 0, 0
	}
	return job.run(ctx, price, *quiet, io)
}

// job is a run to be started or continued.
type job struct {
	dir     string
	setup   rundir.Setup
	plan    *matrix.Plan
	fresh   bool
	kv      bool // look into caches after the rows
	verbose bool // print what workers say
}

// started prepares a new run; nothing is written yet.
func started(sel selection, price priceFlags, out string) (*job, error) {
	plan, shard, err := sel.plan()
	if err != nil {
		return nil, err
	}
	j := &job{plan: plan, fresh: true, dir: out}
	j.setup = rundir.Setup{
		RunID:          time.Now().UTC().Format("20060102-150405"),
		MatrixPath:     sel.matrix,
		Narrow:         sel.narrow,
		Shard:          shard,
		Pool:           sel.pool,
		Synthetic:      sel.synthetic,
		RateUSDPerHour: price.rateUSDPerHour(),
		Blend:          price.blend,
		PlannedRows:    plan.Rows(),
	}
	j.setup.RunID = sel.runID(j.setup.RunID)
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
	if len(setup.Parts) > 0 {
		return nil, usagef("%s was merged; resume the run that lacks rows, in its own folder, and merge again", dir)
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
	machine := environ.Collect("/") // first, so that its load is not ours
	launcher := &runner.Processes{Args: []string{"worker"}}
	host, err := runner.Survey(ctx, launcher)
	if err != nil {
		return err
	}
	files := models.Options{Synthetic: j.setup.Synthetic, Dir: syntheticDir, VocabDir: vocabDir()}
	found, err := findModels(j.plan, host, files)
	if err != nil {
		return err
	}
	if len(found.Missing) > 0 {
		return usageError{&models.MissingError{Models: found.Missing}}
	}
	// Only now, so that a refused run leaves no folder, but before stand-ins
	// are made, since the folder may be refused as well.
	store, before, err := j.open()
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
	if w := busy(machine); w != "" {
		fmt.Fprintf(io.err, "warning: %s\n", w)
	}
	if !quiet {
		files.Making = func(path string, bytes int64) {
			fmt.Fprintf(io.err, "making %s, %.2f GB of random weights\n", path, float64(bytes)/1e9)
		}
	}
	if err := found.Make(ctx, files); err != nil {
		// Not wrapped: there is a run to continue now, so this is no mistake in usage.
		return fmt.Errorf("%v\nthen continue with: %s --resume %s", err, program, j.dir)
	}
	log, err := os.OpenFile(filepath.Join(j.dir, "worker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	launcher.Log = log
	if j.verbose {
		launcher.Log = goio.MultiWriter(log, io.err)
	}
	watched := j.watch(host, io)
	if watched != nil {
		defer func() {
			if err := watched.Close(); err != nil {
				fmt.Fprintf(io.err, "warning: %v\n", err)
			}
		}()
	}
	env, err := j.environment(machine, host, watched, io)
	if err != nil {
		return err
	}

	ctx, stop, release := runner.Signals(ctx, func(s os.Signal) {
		fmt.Fprintf(io.err, "\n%v: stopping after this row or energy window; once more to stop at once\n", s)
	})
	defer release()
	place := record.Place{Host: machine.Host, Pool: j.setup.Pool}
	opts := runner.Options{
		RunID: j.setup.RunID, Place: place, Launcher: launcher, Host: host, Rows: before.rows, Windows: before.windows, Sink: store, Stop: stop,
		Unpowered: unpowered,
	}
	if watched != nil {
		opts.Telemetry = watched
	}
	var printer *progress.Printer
	if !quiet {
		printer = progress.New(os.Stderr)
		opts.Progress = printer
	}
	err = runner.MeasureDevices(ctx, j.plan, runner.DeviceOptions{
		RunID: j.setup.RunID, Place: place, Launcher: launcher, Host: host, Telemetry: opts.Telemetry, Done: before.devices, Sink: store, Stop: stop,
		Progress: opts.Progress,
		Warn:     func(text string) { fmt.Fprintf(io.err, "warning: %s\n", text) },
	})
	var sum runner.Summary
	if err == nil {
		sum, err = runner.Run(ctx, j.plan, opts)
	}
	if printer != nil {
		printer.Close()
	}
	var foreign *runner.ForeignError
	if errors.As(err, &foreign) {
		err = nil // what there is is kept, as after any other end
	}
	var kvTook time.Duration
	if err == nil && foreign == nil && j.kv && !sum.Interrupted {
		kvTook, err = j.inspectKV(ctx, launcher, place, store, stop, printer, io)
	}
	if err == nil && foreign == nil && !sum.Interrupted {
		err = j.scoreQuality(ctx, launcher, place, store, stop, printer, io)
	}
	now := time.Now().UTC()
	env.Sessions[len(env.Sessions)-1].Ended = &now
	err = errors.Join(err, env.Write(j.dir), store.Close())
	if err != nil {
		return err
	}
	if foreign != nil && sum.BusyMs == 0 {
		return usageError{fmt.Errorf("%w, then continue with: %s --resume %s", foreign, program, j.dir)}
	}
	a, shown := show(j.dir, price, besideFlags{}, io)
	if a == nil {
		return shown
	}
	if text := spent(sum, kvTook, j.fresh); text != "" {
		fmt.Fprintln(io.out, text)
	}
	if foreign != nil {
		fmt.Fprintf(io.err, "stopped: %v\n", foreign)
	}
	if text := left(sum); text != "" {
		fmt.Fprintf(io.out, "%s: %s --resume %s\n", text, program, j.dir)
		return failedError{}
	}
	fmt.Fprintf(io.out, "next: %s\n", next(j.dir, a))
	return shown
}

// left says what is not there yet and what to do about it; nothing if all is.
func left(sum runner.Summary) string {
	switch {
	case sum.Missing() > 0:
		return fmt.Sprintf("%d of %d rows are missing; continue with", sum.Missing(), sum.Planned)
	case sum.Errors > 0:
		return fmt.Sprintf("%d rows failed; try them again with", sum.Errors)
	case sum.WindowsMissing > 0:
		return fmt.Sprintf("%d energy windows are missing; continue with", sum.WindowsMissing)
	case sum.WindowErrors > 0:
		return fmt.Sprintf("%d energy windows failed; try them again with", sum.WindowErrors)
	}
	return ""
}

// spent says where the time went.
func spent(sum runner.Summary, kvTook time.Duration, fresh bool) string {
	var parts []string
	if sum.BusyMs > 0 {
		what := "rows"
		if sum.Windows > 0 {
			what = "rows and energy windows"
		}
		parts = append(parts, fmt.Sprintf("engine busy %.0f%% of the %v for the %s",
			100*sum.BusyMs/sum.WallMs, time.Duration(sum.WallMs*1e6).Round(time.Second), what))
	}
	if kvTook > 0 {
		parts = append(parts, fmt.Sprintf("%v for the KV caches", kvTook.Round(time.Second)))
	}
	if len(parts) == 0 && !fresh && left(sum) == "" {
		return "nothing was missing"
	}
	return strings.Join(parts, ", then ")
}

// busy warns of other work on the machine; it returns nothing if there is none
// or the load is not known.
func busy(m environ.Machine) string {
	load := m.Loaded()
	if load == "" {
		return ""
	}
	return "other work was running in the last minute: " + load + ". If it still runs, times will be slower and scatter: stop it, or expect wide intervals"
}

// inspectKV looks into the caches of the models that were measured. It returns
// how long that took: 0 if all was known already.
func (j *job) inspectKV(ctx context.Context, l runner.Launcher, place record.Place, store *record.Store, stop <-chan struct{}, printer *progress.Printer, io stdio) (took time.Duration, err error) {
	rows, _, err := record.Read(filepath.Join(j.dir, record.File))
	if err != nil {
		return 0, err
	}
	done, _, err := record.ReadKV(filepath.Join(j.dir, record.KVFile))
	if err != nil {
		return 0, err
	}
	var start time.Time
	err = runner.InspectKV(ctx, j.plan, runner.KVOptions{
		Launcher: l, Place: place, Rows: rows, Done: done, Sink: store, Stop: stop,
		Looking: func() {
			if !start.IsZero() {
				return
			}
			start = time.Now()
			if printer != nil {
				printer.Note("looking into the KV caches of the models that were measured; --no-kv leaves this out")
			}
		},
		Note: func(text string) { fmt.Fprintf(io.err, "warning: %s\n", text) },
	})
	if !start.IsZero() {
		took = time.Since(start)
	}
	if ctx.Err() != nil {
		return took, nil // the user ended it; what is missing is done by --resume
	}
	return took, err
}

// scoreQuality scores the models that were measured on the text of the matrix, if
// it names one.
func (j *job) scoreQuality(ctx context.Context, l runner.Launcher, place record.Place, store *record.Store, stop <-chan struct{}, printer *progress.Printer, io stdio) error {
	if j.plan.Spec.Quality == nil {
		return nil
	}
	rows, _, err := record.Read(filepath.Join(j.dir, record.File))
	if err != nil {
		return err
	}
	done, _, err := record.ReadQuality(filepath.Join(j.dir, record.QualityFile))
	if err != nil {
		return err
	}
	err = runner.ScoreQuality(ctx, j.plan, runner.QualityOptions{
		RunID: j.setup.RunID, Launcher: l, Place: place, Rows: rows, Done: done, Sink: store, Stop: stop,
		Progress: func(text string) {
			if printer != nil {
				printer.Note(text)
			}
		},
		Note: func(text string) { fmt.Fprintf(io.err, "warning: %s\n", text) },
	})
	if ctx.Err() != nil {
		return nil // the user ended it; what is missing is done by --resume
	}
	return err
}

// findModels finds the model files of the cells that can run.
func findModels(plan *matrix.Plan, host runner.Host, opt models.Options) (models.Found, error) {
	found, err := models.Find(plan, func(c matrix.Cell) bool { return runner.MayRun(c, host) }, opt)
	var shapeless *models.ShapeError
	if errors.As(err, &shapeless) {
		return found, usageError{err}
	}
	return found, err
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

// kept is what a run has measured so far.
type kept struct {
	rows    []record.Record
	windows []record.WindowRecord
	devices []record.DeviceRecord
}

// open returns the store to append to and what is there already.
func (j *job) open() (*record.Store, kept, error) {
	if j.fresh {
		if err := rundir.Vacant(j.dir); err != nil {
			return nil, kept{}, usageError{err}
		}
		store, err := record.Create(j.dir, func() error { return j.setup.Write(j.dir) })
		return store, kept{}, err
	}
	store, err := record.Open(j.dir)
	if err != nil {
		return nil, kept{}, err
	}
	var k kept
	var warnings [3][]error
	var errs [3]error
	k.rows, warnings[0], errs[0] = record.Read(filepath.Join(j.dir, record.File))
	k.windows, warnings[1], errs[1] = record.ReadWindows(filepath.Join(j.dir, record.WindowFile))
	k.devices, warnings[2], errs[2] = record.ReadDevices(filepath.Join(j.dir, record.DeviceFile))
	store.Warnings = slices.Concat(store.Warnings, slices.Concat(warnings[:]...))
	return store, k, errors.Join(errs[:]...)
}

// watch begins to sample the devices that cells of the plan run on. It returns
// nil if there is nothing to sample.
func (j *job) watch(host runner.Host, io stdio) *power.Telemetry {
	unused := func(d wire.Device) bool {
		return !slices.ContainsFunc(j.plan.Cells, func(c matrix.Cell) bool { return (c.Backend.Device == "cpu") == (d.Kind == "cpu") })
	}
	t, warning := power.Open(j.dir, slices.DeleteFunc(slices.Clone(host.Devices.Devices), unused))
	if warning != "" {
		fmt.Fprintf(io.err, "warning: %s\n", warning)
	}
	return t
}

// unpowered says why nothing tells the energy of the CPU. Of a GPU that was
// said when it was looked at.
func unpowered(deviceKind string) (why string) {
	if deviceKind != "cpu" {
		return ""
	}
	for _, s := range power.Survey(nil, "/sys", 0) {
		if !s.OK {
			return strings.TrimSuffix(s.Detail+"; "+s.Fix, "; ")
		}
	}
	return ""
}

// environment describes this machine in the run's folder and warns when a
// resumed run was started on another one.
func (j *job) environment(machine environ.Machine, host runner.Host, watched *power.Telemetry, io stdio) (environ.Environment, error) {
	env := environ.Environment{
		Machine: machine, Engine: host.Devices, Build: environ.ReadBuild(),
		ConfigPath: j.setup.MatrixPath, ConfigHash: j.plan.Spec.Hash,
		Models: models.Files(j.plan, func(c matrix.Cell) bool { return runner.MayRun(c, host) }),
	}
	if watched != nil {
		env.GPUs = watched.GPUs()
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
		env = env.After(before)
	}
	env.Sessions = append(env.Sessions, environ.Session{CommandLine: os.Args, Host: env.Host, Started: time.Now().UTC()})
	return env, env.Write(j.dir)
}
