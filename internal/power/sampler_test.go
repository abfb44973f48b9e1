package power

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script is a source that plays samples and errors, then only the last.
type script []any

func (s *script) Read(want) (Sample, error) {
	next := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	if err, failed := next.(error); failed {
		return Sample{}, err
	}
	return next.(Sample), nil
}

func testLog(t *testing.T, dir string, limit int64) *sampleLog {
	t.Helper()
	log, err := openLog(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.f.Close() })
	return log
}

// looks is a source that takes a sample every step of its own time and notes
// which were with what lasts.
type looks struct {
	nowNs, stepNs int64
	wants         []want
}

func (l *looks) Read(w want) (Sample, error) {
	l.nowNs += l.stepNs
	l.wants = append(l.wants, w)
	return Sample{TimeNs: l.nowNs, slow: w.lasting}, nil
}

func testSampler(t *testing.T, src source) *sampler {
	t.Helper()
	return newSampler(src, testLog(t, t.TempDir(), MaxFileBytes), time.Millisecond)
}

func TestSamplerForgetsTheOldest(t *testing.T) {
	const step = time.Second
	s := testSampler(t, &looks{stepNs: int64(step)})
	n := int64(4 * keep / step)
	for range n { // a long row: nobody asks
		s.poll()
	}
	if got := s.report(0, n*int64(step)).samples; int64(len(got)) != n-1 {
		t.Errorf("%d of %d samples of a row of %v are kept", len(got), n-1, 4*keep)
	}
	s.kept = nil
	for i := int64(1); i <= n; i++ {
		s.poll()
		s.report(0, 0)
		if got := time.Duration(len(s.kept)) * step; got < min(keep, time.Duration(i)*step) || got > keep*3/2 {
			t.Fatalf("%v are kept after %d samples", got, i)
		}
	}
	check := func(start, end, first int64, n int) {
		t.Helper()
		before := 4 * int64(keep) // the long row
		got := s.report(before+start*int64(step), before+end*int64(step)).samples
		if len(got) != n || n > 0 && (got[0].TimeNs-before != first*int64(step) || got[n-1].TimeNs-before != (first+int64(n)-1)*int64(step)) {
			t.Errorf("[%d,%d): %d samples, want %d from %d on", start, end, len(got), n, first)
		}
	}
	check(n-4, n, n-4, 4)
	check(n+1, n+5, 0, 0)
	check(n, n, 0, 0)
}

func TestSamplerLooksAtWhatLastsNowAndThen(t *testing.T) {
	src := &looks{stepNs: 1}
	s := testSampler(t, src)
	for range 12 {
		s.poll()
	}
	if now, ok := s.look(); !ok || !now.slow {
		t.Errorf("look: %+v, %v", now, ok)
	}
	for range rareEvery {
		s.poll()
	}
	for i, w := range src.wants {
		// The first, and after the one that was asked for those that are due.
		all := i == 0 || i == 12 || i == 12+rareEvery
		if lasting := all || i > 12 && (i-12)%slowEvery == 0; w.lasting != lasting || w.counter != all {
			t.Errorf("sample %d: %+v", i, w)
		}
	}
}

// The energy counter is expensive to read, so it is read often only for windows.
func TestSamplerWatchesTheCounterClosely(t *testing.T) {
	src := &looks{stepNs: 1}
	s := testSampler(t, src)
	for _, closely := range []bool{false, true, false} {
		s.watch(closely)
		src.wants = nil
		for range rareEvery {
			s.poll()
		}
		counted := 0
		for _, w := range src.wants {
			if w.counter {
				counted++
			}
		}
		if want := map[bool]int{false: 1, true: rareEvery / countEvery}[closely]; counted != want {
			t.Errorf("closely %v: the counter was read %d times in %d samples, want %d", closely, counted, rareEvery, want)
		}
	}
}

// sensor is a source whose power has a new value every period, seen at its own
// time; its counter moves every counterPeriod.
type sensor struct {
	nowNs                 int64
	period, counterPeriod int64
}

func (s *sensor) Read(want) (Sample, error) {
	out := Sample{TimeNs: s.nowNs}
	if s.period > 0 {
		out.PowerInstantW = ptr(float64(s.nowNs / s.period))
	}
	if s.counterPeriod > 0 {
		out.EnergyJ = ptr(float64(s.nowNs / s.counterPeriod))
	}
	return out, nil
}

