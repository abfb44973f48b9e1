package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// meter is a Telemetry whose sensors have the given periods by kind of device.
// It finds nothing against a window but what spoilt says.
type meter struct {
	unpowered
	period map[string]time.Duration
	pids   []int // of the workers that windows were judged with
	close  bool
	far    int   // windows that were judged while it was not watched closely
	spoilt []int // of the windows judged, counted from 1, those that lack samples
}

func (m *meter) Closely(on bool) { m.close = on }

func (m *meter) SensorPeriod(kind string) (time.Duration, bool) {
	p, ok := m.period[kind]
	return p, ok
}

func (m *meter) Judge(w *record.WindowRecord, pid int) {
	m.pids = append(m.pids, pid)
	if !m.close {
		m.far++
	}
	if slices.Contains(m.spoilt, len(m.pids)) {
		w.Reasons = append(w.Reasons, record.Gap)
	}
	w.Valid = len(w.Reasons) == 0
}

// windowed is spec with two windows of each phase in its scenario and, after
// it, a scenario b without any.
func windowed() *matrix.Spec {
	s := spec()
	s.Repetitions = 2
	s.Backends[0].Warmup = 1
	s.Scenarios = append(s.Scenarios, matrix.Scenario{Name: "b", PromptTokens: 16, GenTokens: 2, Decode: "cached"})
	s.Energy = matrix.Energy{Windows: 2, WindowS: 1, Scenarios: []string{"a"}, MaxTempC: 80, Foreign: matrix.ForeignWarn}
	return s
}

// measured plays a matrix with a CPU sensor of 60 ms.
func measured(t *testing.T, s *matrix.Spec, e *fakeEngine, set func(*Options)) (*rowsOf, Summary) {
	t.Helper()
	sink := &rowsOf{}
	_, sum := play(t, s, e, func(o *Options) {
		o.Sink, o.Telemetry = sink, &meter{period: map[string]time.Duration{"cpu": 60 * tick}}
		if set != nil {
			set(o)
		}
	})
	return sink, sum
}

// windowLines says in short how windows ended.
func windowLines(windows []record.WindowRecord) string {
	var b strings.Builder
	for _, w := range windows {
		fmt.Fprintf(&b, "%s %s %s %s %d:", w.Model, w.Backend, w.Scenario, w.Phase, w.Window)
		switch {
		case w.Error != nil:
			fmt.Fprintf(&b, " error %s", w.Error.Kind)
		case w.Valid:
			b.WriteString(" ok")
		}
		for _, r := range w.Reasons {
			fmt.Fprintf(&b, " %s", r)
		}
		b.WriteString("\n")
	}
	return b.String()
}

const allWindows = `
m cpu a prefill 0: ok
m cpu a decode 0: ok
m cpu a prefill 1: ok
m cpu a decode 1: ok`

