package power

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// The time between two samples follows the sensor: samplesPerPeriod of them
// show each of its values and tell when it came to within a fifth of its
// period. unknownInterval is for a sensor whose period was not learned yet.
const (
	samplesPerPeriod = 5
	unknownInterval  = 20 * time.Millisecond
	longestInterval  = 50 * time.Millisecond
)

// slowEvery is how many samples share one look at what lasts, and rareEvery those
// that share one at the energy counter; while that is watched closely, it is
// looked at in every countEvery-th sample and at what lasts in every
// closeEvery-th. What lasts costs a hundred times what power costs, and on an
// H200 the counter takes milliseconds, which the worker can feel.
const (
	slowEvery  = 20
	rareEvery  = 5 * slowEvery
	closeEvery = 10
	countEvery = 2
)

// keep is how long samples stay in memory that were there when a report was asked
// for; later ones stay until the next, since a row may take hours.
const keep = 20 * time.Minute

// source is a device that can be sampled.
type source interface {
	// Read takes a sample of power and of what else is wanted. The error is
	// errLost when there will be no more.
	Read(want) (Sample, error)
}

// want is what a sample is to tell besides power.
type want struct {
	counter bool // energy
	lasting bool // temperature, clocks and the like
}

// sampler reads a source again and again and keeps the latest samples. Its
// methods may be called by any goroutine.
type sampler struct {
	src   source
	log   *sampleLog
	least time.Duration // between two samples

	mu            sync.Mutex // held while a sample is taken: who asks sees all that were begun before
	kept          []Sample   // oldest first
	reportedNs    int64      // time of the latest sample when a report was asked for
	turn          int        // of the sample to come; in turn 0 it tells all
	closely       bool       // the energy counter is read often
	counted       bool       // the latest sample tells it
	power, energy updates    // of the sensor and of the counter
	lost          bool
	paused        bool
	odd           bool     // a sample could not be taken
	doubts        []string // nobody asked for yet

	pause chan bool
	stop  chan struct{}
	done  chan struct{}
}

func newSampler(src source, log *sampleLog, least time.Duration) *sampler {
	return &sampler{
		src: src, log: log, least: least,
		pause: make(chan bool), stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// run takes samples until close or until there will be no more.
func (s *sampler) run() {
	defer close(s.done)
	every := unknownInterval
	tick := time.NewTicker(every)
	defer tick.Stop()
	for s.poll() {
		if now := s.interval(); now != every {
			every = now
			tick.Reset(every)
		}
		select {
		case <-tick.C:
		case <-s.pause:
			tick.Stop()
			if !s.wait() {
				return
			}
			tick.Reset(every)
		case <-s.stop:
			return
		}
	}
}

// wait returns true at the end of a pause and false at the end of all.
func (s *sampler) wait() bool {
	for {
		select {
		case pause := <-s.pause:
			if !pause {
				return true
			}
		case <-s.stop:
			return false
		}
	}
}

// setPaused ends the sampling for a while, or the pause. When it returns, no
// sample is being taken.
func (s *sampler) setPaused(pause bool) {
	s.mu.Lock()
	changed := s.paused != pause
	s.paused = pause
	s.mu.Unlock()
	if !changed {
		return
	}
	select {
	case s.pause <- pause:
	case <-s.done:
	}
}

// watch sets whether the energy counter is read often.
func (s *sampler) watch(closely bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closely = closely
}

// close ends run.
func (s *sampler) close() {
	close(s.stop)
	<-s.done
}

// poll takes the next sample. It returns false when there will be no more.
func (s *sampler) poll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take() || !s.lost
}

// look takes a sample now, with what lasts. ok is false if it could not.
func (s *sampler) look() (now Sample, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn = 0
	if !s.take() {
		return Sample{}, false
	}
	return s.kept[len(s.kept)-1], true
}

// take keeps one more sample. It returns false if there was none.
func (s *sampler) take() bool {
	if s.lost {
		return false
	}
	now, err := s.src.Read(s.due())
	if errors.Is(err, errLost) {
		s.lost = true
		s.doubt("%v: power, clocks, temperature and memory are not recorded from here on (dmesg says more)", err)
		return false
	}
	if err != nil {
		if !s.odd {
			s.odd = true
			s.doubt("a sample could not be taken: %v", err)
		}
		return false
	}
	s.turn = (s.turn + 1) % rareEvery
	s.remember(now)
	if w := now.powerW(powerSource(now)); w != nil {
		s.power.see(now.TimeNs, *w)
	}
	often := s.closely || s.counted // else it is read too seldom to learn when it moves
	if s.counted = now.EnergyJ != nil; s.counted && often {
		s.energy.see(now.TimeNs, *now.EnergyJ)
	}
	if err := s.log.add(now); err != nil {
		s.doubt("%v", err)
	}
	return true
}

// due returns what the sample to come is to tell.
func (s *sampler) due() want {
	if s.closely {
		return want{lasting: s.turn%closeEvery == 0, counter: s.turn%countEvery == 0}
	}
	return want{lasting: s.turn%slowEvery == 0, counter: s.turn == 0}
}

// remember adds a sample and forgets the first quarter when that is too old.
func (s *sampler) remember(now Sample) {
	if n := len(s.kept) / 4; n > 0 && s.kept[n].TimeNs < min(s.reportedNs, now.TimeNs-int64(keep)) {
		s.kept = slices.Delete(s.kept, 0, n)
	}
	s.kept = append(s.kept, now)
}

func (s *sampler) doubt(format string, args ...any) {
	s.doubts = append(s.doubts, fmt.Sprintf(format, args...))
}

// takeDoubts returns what came up since it was called last.
func (s *sampler) takeDoubts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	doubts := s.doubts
	s.doubts = nil
	return doubts
}

