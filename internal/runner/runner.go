// Package runner runs a plan: it starts a worker process for each model,
// backend and launch, asks it for one row after the other and then for energy
// windows, and writes down what comes back. A worker may die at any time; then its row is an error, a new
// worker takes over and the run goes on. The parent may die at any time; then
// the rows written so far are enough to continue.
package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
)

// Options says how to run a plan.
type Options struct {
	RunID    string
	Place    record.Place // that rows and windows carry
	Launcher Launcher
	Host     Host                  // from Survey
	Rows     []record.Record       // of the run that is resumed, as read
	Windows  []record.WindowRecord // likewise
	Sink     Sink

	Progress  Progress        // nil for none
	Telemetry Telemetry       // nil for none
	Stop      <-chan struct{} // closed to end the run after the row or window at hand; may be nil

	// Unpowered says why nothing tells the energy of a kind of device, or
	// nothing if it does not know; may be nil.
	Unpowered func(deviceKind string) (why string)

	// MaxDeaths is how many workers a cell may cost in one launch before its
	// rows and windows that are left become errors without being tried; 2 when
	// 0, so that a row is tried once more after a death.
	MaxDeaths int
	// RowTimeout is how long a row may take before its worker counts as hung.
	// When 0 it is 15 minutes for the first row of a model on a backend; from
	// then on 20 times what the slowest row so far predicts, at least a minute.
	RowTimeout time.Duration
}

// Sink keeps rows and energy windows. A *record.Store is one. It is used by one
// goroutine.
type Sink interface {
	// Append returns when r is safe.
	Append(r *record.Record) error
	// AppendWindow returns when w is safe.
	AppendWindow(w *record.WindowRecord) error
}

// Progress is told what happens, by one goroutine and never while a row or a
// window is being measured.
type Progress interface {
	// Start is told how many rows the plan has and how many of them are done.
	Start(done, total int)
	// Row is told each row that was written. eta is 0 if nothing is known.
	Row(r *record.Record, done, total int, eta time.Duration)
	// Window is told each energy window that was written.
	Window(w *record.WindowRecord, eta time.Duration)
	// Note is told what no row says.
	Note(text string)
}

// Telemetry knows what the machine did while a row was measured. It is used by
// one goroutine.
type Telemetry interface {
	// Annotate adds to an ok row what was sampled during it.
	Annotate(r *record.Record, span Span)
	// SensorPeriod returns the time between two values of what tells the energy
	// of a kind of device, "cpu" or "gpu"; ok is false when nothing tells it.
	SensorPeriod(deviceKind string) (period time.Duration, ok bool)
	// Closely asks for samples good enough to judge windows by, or for no more
	// of them: these may cost more than watching rows does.
	Closely(on bool)
	// Judge adds to a window what was sampled during it, and whether it is
	// valid. It waits until the samples around its end are there. The window's
	// own times, tokens and rates are filled in; reasons that are there stay.
	Judge(w *record.WindowRecord, pid int)
	// Idle watches a kind of device for a while in which nothing is asked of
	// it. ok is false when nothing tells its power.
	Idle(ctx context.Context, deviceKind string, d time.Duration) (idle record.DeviceRecord, ok bool)
	// Foreign names the processes that compute on the GPU now besides pid, each
	// with its memory where that is known.
	Foreign(pid int) []string
}

// Span says when and where a row was measured, in CLOCK_MONOTONIC nanoseconds.
type Span struct {
	PID                          int // of the worker
	StartNs, PrefillEndNs, EndNs int64
}

// Summary says how a run ended. The rows of a resumed run count as those
// written now do.
type Summary struct {
	Planned             int // rows of the plan, besides warm-ups
	OK, Skipped, Errors int // of them, by how they ended
	Warmups             int // warm-up rows measured now
	Deaths              int // workers that died now

	// Energy windows of cells with an ok row: measured now, failed for now, and
	// not tried yet, which are some only after an interruption.
	Windows, WindowErrors, WindowsMissing int

	Interrupted bool
	BusyMs      float64 // the engine loaded, warmed up or measured, now
	WallMs      float64 // from start to end, now
}

// Missing returns the number of planned rows that have not ended in any way,
// which is not 0 only when the run ended early.
func (s Summary) Missing() int { return s.Planned - s.OK - s.Skipped - s.Errors }

// errStopped ends a run between two rows.
var errStopped = errors.New("stopped")

