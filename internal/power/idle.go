package power

import (
	"context"
	"time"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/record"
)

// Idle watches a kind of device for a while in which nothing is asked of it. ok
// is false when nothing tells its power, or when ctx ended before the time was
// over. The run and the device are the caller's to fill in.
func (t *Telemetry) Idle(ctx context.Context, deviceKind string, d time.Duration) (idle record.DeviceRecord, ok bool) {
	s := t.samplerOf(deviceKind)
	if s == nil {
		return idle, false
	}
	idle = record.DeviceRecord{Timestamp: time.Now().UTC(), Kind: record.DeviceIdle, DeviceKind: deviceKind}
	s.watch(true) // where the counter alone tells power
	defer s.watch(false)
	startNs := clock.NowNs()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return idle, false
	}
	endNs := clock.NowNs()
	ok = summariseIdle(&idle, s.report(startNs-int64(lookback), endNs), startNs, endNs)
	return idle, ok
}

// summariseIdle adds what samples say about a span in which a device was idle.
// It returns false if they do not tell the power.
func summariseIdle(idle *record.DeviceRecord, seen report, startNs, endNs int64) bool {
	inside := within(seen.samples, startNs, endNs)
	all := energiesOf(seen.samples)
	watts, ok := all.meanW(startNs, endNs)
	if !ok || len(inside) == 0 {
		return false
	}
	seconds := float64(endNs-startNs) / 1e9
	idle.DurationS, idle.PowerMeanW = &seconds, &watts
	if first, second, ok := all.halves(startNs, endNs); ok {
		drift := second - first
		idle.DriftW = &drift
	}
	idle.TempC = mean(lasting(seen.samples, startNs, endNs), func(s *Sample) *float64 { return s.TempC })
	idle.NSamples, idle.Source = len(inside), inside[0].Source
	return true
}

// meanW returns the mean power over a span: by the sensor, which can be cut
// anywhere, and where there is none by the counter.
func (e energies) meanW(startNs, endNs int64) (watts float64, ok bool) {
	if len(e.power) > 0 {
		return e.power.meanBetween(startNs, endNs)
	}
	return e.counter.rateBetween(startNs, endNs)
}

// halves returns the mean power of each half of a span.
func (e energies) halves(startNs, endNs int64) (first, second float64, ok bool) {
	mid := startNs + (endNs-startNs)/2
	first, ok = e.meanW(startNs, mid)
	if ok {
		second, ok = e.meanW(mid, endNs)
	}
	return first, second, ok
}