// interval returns the time between two samples, by what was learned so far.
func (s *sampler) interval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intervalNow()
}

func (s *sampler) intervalNow() time.Duration {
	power, energy := s.power.period(), s.energy.period()
	period := min(power, energy)
	if period == 0 {
		period = max(power, energy)
	}
	if period == 0 {
		return max(unknownInterval, s.least)
	}
	return min(max(period/samplesPerPeriod, s.least), longestInterval)
}

// report is what a sampler knows about a span of time.
type report struct {
	samples  []Sample // that are still kept, oldest first
	lost     bool     // the GPU was lost, then or earlier
	interval time.Duration
	// Between two values of the power sensor and of the energy counter; 0 while
	// that was not learned.
	powerPeriod, energyPeriod time.Duration
}

// period returns the time between two values of whichever is slower; 0 while
// nothing was learned.
func (r *report) period() time.Duration { return max(r.powerPeriod, r.energyPeriod) }

// report returns the samples with startNs <= time < endNs and what else there
// is to say, and writes out the log.
func (s *sampler) report(startNs, endNs int64) report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.flush(); err != nil {
		s.doubt("%v", err)
	}
	if n := len(s.kept); n > 0 {
		s.reportedNs = s.kept[n-1].TimeNs
	}
	return report{
		samples: slices.Clone(within(s.kept, startNs, endNs)), lost: s.lost, interval: s.intervalNow(),
		powerPeriod: s.power.period(), energyPeriod: s.energy.period(),
	}
}

// await waits until a sample at or after a time was taken, or none will be, or
// it has waited for the limit.
func (s *sampler) await(ns int64, limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(s.interval() / 2) {
		s.mu.Lock()
		over := s.lost || s.paused || len(s.kept) > 0 && s.kept[len(s.kept)-1].TimeNs >= ns
		s.mu.Unlock()
		if over {
			return
		}
	}
}

// milliseconds returns a period in milliseconds; nil if it is not known.
func milliseconds(period time.Duration) *float64 {
	if period == 0 {
		return nil
	}
	ms := float64(period) / float64(time.Millisecond)
	return &ms
}