// Run runs what is missing of a plan: rows, then, in the first launch, the
// energy windows of the same cells in the same worker. It returns an error only
// if rows cannot be kept and, as a *ForeignError, if the matrix forbids to go on
// beside other processes on the GPU; everything else that goes wrong is in the
// rows and the Summary. It ends early, with Interrupted set, when Options.Stop
// is closed (after the row or window at hand) and when ctx ends (at once; what
// was at hand is lost).
func Run(ctx context.Context, plan *matrix.Plan, opts Options) (Summary, error) {
	r := newRun(plan, opts)
	start := time.Now()
	err := r.all(ctx)
	r.sum.WallMs = float64(time.Since(start)) / float64(time.Millisecond)
	if errors.Is(err, errStopped) {
		r.sum.Interrupted, err = true, nil
	}
	for _, k := range r.keys() {
		switch r.ended[k].Status {
		case record.StatusOK:
			r.sum.OK++
		case record.StatusSkipped:
			r.sum.Skipped++
		case record.StatusError:
			r.sum.Errors++
		}
	}
	r.countWindows()
	return r.sum, err
}

// run is a run under way.
type run struct {
	Options
	plan *matrix.Plan
	sum  Summary

	done   map[record.Key]bool          // not to be looked at
	ended  map[record.Key]record.Record // the row that stands for each key, without its samples
	count  int                          // planned keys in ended
	tokens map[string]tokens            // by cell
	eta    eta

	timed   map[string]*timed // by cell
	windows map[record.WindowKey]windowEnd
	gate    *gate
}

// tokens is what a cell sampled when it was first measured.
type tokens struct{ hash, where string }

func newRun(plan *matrix.Plan, opts Options) *run {
	r := &run{
		Options: opts,
		plan:    plan,
		done:    record.Done(opts.Rows),
		ended:   map[record.Key]record.Record{},
		tokens:  map[string]tokens{},
		eta:     newETA(),
		timed:   map[string]*timed{},
		windows: map[record.WindowKey]windowEnd{},
	}
	if r.MaxDeaths == 0 {
		r.MaxDeaths = 2
	}
	if r.Progress == nil {
		r.Progress = silent{}
	}
	r.gate = newGate(plan, opts.Telemetry, opts.Stop, r.Progress)
	planned := map[record.Key]bool{}
	for _, k := range r.keys() {
		planned[k] = true
	}
	r.sum.Planned = len(planned)
	latest, _ := record.Latest(opts.Rows)
	for i := range latest {
		if planned[latest[i].Key()] {
			r.end(&latest[i])
		}
	}
	for i := range opts.Rows {
		r.checkTokens(&opts.Rows[i])
	}
	for i := range latest {
		r.takeRates(&latest[i])
	}
	for i := range opts.Windows {
		r.endWindow(&opts.Windows[i])
	}
	return r
}

// keys returns the identity of every planned row.
func (r *run) keys() []record.Key {
	var keys []record.Key
	for i := range r.plan.Cells {
		for launch := range r.plan.Spec.Launches {
			for rep := range r.plan.Spec.Repetitions {
				keys = append(keys, record.Key{Pool: r.Place.Pool, CellID: r.plan.Cells[i].ID, Launch: launch, Rep: rep})
			}
		}
	}
	return keys
}

// missing returns how many rows of a cell are to be measured in a launch.
func (r *run) missing(c *CellCheck, launch int) int {
	n := 0
	for rep := range r.plan.Spec.Repetitions {
		if !r.done[record.Key{Pool: r.Place.Pool, CellID: c.ID, Launch: launch, Rep: rep}] {
			n++
		}
	}
	return n
}