func TestIntervalFollowsTheSensor(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name             string
		power, counter   time.Duration
		least            time.Duration
		interval, period time.Duration // between samples; of the slower sensor
	}{
		{"H200", 100 * ms, 100 * ms, 5 * ms, 20 * ms, 100 * ms},
		{"a faster counter", 100 * ms, 50 * ms, 5 * ms, 10 * ms, 100 * ms},
		{"first polled too slowly", 25 * ms, 0, 5 * ms, 5 * ms, 25 * ms},
		{"slow", time.Second, time.Second, 5 * ms, 50 * ms, time.Second},
		{"RAPL", 0, 1 * ms, 20 * ms, 20 * ms, 20 * ms},
		{"not known", 0, 0, 5 * ms, 20 * ms, 0},
	} {
		src := &sensor{period: int64(tc.power), counterPeriod: int64(tc.counter)}
		s := testSampler(t, src)
		s.least = tc.least
		for range 4000 {
			s.poll()
			src.nowNs += int64(s.interval())
		}
		r := s.report(0, 0)
		near := func(a, b time.Duration) bool { return (a - b).Abs() <= b/50 }
		if got := s.interval(); !near(got, tc.interval) || !near(r.period(), tc.period) {
			t.Errorf("%s: a sample every %v, want %v; period %v, want %v", tc.name, got, tc.interval, r.period(), tc.period)
		}
	}
}

func TestPause(t *testing.T) {
	s := testSampler(t, newCard().open(t))
	count := func() int { return len(s.report(0, 1<<62).samples) }
	more := func(than int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); count() <= than; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no more samples")
			}
		}
	}
	go s.run()
	more(0)
	s.setPaused(true)
	s.setPaused(true) // changes nothing
	n := count()
	s.await(1<<62, time.Minute) // does not wait for what will not come
	time.Sleep(3 * unknownInterval)
	if got := count(); got != n {
		t.Errorf("%d samples in a pause", got-n)
	}
	s.setPaused(false)
	more(n)
	s.setPaused(true)
	s.close() // in a pause
	s.setPaused(false)
}

func TestSamplerAndErrors(t *testing.T) {
	fail := errors.New("average power: ERROR_TIMEOUT")
	src := &script{Sample{TimeNs: 1}, fail, fail, Sample{TimeNs: 2}, errLost}
	s := testSampler(t, src)
	for range 4 {
		if !s.poll() {
			t.Fatal("gave up")
		}
	}
	r, doubts := s.report(0, 10), s.takeDoubts()
	if len(r.samples) != 2 || r.lost || len(doubts) != 1 || !strings.Contains(doubts[0], "ERROR_TIMEOUT") {
		t.Errorf("after errors: %+v, %q", r, doubts)
	}
	if s.poll() {
		t.Error("goes on after the GPU was lost")
	}
	if _, ok := s.look(); ok {
		t.Error("a look at a GPU that was lost")
	}
	for _, want := range []int{1, 0} { // told once
		if r, doubts := s.report(0, 10), s.takeDoubts(); !r.lost || len(doubts) != want {
			t.Errorf("lost: %+v, %q", r, doubts)
		}
	}
	// run ends by itself, and close does not wait for it forever.
	s.run()
	s.setPaused(true) // does not wait for it either
	s.close()
}

func TestSamplerRuns(t *testing.T) {
	dir := t.TempDir()
	s := newSampler(newCard().open(t), testLog(t, dir, MaxFileBytes), time.Millisecond)
	go s.run()
	for len(s.report(0, 1<<62).samples) < 3 {
		time.Sleep(time.Millisecond)
	}
	s.close()
	got := s.report(0, 1<<62).samples
	for i := 1; i < len(got); i++ {
		// A ticker may be late, and then early once, but two samples are never taken at once.
		if gap := time.Duration(got[i].TimeNs - got[i-1].TimeNs); gap <= 0 {
			t.Errorf("%v between samples", gap)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, File))
	if lines := strings.Count(string(data), "\n"); err != nil || lines != len(got) {
		t.Errorf("%d samples, %d lines in the file, %v", len(got), lines, err)
	}
}

func TestLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, File)
	if err := os.WriteFile(path, []byte(`{"t_ns":1}`+"\n"+`{"t_`), 0o644); err != nil {
		t.Fatal(err)
	}
	// There is room for the end of the line and for two of these lines, of 22 bytes each.
	log := testLog(t, dir, 15+1+2*22+21)
	var errs []error
	for i := range 5 {
		if err := log.add(Sample{TimeNs: int64(i + 2)}); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), path) {
		t.Errorf("reaching the limit: %v", errs)
	}
	if err := log.close(); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(path)
	if want := `{"t_ns":1}` + "\n" + `{"t_` + "\n" + `{"t_ns":2,"source":""}` + "\n" + `{"t_ns":3,"source":""}` + "\n"; err != nil || string(data) != want {
		t.Errorf("%v, got\n%swant\n%s", err, data, want)
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	s := testSampler(t, &script{Sample{TimeNs: 1}})
	s.log.f.Close()
	s.poll()
	if r, doubts := s.report(0, 10), s.takeDoubts(); len(r.samples) != 1 || len(doubts) != 1 {
		t.Errorf("%+v, %q", r, doubts)
	}
	s.poll()
	s.report(0, 10)
	if doubts := s.takeDoubts(); len(doubts) != 0 {
		t.Errorf("told twice: %q", doubts)
	}
}