// Windows come after all rows of the group, in the first launch, in the same
// worker, alternating between the phases.
func TestWindows(t *testing.T) {
	s := windowed()
	s.Launches = 2
	e := newFake()
	var tel *meter
	sink, sum := measured(t, s, e, func(o *Options) { tel = o.Telemetry.(*meter) })
	rows := []string{"f16 8+4", "f16 8+4", "f16 16+2", "f16 16+2", "f16 8+4", "f16 16+2"} // the first of each cell is a warm-up
	// 20 periods of 60 ms are more than the second that was asked for.
	windows := []string{"prefill of 8+4 for 1200 after 500 ms", "decode of 8+4 for 1200 after 500 ms"}
	wantLines(t, strings.Join(e.log, "\n"), strings.Join(slices.Concat(
		[]string{"open m.gguf cpu"}, rows, windows, windows,
		[]string{"open m.gguf cpu"}, rows), "\n"))
	wantLines(t, windowLines(sink.windows), allWindows)
	if !slices.Equal(tel.pids, []int{1002, 1002, 1002, 1002}) { // the first worker inspected
		t.Errorf("judged with workers %v", tel.pids)
	}
	if sum.Windows != 4 || sum.WindowErrors != 0 || sum.WindowsMissing != 0 || sum.OK != 8 {
		t.Errorf("summary %+v", sum)
	}
	// Two loads, 6 rows of each cell, and 2 windows of each phase: the ramp-in
	// of 500 ms and 1200 ms are whole repetitions of 2 and of 4 ms, and rows
	// around it take 3 ms.
	if want := 2*10 + 6*(2.0+4) + 6*(2.0+2) + 4*(1700+3); sum.BusyMs != want {
		t.Errorf("busy %v ms, want %v", sum.BusyMs, want)
	}

	p := func(v float64) *float64 { return &v }
	got := sink.windows[2]
	want := record.WindowRecord{
		Timestamp: got.Timestamp, RunID: "r", CellID: planOf(t, s).Cells[0].ID,
		Model: "m", Backend: "cpu", Scenario: "a", Phase: "prefill", Window: 1, Batch: 1,
		KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", Synthetic: true, Device: "Fake", DeviceKind: "cpu",
		StartNs: got.StartNs, OpenNs: got.StartNs + 500e6, EndNs: got.StartNs + 1700e6,
		Reps: 600, Tokens: 300*8 + 300*7, TokPerS: 3750,
		TokPerSLike: p(4000), TokPerSRows: p(4000), // 8 tokens in 2 ms
		TokPerSRefs: []float64{3900, 4000, 4100}, RefsBefore: 2,
		MidNs: got.StartNs + 1100e6, TokPerSHalves: [2]float64{3750, 3750},
		Valid: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if d := sink.windows[3]; *d.TokPerSRows != 1000 || *d.TokPerSLike != 1000 || d.TokPerS != 1000 || d.Reps != 300 || d.Tokens != 1200 {
		t.Errorf("decode %+v", d)
	}
}

func TestWindowLengths(t *testing.T) {
	for _, tc := range []struct {
		windowS              float64
		period, ramp, window time.Duration
	}{
		{3, 100 * tick, 500 * tick, 3000 * tick},
		{3, 200 * tick, 600 * tick, 4000 * tick},
		{0.25, tick, 500 * tick, 250 * tick},
	} {
		ramp, window := lengths(matrix.Energy{WindowS: tc.windowS}, tc.period)
		if ramp != tc.ramp || window != tc.window {
			t.Errorf("%+v: got %v, %v", tc, ramp, window)
		}
	}
}

func TestNoWindows(t *testing.T) {
	unwanted := "no energy windows on the CPU: nothing here tells its energy"
	for _, tc := range []struct {
		name string
		set  func(*matrix.Spec, *Options)
		note string
	}{
		{"no telemetry", func(_ *matrix.Spec, o *Options) { o.Telemetry = nil }, unwanted},
		{"somebody knows why", func(_ *matrix.Spec, o *Options) {
			o.Telemetry, o.Unpowered = nil, func(kind string) string { return "the " + kind + " is shy" }
		}, "no energy windows on the CPU: the cpu is shy"},
		{"no source", func(_ *matrix.Spec, o *Options) { o.Telemetry = unpowered{} }, unwanted},
		{"only the GPU's", func(_ *matrix.Spec, o *Options) {
			o.Telemetry = &meter{period: map[string]time.Duration{"gpu": tick}}
		}, unwanted},
		{"not asked for", func(s *matrix.Spec, _ *Options) { s.Energy.Windows = 0 }, ""},
		{"another scenario", func(s *matrix.Spec, _ *Options) { s.Energy.Scenarios = []string{"c"} }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := windowed()
			s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"}) // two groups, one note
			var told notes
			sink, sum := measured(t, s, newFake(), func(o *Options) {
				o.Progress = &told
				tc.set(s, o)
			})
			if len(sink.windows) > 0 || sum.WindowsMissing > 0 || strings.Join(told.text, "\n") != tc.note || sum.OK != 8 {
				t.Errorf("%d windows, %+v, notes %q", len(sink.windows), sum, told.text)
			}
		})
	}
}

