package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// resting is a Telemetry that has watched devices at rest: 10 W each.
type resting struct {
	crowd
	meter
	asked []string
	drift []float64 // W, of each time it is watched; then none
}

func (r *resting) Annotate(*record.Record, Span)               {}
func (r *resting) SensorPeriod(k string) (time.Duration, bool) { return r.meter.SensorPeriod(k) }
func (r *resting) Closely(bool)                                {}
func (r *resting) Judge(*record.WindowRecord, int)             {}
func (r *resting) Foreign(pid int) []string                    { return r.crowd.Foreign(pid) }
func (r *resting) Idle(_ context.Context, kind string, d time.Duration) (record.DeviceRecord, bool) {
	r.asked = append(r.asked, fmt.Sprintf("%s %v", kind, d))
	watts := 10.0
	seen := record.DeviceRecord{PowerMeanW: &watts, NSamples: 50, Source: "nvml"}
	if n := len(r.asked); n <= len(r.drift) {
		seen.DriftW = &r.drift[n-1]
	}
	return seen, true
}

type deviceSink []record.DeviceRecord

func (s *deviceSink) AppendDevice(r *record.DeviceRecord) error {
	*s = append(*s, *r)
	return nil
}

func (s deviceSink) String() string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, "%s %s %s %s:", r.RunID, r.Kind, r.DeviceKind, r.Device)
		if r.PowerMeanW != nil {
			fmt.Fprintf(&b, " %g W", *r.PowerMeanW)
		}
		if r.CopyBytesPerS != nil {
			fmt.Fprintf(&b, " %g B/s", *r.CopyBytesPerS)
		}
		if r.ReadBytesPerS != nil {
			fmt.Fprintf(&b, " %g B/s of %d", *r.ReadBytesPerS, r.ReadBytes)
		}
		if r.MatmulFlopsPerS != nil {
			fmt.Fprintf(&b, " %g FLOP/s", *r.MatmulFlopsPerS)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ceilings answers a roofline request.
func ceilings(q wire.Roofline) (*wire.RooflineReply, error) {
	return &wire.RooflineReply{Device: "a " + q.Engine.Device, CopyBytesPerS: 4e12, CopyBytes: 1 << 30, ReadBytesPerS: 3e12, ReadBytes: 1 << 29, MatmulFlopsPerS: 8e14, MatmulSize: 8192, Threads: q.Engine.Threads}, nil
}

// devicesOf measures the devices of a matrix and returns what was kept and told.
func devicesOf(t *testing.T, s *matrix.Spec, e *fakeEngine, opts DeviceOptions) (deviceSink, []string, error) {
	t.Helper()
	var sink deviceSink
	var told notes
	opts.RunID, opts.Launcher, opts.Sink, opts.Progress = "r", e, &sink, &told
	opts.Warn = func(text string) { told.Note("warning: " + text) }
	err := MeasureDevices(t.Context(), planOf(t, s), opts)
	if e.live != 0 {
		t.Errorf("%d workers left", e.live)
	}
	return sink, told.text, err
}

func TestMeasureDevices(t *testing.T) {
	s, host := shared(matrix.ForeignFail)
	s.Energy.IdleS, s.Energy.Roofline = 2.5, true
	s.Backends[0].Threads = 3
	s.Backends[1].Env = map[string]string{"X": "1"}
	tel := &resting{meter: meter{period: map[string]time.Duration{"gpu": tick, "cpu": tick}}}
	e := newFake()
	e.roofline = ceilings
	got, told, err := devicesOf(t, s, e, DeviceOptions{Host: host, Telemetry: tel})
	want := `
r idle cpu EPYC: 10 W
r idle gpu H200: 10 W
r roofline cpu a cpu: 4e+12 B/s 3e+12 B/s of 536870912 8e+14 FLOP/s
r roofline gpu a cuda: 4e+12 B/s 3e+12 B/s of 536870912 8e+14 FLOP/s`
	wantLines(t, got.String(), want)
	wantLines(t, strings.Join(told, "\n"), `
watching the CPU at rest for 2.5s
watching the GPU at rest for 2.5s
measuring how fast the CPU copies, reads and multiplies
measuring how fast the GPU copies, reads and multiplies`)
	if err != nil || strings.Join(tel.asked, ", ") != "cpu 2.5s, gpu 2.5s" || len(e.labels) != 2 || e.labels[1] != "roofline of the GPU" || e.envs[1]["X"] != "1" {
		t.Errorf("%v, asked %q, workers %q %v", err, tel.asked, e.labels, e.envs)
	}
	if r := got[2]; r.Threads != 3 || r.CopyBytes != 1<<30 || r.MatmulSize != 8192 || r.Timestamp.IsZero() || got[0].NSamples != 50 || got[0].Source != "nvml" {
		t.Errorf("%+v", got)
	}

	// What is there already is not measured again.
	for n := range got {
		e := newFake()
		e.roofline = ceilings
		rest, _, err := devicesOf(t, s, e, DeviceOptions{Host: host, Telemetry: tel, Done: got[:n+1]})
		if err != nil || got[:n+1].String()+rest.String() != got.String() {
			t.Errorf("after %d: %s, %v", n+1, rest, err)
		}
	}
}

func TestMeasureDevicesLeavesOut(t *testing.T) {
	refuse := func(wire.Roofline) (*wire.RooflineReply, error) { return nil, errors.New("no memory") }
	die := func(wire.Roofline) (*wire.RooflineReply, error) { return nil, &Death{Signal: "SIGSEGV"} }
	onlyMemory := func(q wire.Roofline) (*wire.RooflineReply, error) {
		a, err := ceilings(q)
		a.MatmulFlopsPerS = 0
		return a, err
	}
	powered := func() Telemetry {
		return &resting{meter: meter{period: map[string]time.Duration{"gpu": tick, "cpu": tick}}}
	}
	const cpuIdle, cpuRoof = "r idle cpu EPYC: 10 W\n", "r roofline cpu a cpu: 4e+12 B/s 3e+12 B/s of 536870912 8e+14 FLOP/s\n"
	for _, tc := range []struct {
		name       string
		change     func(*matrix.Spec, *DeviceOptions)
		roofline   func(wire.Roofline) (*wire.RooflineReply, error)
		want, told string
	}{
		{"no GPU", func(_ *matrix.Spec, o *DeviceOptions) { o.Host.Devices.Devices = o.Host.Devices.Devices[1:] }, ceilings, cpuIdle + cpuRoof, ""},
		{"all skipped", func(s *matrix.Spec, _ *DeviceOptions) {
			s.Skip = []matrix.SkipRule{{Backend: "gpu", Reason: "no"}, {Backend: "cpu", Reason: "no"}}
		}, ceilings, "", ""},
		{"no telemetry", func(s *matrix.Spec, o *DeviceOptions) { o.Telemetry, s.Backends = nil, s.Backends[:1] }, ceilings, cpuRoof, ""},
		{"no sensor", func(s *matrix.Spec, o *DeviceOptions) { o.Telemetry, s.Backends = unpowered{}, s.Backends[:1] }, ceilings, cpuRoof, ""},
		{"no rest asked for", func(s *matrix.Spec, o *DeviceOptions) { s.Energy.IdleS, s.Backends = 0, s.Backends[:1] }, ceilings, cpuRoof, ""},
		{"no ceilings asked for", func(s *matrix.Spec, o *DeviceOptions) { s.Energy.Roofline, s.Backends = false, s.Backends[:1] }, nil, cpuIdle, ""},
		{"sensor says nothing", func(s *matrix.Spec, o *DeviceOptions) {
			o.Telemetry, s.Backends = &meter{period: map[string]time.Duration{"cpu": tick}}, s.Backends[:1]
		}, ceilings, cpuRoof, "warning: what the CPU draws at rest is not known: nothing told its power"},
		{"roofline refused", func(s *matrix.Spec, _ *DeviceOptions) { s.Backends = s.Backends[:1] }, refuse, cpuIdle,
			"warning: the ceilings of the CPU are not known: measuring them: no memory"},
		{"roofline kills", func(s *matrix.Spec, _ *DeviceOptions) { s.Backends = s.Backends[:1] }, die, cpuIdle,
			"warning: the ceilings of the CPU are not known: measuring them: worker died by SIGSEGV"},
		{"half a roofline", func(s *matrix.Spec, _ *DeviceOptions) { s.Backends = s.Backends[:1] }, onlyMemory,
			cpuIdle + "r roofline cpu a cpu: 4e+12 B/s 3e+12 B/s of 536870912\n", ""},
		{"stopped", func(_ *matrix.Spec, o *DeviceOptions) {
			stop := make(chan struct{})
			close(stop)
			o.Stop = stop
		}, ceilings, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, host := shared(matrix.ForeignWarn)
			s.Energy.IdleS, s.Energy.Roofline = 1, true
			opts := DeviceOptions{Host: host, Telemetry: powered()}
			tc.change(s, &opts)
			e := newFake()
			e.roofline = tc.roofline
			got, told, err := devicesOf(t, s, e, opts)
			wantLines(t, got.String(), tc.want)
			if warned := strings.Contains(strings.Join(told, "\n"), "warning"); err != nil || warned != (tc.told != "") || !strings.Contains(strings.Join(told, "\n"), tc.told) {
				t.Errorf("%v, told %q, want %q", err, told, tc.told)
			}
		})
	}
}

