package power

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/wire"
)

// SourceReport says what one source of power, energy or state can do on this
// machine.
type SourceReport struct {
	Name   string // e.g. "NVML instant power, GPU 0"
	OK     bool
	Detail string // value, period and resolution as seen; why there is none when !OK
	Fix    string // what to do when !OK; empty if nothing helps
}

// surveyInterval is the time between two samples of a survey, which shows
// periods down to it.
const surveyInterval = 5 * time.Millisecond

// Survey tries every source that the devices of the engine may have, and
// watches those that work for dur to learn how often their values change and by
// how little. sysRoot is "/sys" on this machine. With a dur of 0 it tells only
// what is there.
func Survey(devices []wire.Device, sysRoot string, dur time.Duration) []SourceReport {
	return survey(nvml.New(), os.Open, devices, sysRoot, dur)
}

func survey(lib nvml.Interface, openFile opener, devices []wire.Device, sysRoot string, dur time.Duration) []SourceReport {
	var subjects []*subject
	cudas := slices.DeleteFunc(slices.Clone(devices), func(d wire.Device) bool { return !isCUDA(d) })
	if len(cudas) > 0 {
		ret := lib.Init()
		if ret == nvml.SUCCESS {
			defer lib.Shutdown()
		}
		for i, d := range cudas {
			subjects = append(subjects, gpuSubject(lib, ret, i, d))
		}
	}
	cpu, closeCPU := cpuSubject(sysRoot, openFile)
	defer closeCPU()
	subjects = append(subjects, cpu)

	startNs := clock.NowNs()
	tick := time.NewTicker(surveyInterval)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		for _, s := range subjects {
			s.sample(turn%slowEvery == 0)
		}
		if clock.NowNs()-startNs >= int64(dur) {
			break
		}
		<-tick.C
	}
	var out []SourceReport
	for _, s := range subjects {
		out = append(out, s.report()...)
	}
	return out
}

// subject is a source under survey.
type subject struct {
	src      source // nil if it could not be opened
	err      error  // the last one
	watched  []*quantity
	problems []SourceReport // found when it was opened
}

// quantity is one thing that a source tells.
type quantity struct {
	name, unit string
	of         func(*Sample) *float64
	text       func(*Sample) string // instead, of what is no number
	moves      bool                 // its period is of interest

	last     string // as text
	values   []point
	updates  updates
	smallest float64 // difference between two values that follow each other; 0 if none was seen
}

func gpuSubject(lib nvml.Interface, ret nvml.Return, index int, d wire.Device) *subject {
	name := func(what string) string { return fmt.Sprintf("NVML %s, GPU %d", what, index) }
	fail := func(err error) *subject {
		return &subject{problems: []SourceReport{{
			Name: fmt.Sprintf("NVML, GPU %d", index), Detail: fmt.Sprintf("%s: %v", d.Name, err), Fix: strings.TrimPrefix(advice(err), "; "),
		}}}
	}
	if ret != nvml.SUCCESS {
		return fail(ret)
	}
	g, err := openGPU(lib, d.PCIBusID)
	if err != nil {
		return fail(fmt.Errorf("at PCI bus id %q: %w", d.PCIBusID, err))
	}
	s := &subject{src: g}
	moving := len(g.fields) + len(g.fast)
	for i, m := range g.metrics() {
		q := &quantity{name: name(m.name), unit: m.unit, moves: i < moving, text: m.text}
		if m.at != nil {
			q.of = func(s *Sample) *float64 { return *m.at(s) }
		}
		s.watched = append(s.watched, q)
	}
	for _, m := range g.missing {
		p := SourceReport{Name: name(m.name), Detail: m.ret.Error(), Fix: strings.TrimPrefix(advice(m.ret), "; ")}
		if m.ret == nvml.ERROR_NOT_SUPPORTED {
			p.Detail = "this GPU or its driver does not tell it"
		}
		s.problems = append(s.problems, p)
	}
	return s
}

func cpuSubject(sysRoot string, openFile opener) (s *subject, close func()) {
	r, err := openRAPL(sysRoot, openFile)
	if err != nil {
		p := SourceReport{Name: "RAPL energy of the CPU", Detail: err.Error()}
		var u *unmeasured
		if errors.As(err, &u) {
			p.Fix = u.fix
		}
		return &subject{problems: []SourceReport{p}}, func() {}
	}
	s = &subject{src: r, watched: []*quantity{{
		name: fmt.Sprintf("RAPL energy, CPU packages (%d)", r.packages()), unit: "J", moves: true,
		of: func(s *Sample) *float64 {
			joules := *s.EnergyJ
			if s.DRAMJ != nil {
				joules -= *s.DRAMJ
			}
			return &joules
		},
	}}}
	if r.packages() < len(r.zones) {
		s.watched = append(s.watched, &quantity{
			name: "RAPL energy, memory", unit: "J", moves: true,
			of: func(s *Sample) *float64 { return s.DRAMJ },
		})
	} else {
		s.problems = []SourceReport{{Name: "RAPL energy, memory", Detail: "this CPU does not count its memory's energy: only the packages are measured"}}
	}
	return s, func() { r.close() }
}

// sample looks once.
func (s *subject) sample(withSlow bool) {
	if s.src == nil || errors.Is(s.err, errLost) {
		return
	}
	var now Sample
	if now, s.err = s.src.Read(want{counter: true, lasting: withSlow}); s.err != nil {
		return
	}
	for _, q := range s.watched {
		q.see(&now)
	}
}

func (q *quantity) see(now *Sample) {
	if q.text != nil {
		if now.slow {
			q.last = q.text(now)
		}
		return
	}
	v := q.of(now)
	if v == nil {
		return
	}
	if n := len(q.values); n > 0 {
		if d := math.Abs(*v - q.values[n-1].v); d > 0 && (q.smallest == 0 || d < q.smallest) {
			q.smallest = d
		}
	}
	q.values = append(q.values, point{now.TimeNs, *v})
	q.updates.see(now.TimeNs, *v)
}

// report says what was seen.
func (s *subject) report() []SourceReport {
	var out []SourceReport
	for _, q := range s.watched {
		r := SourceReport{Name: q.name}
		r.Detail, r.OK = q.detail()
		if s.err != nil {
			r.OK, r.Detail = false, s.err.Error()
		}
		out = append(out, r)
	}
	return append(out, s.problems...)
}

// detail describes a quantity in words. ok is false if it was never read.
func (q *quantity) detail() (detail string, ok bool) {
	if q.text != nil {
		return q.last, q.last != ""
	}
	if len(q.values) == 0 {
		return "could not be read", false
	}
	first, last := q.values[0], q.values[len(q.values)-1]
	seconds := float64(last.ns-first.ns) / 1e9
	detail = fmt.Sprintf("%.1f %s", last.v, q.unit)
	if q.unit == "J" && seconds > 0 {
		detail = fmt.Sprintf("%.1f W by it", (last.v-first.v)/seconds)
	}
	if !q.moves || seconds == 0 {
		return detail, true
	}
	if q.smallest == 0 {
		return fmt.Sprintf("%s, did not change in %.1f s", detail, seconds), true
	}
	if ms := milliseconds(q.updates.period()); ms != nil {
		detail += fmt.Sprintf(", a new value every %.0f ms", *ms)
	} else {
		detail += fmt.Sprintf(", too few changes in %.1f s to tell its period", seconds)
	}
	return detail + fmt.Sprintf(", smallest change %.3g %s", q.smallest, q.unit), true
}