// A cell without an ok row in the first launch has no windows.
func TestNoWindowsWithoutRows(t *testing.T) {
	s := windowed()
	s.Energy.Scenarios = nil
	e := newFake()
	e.row = func(_ int, q wire.Row) (wire.Reply, error, bool) {
		return wire.Reply{Error: &wire.Error{Kind: "engine", Message: "no"}}, nil, q.PromptTokens == 8
	}
	sink, sum := measured(t, s, e, nil)
	wantLines(t, windowLines(sink.windows), strings.ReplaceAll(allWindows, " a ", " b "))
	if sum.Errors != 2 || sum.WindowsMissing != 0 {
		t.Errorf("summary %+v", sum)
	}
}

func TestDifferentWorkInAWindow(t *testing.T) {
	e := newFake()
	e.window = func(n int, q wire.Window, a *wire.WindowReply) error {
		a.TokenHash = map[int]string{1: "", 2: "other", 3: "of no meaning", 4: "t"}[n]
		return nil
	}
	sink, _ := measured(t, windowed(), e, nil)
	wantLines(t, windowLines(sink.windows), strings.Replace(allWindows, "decode 0: ok", "decode 0: other_tokens", 1))
}

// A window that something spoilt is measured again, no more often than windows
// were asked for; also when the run goes on later.
func TestSpoiltWindows(t *testing.T) {
	spoil := func(at ...int) func(*Options) {
		return func(o *Options) { o.Telemetry.(*meter).spoilt = at }
	}
	s := windowed()
	once, sum := measured(t, s, newFake(), spoil(1))
	wantLines(t, windowLines(once.windows), strings.Replace(allWindows, "prefill 0: ok", "prefill 0: gap", 1)+"\nm cpu a prefill 2: ok")
	if sum.Windows != 5 || sum.WindowsMissing != 0 {
		t.Errorf("summary %+v", sum)
	}

	always, sum := measured(t, s, newFake(), spoil(1, 3, 5, 6))
	want := strings.ReplaceAll(allWindows, "prefill 0: ok", "prefill 0: gap")
	want = strings.ReplaceAll(want, "prefill 1: ok", "prefill 1: gap")
	wantLines(t, windowLines(always.windows), want+"\nm cpu a prefill 2: gap\nm cpu a prefill 3: gap")
	if sum.Windows != 6 || sum.WindowsMissing != 0 {
		t.Errorf("summary %+v", sum)
	}

	e := newFake()
	rest, sum := measured(t, s, e, func(o *Options) { o.Rows, o.Windows = always.rows, always.windows[:4] })
	wantLines(t, windowLines(rest.windows), "m cpu a prefill 2: ok\nm cpu a prefill 3: ok")
	if sum.Windows != 2 || sum.WindowsMissing != 0 {
		t.Errorf("summary %+v", sum)
	}
}

// With rows that evaluated fewer tokens than they were asked to, only
// repetitions that did the same are like them.
func TestRatesOfWindows(t *testing.T) {
	e := newFake()
	e.row = func(_ int, q wire.Row) (wire.Reply, error, bool) {
		a := e.answer(q)
		a.PromptTokens--
		return wire.Reply{Row: a}, nil, true
	}
	sink, _ := measured(t, windowed(), e, nil)
	if w := sink.windows[0]; *w.TokPerSRows != 3500 || *w.TokPerSLike != 3500 || w.TokPerS != 3750 {
		t.Errorf("%v, %v, %v", *w.TokPerSRows, *w.TokPerSLike, w.TokPerS)
	}
	e.window = func(_ int, q wire.Window, a *wire.WindowReply) error {
		for i := range a.Tokens {
			a.Tokens[i] = 5
		}
		return nil
	}
	sink, _ = measured(t, windowed(), e, nil)
	if w := sink.windows[0]; w.TokPerSLike != nil || w.TokPerS != 2500 {
		t.Errorf("none is like the rows: %+v", w)
	}
}