func (r *run) all(ctx context.Context) error {
	r.Progress.Start(r.count, r.sum.Planned)
	var groups []GroupCheck
	for _, g := range group(r.plan) {
		if r.groupMissing(&g) || r.windowsMissing(&g) {
			groups = append(groups, g)
		}
	}
	if checkAll(ctx, groups, r.Host, r.Launcher) != nil {
		return errStopped
	}
	for i := range groups {
		if err := r.settle(&groups[i]); err != nil {
			return err
		}
	}
	r.noteUnpowered(groups)
	cpuLast(groups)
	limits := make([]rowLimit, len(groups))
	for launch := range r.plan.Spec.Launches {
		for i := range groups {
			if err := r.launch(ctx, &groups[i], launch, &limits[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) groupMissing(g *GroupCheck) bool {
	for launch := range r.plan.Spec.Launches {
		for i := range g.Cells {
			if r.missing(&g.Cells[i], launch) > 0 {
				return true
			}
		}
	}
	return false
}

// settle writes the rows that need no worker, and counts the others.
func (r *run) settle(g *GroupCheck) error {
	skipped := map[string]int{}
	var reasons []string
	for i := range g.Cells {
		c := &g.Cells[i]
		if c.runs() {
			r.eta.fixed += time.Duration(len(r.missingWindows(&c.Cell))) * r.windowTime(&c.Cell)
		}
		for launch := range r.plan.Spec.Launches {
			missing := r.missing(c, launch)
			if c.runs() {
				if missing > 0 {
					r.eta.plan(&c.Cell, missing+g.Backend.Warmup)
				}
				continue
			}
			for rep := range r.plan.Spec.Repetitions {
				rec := r.newRow(c, launch, rep, false)
				if r.done[rec.Key()] {
					continue
				}
				if rec.Error = c.Err; c.Err != nil {
					rec.Status = record.StatusError
				} else {
					rec.Status, rec.SkipKind, rec.Reason = record.StatusSkipped, c.SkipKind, c.SkipReason
					// The same answer as last time needs no second row.
					if was := r.ended[rec.Key()]; was.Status == rec.Status && was.SkipKind == rec.SkipKind {
						continue
					}
					if skipped[c.SkipReason]++; skipped[c.SkipReason] == 1 {
						reasons = append(reasons, c.SkipReason)
					}
				}
				if err := r.write(rec); err != nil {
					return err
				}
			}
		}
	}
	for _, reason := range reasons {
		r.Progress.Note(fmt.Sprintf("%s: %d rows skipped: %s", g.Name(), skipped[reason], reason))
	}
	return nil
}

// launch measures what is missing of a group in one launch.
func (r *run) launch(ctx context.Context, g *GroupCheck, launch int, limit *rowLimit) error {
	if !r.anythingIn(g, launch) {
		return nil
	}
	s := &session{run: r, group: g, launch: launch, limit: limit, deaths: map[string]deaths{}}
	defer s.close()
	if g.Backend.Device == "cuda" {
		var err error
		if s.beside, err = r.gate.pass(ctx); err != nil {
			return err
		}
	}
	for rep := range r.plan.Spec.Repetitions {
		for i := range g.Cells {
			c := &g.Cells[i]
			if !c.runs() || r.done[record.Key{Pool: r.Place.Pool, CellID: c.ID, Launch: launch, Rep: rep}] {
				continue
			}
			if r.stopped(ctx) {
				return errStopped
			}
			if err := s.cell(ctx, c, rep); err != nil {
				return err
			}
		}
	}
	if launch > 0 {
		return nil
	}
	return s.measureWindows(ctx)
}

// anythingIn reports whether anything is left to measure of a group in a launch.
func (r *run) anythingIn(g *GroupCheck, launch int) bool {
	for _, c := range g.running() {
		if r.missing(c, launch) > 0 {
			return true
		}
	}
	return launch == 0 && r.windowsMissing(g)
}

func (r *run) stopped(ctx context.Context) bool { return stopped(ctx, r.Stop) }

func stopped(ctx context.Context, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// write keeps a row and tells about it.
func (r *run) write(rec *record.Record) error {
	if err := r.Sink.Append(rec); err != nil {
		return err
	}
	if rec.Warmup {
		if rec.Status == record.StatusOK {
			r.sum.Warmups++
		}
	} else {
		r.end(rec)
		r.takeRates(rec)
	}
	r.Progress.Row(rec, r.count, r.sum.Planned, r.eta.left())
	return nil
}

// end notes how a planned row ended, by the rule of record.Latest.
func (r *run) end(rec *record.Record) {
	k := rec.Key()
	now := record.Record{CellID: rec.CellID, Launch: rec.Launch, Rep: rec.Rep, Status: rec.Status, SkipKind: rec.SkipKind}
	was, seen := r.ended[k]
	if !seen {
		r.count++
		r.ended[k] = now
		return
	}
	latest, _ := record.Latest([]record.Record{was, now})
	r.ended[k] = latest[0]
}

// checkTokens warns when an ok row sampled other tokens than its cell did when
// it was first measured: greedy decoding of the same prompt by the same
// program gives the same tokens, so this row's work differed.
func (r *run) checkTokens(rec *record.Record) {
	if rec.Status != record.StatusOK || rec.TokenHash == "" {
		return
	}
	first, seen := r.tokens[rec.CellID]
	switch {
	case !seen:
		what := "repetition"
		if rec.Warmup {
			what = "warm-up"
		}
		r.tokens[rec.CellID] = tokens{rec.TokenHash, fmt.Sprintf("%s %d of launch %d", what, rec.Rep, rec.Launch)}
	case first.hash != rec.TokenHash:
		rec.Warnings = append(rec.Warnings, "different tokens than "+first.where+": the work was not the same")
	}
}

// silent is the Progress of nobody.
type silent struct{}

func (silent) Start(int, int)                              {}
func (silent) Row(*record.Record, int, int, time.Duration) {}
func (silent) Window(*record.WindowRecord, time.Duration)  {}
func (silent) Note(string)                                 {}
