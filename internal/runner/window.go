package runner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/stats"
	"github.com/phasebench/phasebench/internal/wire"
)

// timed is what the ok rows of a cell in the first launch say, which windows
// are held against.
type timed struct {
	tokens  map[string]int       // evaluated in each phase of a row, of all sequences
	tokPerS map[string][]float64 // of each phase, by row
	hash    string               // of the tokens the first row sampled
}

// takeRates takes note of a row for the windows of its cell.
func (r *run) takeRates(rec *record.Record) {
	if rec.Status != record.StatusOK || rec.Warmup || rec.Launch != 0 || rec.PrefillMs == nil || rec.DecodeMs == nil {
		return
	}
	batch := max(1, rec.Batch)
	t := r.timed[rec.CellID]
	if t == nil {
		t = &timed{map[string]int{"prefill": batch * rec.PromptTokens, "decode": batch * rec.GenTokens}, map[string][]float64{}, rec.TokenHash}
		r.timed[rec.CellID] = t
	}
	rate := func(phase string, tokens int, ms float64) {
		if ms > 0 {
			t.tokPerS[phase] = append(t.tokPerS[phase], float64(batch*tokens)/ms*1e3)
		}
	}
	rate("prefill", rec.PromptTokens, *rec.PrefillMs)
	tokens, ms := rec.GenTokens, *rec.DecodeMs
	if n := len(rec.StepMs); rec.DecodeMode == "cached" && n == tokens && n > wire.SettlingSteps {
		tokens -= wire.SettlingSteps
		for _, first := range rec.StepMs[:wire.SettlingSteps] {
			ms -= first
		}
	}
	rate("decode", tokens, ms)
}

