package power

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// load is power in watts by time in seconds.
type load func(s float64) float64

func constant(w float64) load { return func(float64) float64 { return w } }

// square is 800 W for the given part of each period and 100 W for the rest: a
// mean of 100 + 700·part.
func square(periodS, part float64) load {
	return func(s float64) float64 {
		if _, frac := math.Modf(s / periodS); frac < part {
			return 800
		}
		return 100
	}
}

// device is a GPU under a load. Its sensor and its counter get a new value every
// period; the sensor's is the power then or, averaging, the mean since the last.
type device struct {
	load      load
	period    time.Duration
	averaging bool
}

// tickNs is the step in which a load is integrated.
const tickNs = int64(100_000)

// samples polls the device from 0 to a time, with up to jitter of the interval
// more or less between two polls.
func (d device) samples(until, interval time.Duration, jitter float64, r *rand.Rand) []Sample {
	var out []Sample
	energyJ, sinceJ := 0.0, 0.0
	shownW, shownJ := d.load(0), 0.0
	updateNs := int64(r.Float64() * float64(d.period))
	pollNs := int64(0)
	for ns := int64(0); ns < int64(until); ns += tickNs {
		if ns >= updateNs {
			shownW, shownJ = d.load(float64(ns)/1e9), energyJ
			if d.averaging {
				shownW = sinceJ / d.period.Seconds()
			}
			sinceJ = 0
			updateNs += int64(d.period)
		}
		if ns >= pollNs {
			out = append(out, Sample{TimeNs: ns, Source: sourceNVML, PowerInstantW: ptr(shownW), EnergyJ: ptr(shownJ)})
			pollNs += int64(float64(interval) * (1 + jitter*(2*r.Float64()-1)))
		}
		step := d.load(float64(ns)/1e9) * float64(tickNs) / 1e9
		energyJ += step
		sinceJ += step
	}
	return out
}

const second = int64(time.Second)

func TestKnownEnergy(t *testing.T) {
	const ms = time.Millisecond
	ramp := func(s float64) float64 { return 100 + 50*s }
	step := func(s float64) float64 {
		if s < 2.5 {
			return 200
		}
		return 600
	}
	for _, tc := range []struct {
		name              string
		d                 device
		wantW             float64 // mean from 1 to 4 s
		integral, counter float64 // how far each may be off
	}{
		// The counter errs by half of a poll of 20 ms on either side of 3 s.
		{"constant", device{load: constant(650), period: 100 * ms}, 650, 1e-9, 0.0067},
		// A momentary value held for a period lags by half of it, an average by a whole one: 50 W/s · 100 ms.
		{"ramp", device{load: ramp, period: 100 * ms}, 225, 0.015, 0.02},
		{"ramp, averaging", device{load: ramp, period: 100 * ms, averaging: true}, 225, 0.03, 0.02},
		{"step", device{load: step, period: 100 * ms}, 400, 0.04, 0.04},
		// A load of nearly the sensor's own rhythm: averages leave nothing out.
		{"aliasing", device{load: square(0.097, 0.5), period: 100 * ms, averaging: true}, 450, 0.03, 0.03},
		{"fast sensor", device{load: square(1, 0.3), period: 1 * ms}, 310, 0.02, 0.02},
	} {
		samples := tc.d.samples(6*time.Second, 20*ms, 0.2, rand.New(rand.NewPCG(1, 2)))
		all := energiesOf(samples)
		for _, m := range []struct {
			by   string
			of   func(startNs, endNs int64) (float64, bool)
			most float64
		}{
			{"integral", all.power.meanBetween, tc.integral},
			{"counter", all.counter.rateBetween, tc.counter},
		} {
			got, ok := m.of(1*second, 4*second)
			if !ok || math.Abs(got/tc.wantW-1) > m.most {
				t.Errorf("%s by %s: %.2f W, %v, want %.2f", tc.name, m.by, got, ok, tc.wantW)
			}
		}
	}
}

// TestAliasingIsSeenByTheCounter takes a momentary sensor at the load's own
// period, which always meets the same part of it.
func TestAliasingIsSeenByTheCounter(t *testing.T) {
	d := device{load: square(0.1, 0.5), period: 100 * time.Millisecond}
	all := energiesOf(d.samples(6*time.Second, 20*time.Millisecond, 0, rand.New(rand.NewPCG(3, 4))))
	if w, _ := all.power.meanBetween(1*second, 4*second); math.Abs(w/450-1) < 0.7 {
		t.Errorf("by the sensor %.1f W: not the case that is meant", w)
	}
	if w, _ := all.counter.rateBetween(1*second, 4*second); math.Abs(w/450-1) > 0.01 {
		t.Errorf("by the counter %.1f W, want 450", w)
	}
}