func TestBadWindowReplies(t *testing.T) {
	for name, spoil := range map[string]func(*wire.WindowReply){
		"no repetition":     func(a *wire.WindowReply) { a.EndNs, a.Tokens = nil, nil },
		"tokens missing":    func(a *wire.WindowReply) { a.Tokens = a.Tokens[1:] },
		"no tokens":         func(a *wire.WindowReply) { a.Tokens[1] = 0 },
		"clock went back":   func(a *wire.WindowReply) { a.EndNs[1] = a.EndNs[0] },
		"open before start": func(a *wire.WindowReply) { a.OpenNs = a.StartNs - 1 },
		"references":        func(a *wire.WindowReply) { a.Before = 4 },
		"a rate of none":    func(a *wire.WindowReply) { a.References[1] = 0 },
		"a rate of any":     func(a *wire.WindowReply) { a.References[1] = math.Inf(1) },
	} {
		t.Run(name, func(t *testing.T) {
			e := newFake()
			e.window = func(n int, _ wire.Window, a *wire.WindowReply) error {
				if n == 2 {
					spoil(a)
				}
				return nil
			}
			sink, sum := measured(t, windowed(), e, nil)
			wantLines(t, windowLines(sink.windows), strings.Replace(allWindows, "decode 0: ok", "decode 0: error engine", 1))
			if sum.WindowErrors != 1 || sum.Windows != 3 || sum.Deaths != 0 || e.opens != 1 {
				t.Errorf("summary %+v, %d opens", sum, e.opens)
			}
			if w := sink.windows[1]; w.Valid || w.TokPerSLike != nil && name == "no repetition" {
				t.Errorf("%+v", w)
			}
		})
	}
}

func TestHalves(t *testing.T) {
	for _, tc := range []struct {
		ends   []int64
		tokens []int
		mid    int64
		rates  [2]float64
	}{
		{[]int64{2e9, 3e9, 5e9, 7e9}, []int{10, 10, 10, 20}, 3e9, [2]float64{10, 7.5}}, // the middle is at 4
		{[]int64{2e9, 3e9, 5e9 - 1, 7e9}, []int{10, 10, 10, 20}, 5e9 - 1, [2]float64{7.5, 10}},
		{[]int64{2e9, 7e9}, []int{8, 7}, 2e9, [2]float64{8, 1.4}},
		{[]int64{7e9}, []int{8}, 0, [2]float64{}},
	} {
		mid, rates := halves(&wire.WindowReply{OpenNs: 1e9, EndNs: tc.ends, Tokens: tc.tokens})
		if mid != tc.mid || math.Abs(rates[0]-tc.rates[0])+math.Abs(rates[1]-tc.rates[1]) > 1e-6 {
			t.Errorf("%v: %d and %v, want %d and %v", tc.ends, mid, rates, tc.mid, tc.rates)
		}
	}
}