// measureWindows measures what is missing of the energy windows of the cells
// that were timed. A worker that was started for that, after a death or when a
// run is resumed, is warmed up by the warm-up rows of the backend first, which
// are recorded as such.
func (s *session) measureWindows(ctx context.Context) error {
	for _, c := range s.group.running() {
		if s.timed[c.ID] == nil {
			s.eta.fixed = max(s.eta.fixed-time.Duration(len(s.missingWindows(&c.Cell)))*s.windowTime(&c.Cell), 0)
			continue
		}
		// Which are missing changes with how they end; one that failed is
		// for another run.
		tried := map[record.WindowKey]bool{}
		for {
			missing := s.missingWindows(&c.Cell)
			next := slices.IndexFunc(missing, func(k record.WindowKey) bool { return !tried[k] })
			if next < 0 {
				break
			}
			if s.stopped(ctx) {
				return errStopped
			}
			k := missing[next]
			tried[k] = true
			if k.Window < s.plan.Spec.Energy.Windows { // others were not foreseen
				// The period of a sensor becomes known better with time.
				s.eta.fixed = max(s.eta.fixed-s.windowTime(&c.Cell), 0)
			}
			if err := s.window(ctx, c, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// window measures one window, once more with a fresh worker if the worker
// dies. It returns an error only to end the run.
func (s *session) window(ctx context.Context, c *CellCheck, k record.WindowKey) error {
	for {
		if err := s.start(ctx); err != nil {
			return err
		}
		if why := s.givenUp(c); why != nil {
			w := s.newWindow(c, k)
			w.Error = why
			return s.writeWindow(w)
		}
		if err := s.warmUp(ctx, c); err != nil {
			return err
		}
		if s.worker == nil {
			continue
		}
		if err := s.askWindow(ctx, c, k); err != nil || s.worker != nil || s.deaths[c.ID].n >= s.MaxDeaths {
			return err
		}
	}
}

// askWindow asks the worker for a window and writes what became of it. The
// worker is nil afterwards if it died.
func (s *session) askWindow(ctx context.Context, c *CellCheck, k record.WindowKey) error {
	w := s.newWindow(c, k)
	w.Device, w.Synthetic = s.opened.Device, s.opened.Info.Synthetic
	period, _ := s.sensor(&c.Cell)
	ramp, open := lengths(s.plan.Spec.Energy, period)
	s.Telemetry.Closely(true)
	defer s.Telemetry.Closely(false)
	reply, err := call(ctx, s.worker, wire.Request{Window: &wire.Window{
		Row: c.row(), Phase: k.Phase, RampMs: inMs(ramp), WindowMs: inMs(open),
	}}, ramp+open+s.rowTimeout(c))
	if err != nil && ctx.Err() != nil {
		return s.abandon()
	}
	if err == nil {
		err = fillWindow(w, reply.Window, s.timed[c.ID])
	}
	if err != nil {
		w.Error = failure(err, fmt.Sprintf("measuring the energy of %s of %s", k.Phase, c.ID))
		s.bury(err, c.ID, w.Error)
		return s.writeWindow(w)
	}
	if k.Phase == "decode" && reply.Window.TokenHash != s.timed[c.ID].hash {
		w.Reasons = append(w.Reasons, record.OtherTokens)
	}
	s.Telemetry.Judge(w, s.worker.PID())
	s.sum.Windows++
	s.sum.BusyMs += float64(reply.Window.BusyNs) / 1e6
	return s.writeWindow(w)
}

// newWindow returns a window that says what was asked.
func (r *run) newWindow(c *CellCheck, k record.WindowKey) *record.WindowRecord {
	return &record.WindowRecord{
		Timestamp:  time.Now().UTC(),
		RunID:      r.RunID,
		CellID:     c.ID,
		Place:      r.Place,
		Model:      c.Model.Name,
		Backend:    c.Backend.Name,
		Scenario:   c.Scenario.Name,
		Phase:      k.Phase,
		Window:     k.Window,
		Batch:      c.Batch,
		KVTypeK:    c.KV.K,
		KVTypeV:    c.KV.V,
		DecodeMode: c.Scenario.Decode,
		DeviceKind: deviceKind(c.Backend),
	}
}

// fillWindow puts times and rates of a reply into w, or says why the reply
// cannot be one.
func fillWindow(w *record.WindowRecord, a *wire.WindowReply, rows *timed) error {
	if a.Before < 0 || a.Before > len(a.References) {
		return nonsense("%d of %d references before the window", a.Before, len(a.References))
	}
	for _, r := range a.References {
		if !(r > 0) || math.IsInf(r, 0) {
			return nonsense("a reference of %g tok/s", r)
		}
	}
	if len(a.EndNs) == 0 || len(a.Tokens) != len(a.EndNs) || a.OpenNs < a.StartNs {
		return nonsense("%d repetitions, of %d the tokens, open at %d ns, started at %d ns", len(a.EndNs), len(a.Tokens), a.OpenNs, a.StartNs)
	}
	w.StartNs, w.OpenNs, w.EndNs = a.StartNs, a.OpenNs, a.EndNs[len(a.EndNs)-1]
	w.Reps = len(a.EndNs)
	var like []float64
	last := a.OpenNs
	for i, ns := range a.EndNs {
		if ns <= last || a.Tokens[i] < 1 {
			return nonsense("repetition %d of %d tokens ended at %d ns, the one before at %d ns", i, a.Tokens[i], ns, last)
		}
		if a.Tokens[i] == rows.tokens[w.Phase] {
			like = append(like, float64(a.Tokens[i])/float64(ns-last)*1e9)
		}
		w.Tokens += a.Tokens[i]
		last = ns
	}
	w.MidNs, w.TokPerSHalves = halves(a)
	w.TokPerS = float64(w.Tokens) / float64(w.EndNs-w.OpenNs) * 1e9
	w.TokPerSRefs, w.RefsBefore = a.References, a.Before
	w.TokPerSLike, w.TokPerSRows = median(like), median(rows.tokPerS[w.Phase])
	return nil
}

// halves returns when the repetition ended that ended nearest to the middle of a
// window, and the rates before and after: the power of a repetition is not the
// same from its start to its end, so none is cut. One alone has no halves.
func halves(a *wire.WindowReply) (midNs int64, tokPerS [2]float64) {
	n := len(a.EndNs)
	if n < 2 {
		return 0, tokPerS
	}
	end := a.EndNs[n-1]
	middle := a.OpenNs + (end-a.OpenNs)/2
	away := func(ns int64) int64 { return max(ns-middle, middle-ns) }
	midNs = slices.MinFunc(a.EndNs[:n-1], func(x, y int64) int { return cmp.Compare(away(x), away(y)) })
	first, second := 0, 0
	for i, tokens := range a.Tokens {
		if a.EndNs[i] <= midNs {
			first += tokens
		} else {
			second += tokens
		}
	}
	return midNs, [2]float64{float64(first) / float64(midNs-a.OpenNs) * 1e9, float64(second) / float64(end-midNs) * 1e9}
}

// median returns nil for no values.
func median(x []float64) *float64 {
	m, ok := stats.Percentile(x, 50)
	if !ok {
		return nil
	}
	return &m
}

// writeWindow keeps a window and tells about it.
func (r *run) writeWindow(w *record.WindowRecord) error {
	if err := r.Sink.AppendWindow(w); err != nil {
		return err
	}
	r.endWindow(w)
	r.Progress.Window(w, r.eta.left())
	return nil
}

func inMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
