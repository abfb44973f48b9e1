package power

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// interval is the time between two samples. The power sensors of data centre
// GPUs get a new value every 25 to 100 ms, so that none of them is missed.
const interval = 20 * time.Millisecond

// keep is how long samples stay in memory: longer than a row may take.
const keep = 20 * time.Minute

// source is a device that can be sampled.
type source interface {
	// Read takes a sample. The error is errLost when there will be no more.
	Read() (Sample, error)
}

// sampler reads a source again and again and keeps the latest samples. Its
// methods may be called by any goroutine.
type sampler struct {
	src source
	log *sampleLog

	mu     sync.Mutex // held while a sample is taken: who asks sees all that were begun before
	ring   []Sample
	oldest int     // index in ring, 0 until that is full
	power  updates // of the sensor
	lost   bool
	odd    bool     // a sample could not be taken
	doubts []string // nobody asked for yet

	stop chan struct{}
	done chan struct{}
}

func newSampler(src source, log *sampleLog) *sampler {
	return &sampler{src: src, log: log, stop: make(chan struct{}), done: make(chan struct{})}
}

// run takes samples until close or until there will be no more.
func (s *sampler) run() {
	defer close(s.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for s.poll() {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
	}
}

// close ends run and closes the log.
func (s *sampler) close() error {
	close(s.stop)
	<-s.done
	return s.log.close()
}

// poll takes one sample. It returns false when there will be no more.
func (s *sampler) poll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return false
	}
	now, err := s.src.Read()
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
		return true
	}
	if len(s.ring) < int(keep/interval) {
		s.ring = append(s.ring, now)
	} else {
		s.ring[s.oldest] = now
		s.oldest = (s.oldest + 1) % len(s.ring)
	}
	if w := now.powerW(powerSource(now)); w != nil {
		s.power.see(now.TimeNs, *w)
	}
	if err := s.log.add(now); err != nil {
		s.doubt("%v", err)
	}
	return true
}

func (s *sampler) doubt(format string, args ...any) {
	s.doubts = append(s.doubts, fmt.Sprintf(format, args...))
}

// report is what a sampler knows about a span of time.
type report struct {
	samples  []Sample // that are still kept, oldest first
	lost     bool     // the GPU was lost, then or earlier
	periodMs *float64 // between two values of the power sensor, once that was learned
	doubts   []string // that came up since the last report
}

// report returns the samples with startNs <= time < endNs and what else there
// is to say, and writes out the log.
func (s *sampler) report(startNs, endNs int64) report {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.flush(); err != nil {
		s.doubt("%v", err)
	}
	out := report{lost: s.lost, doubts: s.doubts}
	s.doubts = nil
	if p, ok := s.power.period(); ok {
		ms := float64(p) / float64(time.Millisecond)
		out.periodMs = &ms
	}
	// Backwards, since what is asked for has just happened.
	for i := range s.ring {
		at := s.ring[(s.oldest+len(s.ring)-1-i)%len(s.ring)]
		if at.TimeNs < startNs {
			break
		}
		if at.TimeNs < endNs {
			out.samples = append(out.samples, at)
		}
	}
	slices.Reverse(out.samples)
	return out
}