func TestSeriesProperties(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		watts := 50 + 900*r.Float64()
		d := device{load: constant(watts), period: time.Duration(20+r.IntN(130)) * time.Millisecond, averaging: r.IntN(2) == 0}
		interval := min(max(d.period/samplesPerPeriod, 5*time.Millisecond), longestInterval)
		all := energiesOf(d.samples(4*time.Second, interval, 0.3, r))
		startNs := second + r.Int64N(second/2)
		endNs := 2*second + r.Int64N(second)

		// A constant load: what is off is when a step was seen, by one poll at most in all.
		steps := all.counter.steps(startNs, endNs)
		polls := 1.3 * float64(interval+time.Duration(tickNs)) / float64(steps[len(steps)-1].ns-steps[0].ns)
		if w, ok := all.counter.rateBetween(startNs, endNs); !ok || math.Abs(w/watts-1) > polls+1e-6 {
			t.Errorf("seed %d: counter %.2f W, want %.2f within %.4f", seed, w, watts, polls)
		}

		// A straight line is integrated exactly, wherever the points and the edges are.
		a, b := r.NormFloat64(), r.NormFloat64()
		line := make(series, len(all.power))
		for i, p := range all.power {
			line[i] = point{p.ns, a + b*float64(p.ns)/1e9}
		}
		want := a + b*float64(startNs+endNs)/2e9
		if w, ok := line.meanBetween(startNs, endNs); !ok || math.Abs(w-want) > 1e-9 {
			t.Errorf("seed %d: line %v, want %v", seed, w, want)
		}

		// Two parts make the whole, and no mean is outside of what was seen.
		noise := make(series, len(all.power))
		lowest, highest := math.Inf(1), math.Inf(-1)
		for i, p := range all.power {
			noise[i] = point{p.ns, r.NormFloat64()}
			lowest, highest = min(lowest, noise[i].v), max(highest, noise[i].v)
		}
		mid := startNs + (endNs-startNs)/3
		first, _ := noise.meanBetween(startNs, mid)
		second, _ := noise.meanBetween(mid, endNs)
		whole, _ := noise.meanBetween(startNs, endNs)
		sum := (first*float64(mid-startNs) + second*float64(endNs-mid)) / float64(endNs-startNs)
		if math.Abs(sum-whole) > 1e-9 || whole < lowest || whole > highest {
			t.Errorf("seed %d: parts %v, whole %v in [%v, %v]", seed, sum, whole, lowest, highest)
		}
	}
}

func TestSeriesEdges(t *testing.T) {
	s := series{{10, 1}, {20, 3}, {30, 3}, {40, 7}}
	for _, tc := range []struct {
		start, end int64
		want       float64
		ok         bool
	}{
		{10, 20, 2, true},
		{15, 35, (5*2.5 + 10*3 + 5*4) / 20, true}, // 2 at 15, 5 at 35
		{0, 20, (10*1 + 10*2) / 20.0, true},       // held before the first
		{30, 60, (10*5 + 20*7) / 30.0, true},      // and after the last
		{21, 29, 0, false},
		{50, 60, 0, false},
		{20, 20, 0, false},
	} {
		if got, ok := s.meanBetween(tc.start, tc.end); ok != tc.ok || math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("[%d,%d]: %v, %v, want %v, %v", tc.start, tc.end, got, ok, tc.want, tc.ok)
		}
	}
	// Steps at 15 (to 3) and at 35 (to 7): 4 J in 20 ns.
	for _, tc := range []struct {
		start, end int64
		ok         bool
	}{{15, 35, true}, {16, 35, false}, {15, 34, false}, {0, 99, true}} {
		if got, ok := s.rateBetween(tc.start, tc.end); ok != tc.ok || ok && math.Abs(got-4/20e-9) > 1 {
			t.Errorf("[%d,%d]: %v W, %v, want %v", tc.start, tc.end, got, ok, tc.ok)
		}
	}
	for _, tc := range []struct{ start, end, want int64 }{
		{10, 40, 10}, {12, 18, 10}, {0, 40, 10}, {-5, 40, 15}, {20, 90, 50}, {50, 60, 20}, {0, 5, 10},
	} {
		if got := s.longestHoleNs(tc.start, tc.end); got != tc.want {
			t.Errorf("longest hole in [%d,%d]: %d, want %d", tc.start, tc.end, got, tc.want)
		}
	}
	if _, ok := series(nil).meanBetween(0, 10); ok || series(nil).held(3) != 0 {
		t.Error("something from nothing")
	}
}
