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

func (s *script) Read() (Sample, error) {
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

func TestSamplerForgetsTheOldest(t *testing.T) {
	kept := int(keep / interval)
	s := newSampler(nil, testLog(t, t.TempDir(), maxFileBytes))
	for i := range kept + 10 {
		s.src = &script{Sample{TimeNs: int64(i)}}
		s.poll()
	}
	check := func(start, end, first int64, n int) {
		t.Helper()
		got := s.report(start, end).samples
		if len(got) != n || n > 0 && (got[0].TimeNs != first || got[n-1].TimeNs != first+int64(n)-1) {
			t.Errorf("[%d,%d): %d samples, want %d from %d on", start, end, len(got), n, first)
		}
	}
	last := int64(kept + 9)
	check(0, last+1, 10, kept) // 0 to 9 are overwritten
	check(last-4, last, last-4, 4)
	check(last+1, last+5, 0, 0)
	check(12, 12, 0, 0)
}

func TestSamplerAndErrors(t *testing.T) {
	fail := errors.New("average power: ERROR_TIMEOUT")
	src := &script{Sample{TimeNs: 1}, fail, fail, Sample{TimeNs: 2}, errLost}
	s := newSampler(src, testLog(t, t.TempDir(), maxFileBytes))
	for range 4 {
		if !s.poll() {
			t.Fatal("gave up")
		}
	}
	r := s.report(0, 10)
	if len(r.samples) != 2 || r.lost || len(r.doubts) != 1 || !strings.Contains(r.doubts[0], "ERROR_TIMEOUT") {
		t.Errorf("after errors: %+v", r)
	}
	if s.poll() {
		t.Error("goes on after the GPU was lost")
	}
	if r := s.report(0, 10); !r.lost || len(r.doubts) != 1 {
		t.Errorf("lost: %+v", r)
	}
	if r := s.report(0, 10); !r.lost || len(r.doubts) != 0 {
		t.Errorf("doubts are told twice: %q", r.doubts)
	}
	// run ends by itself, and close does not wait for it forever.
	s.run()
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestSamplerRuns(t *testing.T) {
	g, _ := newCard().open(t)
	dir := t.TempDir()
	s := newSampler(g, testLog(t, dir, maxFileBytes))
	go s.run()
	for len(s.report(0, 1<<62).samples) < 3 {
		time.Sleep(time.Millisecond)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
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
	// There is room for the end of the line and for two of these lines, of 19 bytes each.
	log := testLog(t, dir, 15+1+2*19+18)
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
	if want := `{"t_ns":1}` + "\n" + `{"t_` + "\n" + `{"t_ns":2,"gpu":""}` + "\n" + `{"t_ns":3,"gpu":""}` + "\n"; err != nil || string(data) != want {
		t.Errorf("%v, got\n%swant\n%s", err, data, want)
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	s := newSampler(&script{Sample{TimeNs: 1}}, testLog(t, t.TempDir(), maxFileBytes))
	s.log.f.Close()
	s.poll()
	if r := s.report(0, 10); len(r.samples) != 1 || len(r.doubts) != 1 {
		t.Errorf("%+v", r)
	}
	s.poll()
	if r := s.report(0, 10); len(r.doubts) != 0 {
		t.Errorf("told twice: %q", r.doubts)
	}
}
