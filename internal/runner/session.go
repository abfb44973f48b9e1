package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// openLimit is how long a model may take to load.
const openLimit = 15 * time.Minute

// session is one group in one launch: a worker at a time.
type session struct {
	*run
	group  *GroupCheck
	launch int
	limit  *rowLimit
	beside []string          // processes that compute on the GPU too
	deaths map[string]deaths // by cell; under "" those while the model was opened
	failed *record.Error     // why no worker can be had

	worker Worker // nil before the first row and after a death
	opened *wire.Opened
	fresh  bool            // the worker has not measured yet
	warm   map[string]bool // cells the worker was warmed up for
}

// deaths is how many workers something cost, and how the last one went.
type deaths struct {
	n    int
	last *record.Error
}

// cell measures one repetition of a cell. It returns an error only to end the
// run.
func (s *session) cell(ctx context.Context, c *CellCheck, rep int) error {
	for {
		if err := s.start(ctx); err != nil {
			return err
		}
		rec := s.newRow(c, s.launch, rep, false)
		if why := s.givenUp(c); why != nil {
			return s.fail(rec, why)
		}
		if err := s.warmUp(ctx, c); err != nil {
			return err
		}
		if s.worker == nil {
			continue
		}
		if err := s.measure(ctx, c, rec); err != nil || s.worker != nil || s.deaths[c.ID].n >= s.MaxDeaths {
			return err
		}
	}
}

// givenUp says why no worker is asked for anything of a cell any more; nil if
// one is.
func (s *session) givenUp(c *CellCheck) *record.Error {
	if s.failed != nil {
		return s.failed
	}
	d := s.deaths[c.ID]
	if d.n < s.MaxDeaths {
		return nil
	}
	why := *d.last
	why.Message = fmt.Sprintf("not attempted after %d worker deaths in this cell; the last: %s", d.n, why.Message)
	return &why
}

func (s *session) fail(rec *record.Record, why *record.Error) error {
	rec.Status, rec.Error = record.StatusError, why
	s.eta.drop(rec.CellID)
	return s.write(rec)
}

// start sees to it that there is a worker with the model open, or that failed
// says why there is none.
func (s *session) start(ctx context.Context) error {
	for s.worker == nil && s.failed == nil {
		doing := "opening " + s.group.Model.Path + " for " + s.group.Backend.Name
		w, err := s.Launcher.Launch(LaunchSpec{
			Label: fmt.Sprintf("%s, launch %d", s.group.Name(), s.launch),
			Env:   s.group.Backend.EngineEnv(),
		})
		if err != nil {
			s.failed = failure(err, doing)
			break
		}
		s.worker = w
		reply, err := call(ctx, w, wire.Request{Open: &wire.Open{ModelPath: s.group.Model.Path, Engine: engine(s.group.Backend)}}, openLimit)
		switch {
		case err == nil:
			s.opened, s.fresh, s.warm = reply.Opened, true, map[string]bool{}
			s.sum.BusyMs += reply.Opened.LoadMs
		case ctx.Err() != nil:
			return s.abandon()
		default:
			why := failure(err, doing)
			if s.bury(err, "", why); s.worker != nil || s.deaths[""].n >= s.MaxDeaths {
				s.failed = why
			}
		}
	}
	return nil
}

// warmUp measures the backend's warm-up rows of a cell if this worker has not
// yet. It returns early when the worker dies.
func (s *session) warmUp(ctx context.Context, c *CellCheck) error {
	if s.warm[c.ID] {
		return nil
	}
	s.warm[c.ID] = true
	for rep := range s.group.Backend.Warmup {
		if err := s.measure(ctx, c, s.newRow(c, s.launch, rep, true)); err != nil || s.worker == nil {
			return err
		}
		if s.stopped(ctx) {
			return errStopped
		}
	}
	return nil
}

// measure asks the worker for one row and writes what became of it. The worker
// is nil afterwards if it died.
func (s *session) measure(ctx context.Context, c *CellCheck, rec *record.Record) error {
	s.describe(rec)
	start := time.Now()
	row := c.row()
	row.StepTimes = rec.Warmup
	reply, err := call(ctx, s.worker, wire.Request{Row: &row}, s.rowTimeout(c))
	took := time.Since(start)
	if err != nil && ctx.Err() != nil {
		return s.abandon()
	}
	if err == nil {
		err = fill(rec, c, reply.Row)
	}
	if err != nil {
		rec.Status = record.StatusError
		rec.Error = failure(err, "measuring "+c.ID)
		s.bury(err, c.ID, rec.Error)
	} else {
		s.limit.saw(work(c), took)
		s.checkTokens(rec)
		if s.Telemetry != nil {
			s.Telemetry.Annotate(rec, span(s.worker.PID(), reply.Row))
			degrade(rec, s.plan.Spec.Energy.MaxTempC)
		}
		s.sum.BusyMs += *rec.TotalMs + valueOr0(rec.ContextMs)
	}
	s.eta.took(&c.Cell, took)
	return s.write(rec)
}

// bury takes leave of the worker if err says that it died.
func (s *session) bury(err error, cell string, why *record.Error) {
	if !died(err) {
		return
	}
	s.worker.Close()
	s.worker = nil
	s.deaths[cell] = deaths{s.deaths[cell].n + 1, why}
	s.sum.Deaths++
	s.Progress.Note(fmt.Sprintf("%s: the worker died (%v)", s.group.Name(), err))
}

// abandon ends the run after ctx has ended the worker. What it was at leaves no
// row and is done again when the run is resumed.
func (s *session) abandon() error {
	s.worker.Close()
	s.worker = nil
	return errStopped
}

func (s *session) close() {
	if s.worker == nil {
		return
	}
	if err := s.worker.Close(); err != nil {
		s.Progress.Note(fmt.Sprintf("%s: after its last row the worker %v", s.group.Name(), err))
	}
}

// rowTimeout is how long a row of c may take before its worker counts as hung.
func (s *session) rowTimeout(c *CellCheck) time.Duration {
	if s.RowTimeout > 0 {
		return s.RowTimeout
	}
	return s.limit.of(work(c))
}

// rowLimit predicts how long rows of a group can take.
type rowLimit struct{ slowest time.Duration } // per unit of work, of the rows seen

func (l *rowLimit) saw(work int, took time.Duration) {
	l.slowest = max(l.slowest, took/time.Duration(work))
}

func (l *rowLimit) of(work int) time.Duration {
	if l.slowest == 0 {
		return 15 * time.Minute
	}
	return max(time.Minute, 20*l.slowest*time.Duration(work))
}

// work returns the number of token evaluations in a row, where a decode step of
// several sequences counts as one: it takes hardly longer than that of one where
// there is memory to be waited for.
func work(c *CellCheck) int {
	prompt, gen := max(1, c.Batch)*c.PromptTokens, c.Scenario.GenTokens
	if c.Scenario.Decode == "uncached" {
		return prompt + gen*(prompt+(gen+1)/2)
	}
	return prompt + gen
}

func valueOr0(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}