func TestMeasureDevicesBesideOthers(t *testing.T) {
	s, host := shared(matrix.ForeignFail)
	s.Energy.IdleS = 1
	s.Backends = s.Backends[1:]
	tel := &resting{crowd: crowd{there: [][]string{{"pid 7"}}}, meter: meter{period: map[string]time.Duration{"gpu": tick}}}
	e := newFake()
	e.roofline = ceilings
	got, _, err := devicesOf(t, s, e, DeviceOptions{Host: host, Telemetry: tel})
	var foreign *ForeignError
	if !errors.As(err, &foreign) || len(got) != 0 || len(e.labels) != 0 {
		t.Errorf("%v, %v, workers %q", err, got, e.labels)
	}
}

// What was used a moment ago is watched until it has come to rest, but not for
// ever.
func TestIdleWaitsForRest(t *testing.T) {
	s, host := shared(matrix.ForeignWarn)
	s.Energy.IdleS = 1
	s.Backends = s.Backends[:1]
	for name, c := range map[string]struct {
		drift   []float64
		watched int
	}{
		"at rest":         {[]float64{0.1}, 1},
		"cools down":      {[]float64{-3, -0.5, -0.1}, 3},
		"never steady":    {[]float64{-3, 3, -3, 3, -3}, mostIdle},
		"drift not known": {nil, 1},
	} {
		tel := &resting{meter: meter{period: map[string]time.Duration{"gpu": tick, "cpu": tick}}, drift: c.drift}
		got, _, err := devicesOf(t, s, newFake(), DeviceOptions{Host: host, Telemetry: tel})
		if err != nil || len(got) != 1 || len(tel.asked) != c.watched {
			t.Errorf("%s: watched %d times, want %d; %v, %v", name, len(tel.asked), c.watched, got, err)
		}
	}
}