func TestDeathInAWindow(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   []int // of the windows asked for, those that kill the worker
		want string
		sum  Summary
	}{
		{"once", []int{2}, `
m cpu a prefill 0: ok
m cpu a decode 0: error signal
m cpu a decode 0: ok
m cpu a prefill 1: ok
m cpu a decode 1: ok`, Summary{Windows: 4, Deaths: 1}},
		{"twice", []int{2, 3}, `
m cpu a prefill 0: ok
m cpu a decode 0: error signal
m cpu a decode 0: error signal
m cpu a prefill 1: error signal
m cpu a decode 1: error signal`, Summary{Windows: 1, WindowErrors: 3, Deaths: 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFake()
			e.window = func(n int, _ wire.Window, _ *wire.WindowReply) error {
				if slices.Contains(tc.at, n) {
					return &Death{Signal: "SIGKILL"}
				}
				return nil
			}
			s := windowed()
			s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"})
			sink, sum := measured(t, s, e, nil)
			wantLines(t, windowLines(sink.windows), tc.want+strings.ReplaceAll(allWindows, "m cpu", "n cpu"))
			if sum.Windows != tc.sum.Windows+4 || sum.WindowErrors != tc.sum.WindowErrors || sum.Deaths != tc.sum.Deaths || sum.OK != 8 {
				t.Errorf("summary %+v", sum)
			}
			// The fresh worker is warmed up before it measures energy.
			if at := slices.Index(e.log, "decode of 8+4 for 1200 after 500 ms"); !slices.Equal(e.log[at+1:at+3], []string{"open m.gguf cpu", "f16 8+4"}) {
				t.Errorf("log %q", e.log)
			}

			// Resuming measures what failed, and no row but warm-ups.
			again, sum := measured(t, s, newFake(), func(o *Options) { o.Rows, o.Windows = sink.rows, sink.windows })
			if n := tc.sum.WindowErrors; sum.Windows != n || sum.WindowErrors != 0 || sum.OK != 8 || len(again.rows) > 1 {
				t.Errorf("resumed: %+v\n%s%s", sum, windowLines(again.windows), lines(again.rows))
			}
		})
	}
}

// The model that cannot be opened again leaves errors, not an endless loop.
func TestWindowsOfAModelThatIsGone(t *testing.T) {
	s := windowed()
	sink, _ := measured(t, s, newFake(), nil)
	e := newFake()
	e.open = func(int) error { return errors.New("no such file") }
	again, sum := measured(t, s, e, func(o *Options) { o.Rows = sink.rows })
	wantLines(t, windowLines(again.windows), strings.ReplaceAll(allWindows, "ok", "error memory"))
	if sum.WindowErrors != 4 || sum.OK != 4 {
		t.Errorf("summary %+v", sum)
	}
}

// A run that is stopped after any row or window and resumed ends with the rows
// and windows of one that was not.
func TestStopAndResumeAnywhereWithWindows(t *testing.T) {
	s := windowed()
	s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"})
	outcome := func(runs ...*rowsOf) map[string]bool {
		out := map[string]bool{}
		for _, run := range runs {
			for _, r := range run.rows {
				out[line(r)] = true
			}
			for _, w := range strings.Split(windowLines(run.windows), "\n") {
				out[w] = true
			}
		}
		return out
	}
	whole, _ := measured(t, s, newFake(), nil)
	want := outcome(whole)
	events := len(whole.rows) + len(whole.windows)
	for at := 1; at < events; at++ {
		stop := make(chan struct{})
		part := &rowsOf{after: func(n int) {
			if n == at {
				close(stop)
			}
		}}
		_, sum := measured(t, s, newFake(), func(o *Options) { o.Stop, o.Sink = stop, part })
		if n := len(part.rows) + len(part.windows); n != at || !sum.Interrupted || sum.Missing()+sum.WindowsMissing == 0 {
			t.Errorf("stopped after %d: %d, %+v", at, n, sum)
		}
		e := newFake()
		rest, sum := measured(t, s, e, func(o *Options) { o.Rows, o.Windows = part.rows, part.windows })
		if got := outcome(part, rest); !maps.Equal(got, want) || sum.Interrupted || sum.Missing()+sum.WindowsMissing != 0 {
			t.Errorf("stopped after %d and resumed: %v\nwant %v\n%+v", at, got, want, sum)
		}
		if n := len(part.windows) + len(rest.windows); n != len(whole.windows) {
			t.Errorf("stopped after %d and resumed: %d windows, want %d", at, n, len(whole.windows))
		}
		for _, w := range rest.windows {
			if *w.TokPerSRows != map[string]float64{"prefill": 4000, "decode": 1000}[w.Phase] {
				t.Errorf("rate of the rows %v", *w.TokPerSRows)
			}
		}
	}
	// With nothing missing no worker is started.
	e := newFake()
	if rest, sum := measured(t, s, e, func(o *Options) { o.Rows, o.Windows = whole.rows, whole.windows }); len(rest.rows)+len(rest.windows)+len(e.labels) > 0 || sum.WindowsMissing > 0 {
		t.Errorf("nothing was missing: %v, %+v", e.labels, sum)
	}
}

