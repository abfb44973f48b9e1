package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// DeviceOptions says how to measure the devices of a run by themselves.
type DeviceOptions struct {
	RunID     string
	Place     record.Place // that records carry
	Launcher  Launcher
	Host      Host                  // from Survey
	Telemetry Telemetry             // nil for none
	Done      []record.DeviceRecord // what is there already
	Sink      DeviceSink
	Progress  Progress          // is told what is being done; nil for none
	Warn      func(text string) // is told what could not be measured
	Stop      <-chan struct{}   // closed to end after the measurement at hand; may be nil
}

// DeviceSink keeps what was measured. A *record.Store is one.
type DeviceSink interface {
	AppendDevice(r *record.DeviceRecord) error
}

// MeasureDevices measures each kind of device that cells of a plan run on, as far
// as the matrix asks for it: what it draws while nothing runs, where something
// tells that, and then how fast it copies, reads and multiplies. What could not
// be measured is told and left out; the error is for what could not be kept and,
// as a *ForeignError, for other processes on a GPU that the matrix does not
// allow. When ctx or Stop end it, it ends early without an error.
func MeasureDevices(ctx context.Context, plan *matrix.Plan, opts DeviceOptions) error {
	if opts.Progress == nil {
		opts.Progress = silent{}
	}
	m := devices{opts, plan, map[record.DeviceKey]bool{}, newGate(plan, opts.Telemetry, opts.Stop, opts.Progress)}
	for i := range opts.Done {
		m.done[opts.Done[i].Key()] = true
	}
	used := m.used()
	// At rest all come first: a worker warms up what it runs on.
	for _, measure := range []func(context.Context, matrix.Cell) error{m.idle, m.roofline} {
		for _, c := range used {
			if stopped(ctx, opts.Stop) {
				return nil
			}
			if err := measure(ctx, c); errors.Is(err, errStopped) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

type devices struct {
	DeviceOptions
	plan *matrix.Plan
	done map[record.DeviceKey]bool
	gate *gate
}

// used returns the first cell that may run on each kind of device.
func (m *devices) used() []matrix.Cell {
	var out []matrix.Cell
	seen := map[string]bool{}
	for _, c := range m.plan.Cells {
		if kind := deviceKind(c.Backend); !seen[kind] && MayRun(c, m.Host) {
			seen[kind] = true
			out = append(out, c)
		}
	}
	return out
}

// alone does what the matrix says about other processes if a GPU is going to be
// measured. A warning is left to the rows.
func (m *devices) alone(ctx context.Context, kind string) error {
	if kind != "gpu" || m.gate.policy == matrix.ForeignWarn {
		return nil
	}
	_, err := m.gate.pass(ctx)
	return err
}

// idle watches the device of a cell at rest.
func (m *devices) idle(ctx context.Context, c matrix.Cell) error {
	rec := m.record(record.DeviceIdle, c)
	d := time.Duration(m.plan.Spec.Energy.IdleS * float64(time.Second))
	if m.done[rec.Key()] || m.Telemetry == nil || d <= 0 {
		return nil
	}
	if _, ok := m.Telemetry.SensorPeriod(rec.DeviceKind); !ok {
		return nil
	}
	if err := m.alone(ctx, rec.DeviceKind); err != nil {
		return err
	}
	m.Progress.Note(fmt.Sprintf("watching the %s at rest for %v", deviceNames[rec.DeviceKind], d))
	seen, ok := m.atRest(ctx, rec.DeviceKind, d)
	if ctx.Err() != nil {
		return errStopped
	}
	if !ok {
		m.Warn(fmt.Sprintf("what the %s draws at rest is not known: nothing told its power", deviceNames[rec.DeviceKind]))
		return nil
	}
	seen.Timestamp, seen.RunID, seen.Place, seen.Kind, seen.Device, seen.DeviceKind = rec.Timestamp, rec.RunID, rec.Place, rec.Kind, rec.Device, rec.DeviceKind
	return m.Sink.AppendDevice(&seen)
}

// A device that has just been used goes on drawing more for some seconds: it is
// watched again, mostIdle times at most, until its power drifts by less than
// steadyIdle of its mean.
const (
	mostIdle   = 4
	steadyIdle = 0.02
)

// atRest watches a device until its power is steady, and returns what was seen
// last.
func (m *devices) atRest(ctx context.Context, kind string, d time.Duration) (seen record.DeviceRecord, ok bool) {
	for range mostIdle {
		seen, ok = m.Telemetry.Idle(ctx, kind, d)
		if !ok || seen.DriftW == nil || seen.PowerMeanW == nil || math.Abs(*seen.DriftW) < steadyIdle**seen.PowerMeanW {
			break
		}
	}
	return seen, ok
}

// roofline asks a worker of its own what the device of a cell can do at most.
func (m *devices) roofline(ctx context.Context, c matrix.Cell) error {
	rec := m.record(record.DeviceRoofline, c)
	if m.done[rec.Key()] || !m.plan.Spec.Energy.Roofline {
		return nil
	}
	if err := m.alone(ctx, rec.DeviceKind); err != nil {
		return err
	}
	name := deviceNames[rec.DeviceKind]
	m.Progress.Note(fmt.Sprintf("measuring how fast the %s copies, reads and multiplies", name))
	spec := LaunchSpec{Label: "roofline of the " + name, Env: c.Backend.EngineEnv()}
	reply, err := Ask(ctx, m.Launcher, spec, wire.Request{Roofline: &wire.Roofline{Engine: engine(c.Backend)}}, inspectLimit)
	if ctx.Err() != nil {
		return errStopped
	}
	if err != nil {
		m.Warn(fmt.Sprintf("the ceilings of the %s are not known: %s", name, failure(err, "measuring them").Message))
		return nil
	}
	a := reply.Roofline
	rec.Device, rec.Threads = a.Device, a.Threads
	rec.CopyBytesPerS, rec.CopyBytes = positive(a.CopyBytesPerS), a.CopyBytes
	rec.ReadBytesPerS, rec.ReadBytes = positive(a.ReadBytesPerS), a.ReadBytes
	rec.MatmulFlopsPerS, rec.MatmulSize = positive(a.MatmulFlopsPerS), a.MatmulSize
	return m.Sink.AppendDevice(&rec)
}

// record begins a record of the device that a cell runs on.
func (m *devices) record(kind string, c matrix.Cell) record.DeviceRecord {
	rec := record.DeviceRecord{Timestamp: time.Now().UTC(), RunID: m.RunID, Place: m.Place, Kind: kind, DeviceKind: deviceKind(c.Backend)}
	for _, d := range m.Host.Devices.Devices {
		if d.Kind == rec.DeviceKind && (d.Kind == "cpu" || d.Backend == "CUDA") {
			rec.Device = d.Description
			break
		}
	}
	return rec
}

// positive returns a rate, or nil for one that was not measured.
func positive(rate float64) *float64 {
	if !(rate > 0) {
		return nil
	}
	return &rate
}

// deviceNames are the kinds of devices as messages call them.
var deviceNames = map[string]string{"cpu": "CPU", "gpu": "GPU"}

// deviceKind returns the kind of device, "cpu" or "gpu", that a backend runs on.
func deviceKind(b matrix.Backend) string {
	if b.Device == "cuda" {
		return "gpu"
	}
	return "cpu"
}