func TestCancelInAWindow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := newFake()
	e.window = func(n int, _ wire.Window, _ *wire.WindowReply) error {
		if n < 2 {
			return nil
		}
		cancel()
		return &Death{Signal: "SIGKILL", Cause: context.Canceled}
	}
	sink := &rowsOf{}
	sum, err := Run(ctx, planOf(t, windowed()), Options{
		Launcher: e, Sink: sink, Telemetry: &meter{period: map[string]time.Duration{"cpu": tick}},
	})
	wantLines(t, windowLines(sink.windows), "m cpu a prefill 0: ok")
	if err != nil || !sum.Interrupted || sum.Missing() != 0 || sum.WindowsMissing != 3 || sum.Deaths != 0 || e.live != 0 {
		t.Errorf("%v, %+v, %d workers left", err, sum, e.live)
	}
}

func TestWindowsAreGivenTheirLimit(t *testing.T) {
	e := newFake()
	measured(t, windowed(), e, func(o *Options) { o.RowTimeout = 7 * time.Second })
	if got, want := e.limits[len(e.limits)-1], 9*time.Second; got != want { // 500 + 1200 ms more, rounded
		t.Errorf("limit %v, want %v", got, want)
	}
}

// lefts is a Progress that keeps what it is told of the time that is left.
type lefts struct {
	silent
	rows, windows []time.Duration
}

func (l *lefts) Row(_ *record.Record, _, _ int, eta time.Duration) { l.rows = append(l.rows, eta) }
func (l *lefts) Window(_ *record.WindowRecord, eta time.Duration) {
	l.windows = append(l.windows, eta)
}

func TestTimeLeftWithWindows(t *testing.T) {
	var told lefts
	measured(t, windowed(), newFake(), func(o *Options) { o.Progress = &told })
	const each = 2200 * tick // with the rows on either side
	if last := told.rows[len(told.rows)-1]; last != 4*each {
		t.Errorf("after the rows %v left", last)
	}
	if !slices.Equal(told.windows, []time.Duration{3 * each, 2 * each, each, 0}) {
		t.Errorf("windows: %v", told.windows)
	}
}

func TestEstimateHasWindows(t *testing.T) {
	s := windowed()
	plan := planOf(t, s)
	groups, err := Check(t.Context(), plan, Host{}, newFake())
	if err != nil {
		t.Fatal(err)
	}
	if got := WindowTime(&groups[0], s.Energy); got != 4*2000*tick {
		t.Errorf("windows take %v", got)
	}
	with, err1 := Estimate(t.Context(), &groups[0], s, newFake())
	s.Energy.Windows = 0
	without, err2 := Estimate(t.Context(), &groups[0], s, newFake())
	// The fake's times are its own, but for loading.
	if got := with - without; err1 != nil || err2 != nil || got < 4*2000*tick || got > 4*2000*tick+100*tick {
		t.Errorf("windows add %v; %v, %v", got, err1, err2)
	}
}

// The steps right after a prefill are slower than those a window repeats.
func TestSettlingStepsAreLeftOut(t *testing.T) {
	row := func(mode string) *record.Record {
		prefill, decode := 10.0, 9.0
		return &record.Record{
			CellID: mode, Status: record.StatusOK, DecodeMode: mode, PromptTokens: 20, GenTokens: 5,
			PrefillMs: &prefill, DecodeMs: &decode, StepMs: []float64{4, 2, 1, 1, 1},
		}
	}
	r := &run{timed: map[string]*timed{}}
	for mode, want := range map[string]float64{"cached": 1000, "uncached": 5.0 / 9 * 1000} {
		r.takeRates(row(mode))
		if got := *median(r.timed[mode].tokPerS["decode"]); got != want {
			t.Errorf("%s decode at %v tok/s, want %v", mode, got, want)
		}
	}
}
