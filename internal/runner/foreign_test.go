package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/wire"
)

// crowd is a Telemetry of a GPU that others compute on for the first looks.
type crowd struct {
	unpowered
	there [][]string // by look; afterwards nobody
	looks int
}

func (c *crowd) Foreign(pid int) []string {
	if c.looks++; c.looks <= len(c.there) {
		return c.there[c.looks-1]
	}
	return nil
}

// shared is a matrix of two models on a GPU, then on the CPU.
func shared(policy matrix.Foreign) (*matrix.Spec, Host) {
	s := spec()
	s.Models = append(s.Models, matrix.Model{Name: "n", Path: "n.gguf"})
	s.Backends = append(s.Backends, matrix.Backend{Name: "gpu", Device: "cuda"})
	s.Energy.Foreign = policy
	return s, Host{Devices: wire.DevicesReply{Devices: []wire.Device{{Kind: "gpu", Backend: "CUDA", Description: "H200"}, {Kind: "cpu", Description: "EPYC"}}}}
}

func TestForeignWarn(t *testing.T) {
	s, host := shared(matrix.ForeignWarn)
	tel := &crowd{there: [][]string{{"pid 7 (python)"}, {"pid 8"}}}
	var told notes
	rows, _ := play(t, s, newFake(), func(o *Options) { o.Host, o.Telemetry, o.Progress = host, tel, &told })
	want := []string{"another process computes on the GPU: pid 7 (python)", "another process computes on the GPU: pid 8", "", ""}
	for i, r := range rows {
		if got := strings.Join(r.Warnings, "\n"); got != want[i] {
			t.Errorf("%s warns %q, want %q", line(r), got, want[i])
		}
	}
	if len(told.text) != 1 || !strings.HasPrefix(told.text[0], want[0]) || tel.looks != 2 {
		t.Errorf("%d looks, notes %q", tel.looks, told.text)
	}
}

func TestForeignWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, host := shared(matrix.ForeignWait)
		tel := &crowd{there: [][]string{{"pid 7"}, {"pid 7"}, {"pid 7"}, {}, {"pid 8"}}}
		var told notes
		start := time.Now()
		rows, sum := play(t, s, newFake(), func(o *Options) { o.Host, o.Telemetry, o.Progress = host, tel, &told })
		wantLines(t, strings.Join(told.text, "\n"), `
another process computes on the GPU: pid 7; waiting until it is gone
the GPU is free: going on
another process computes on the GPU: pid 8; waiting until it is gone
the GPU is free: going on`)
		if waited := time.Since(start); waited != 4*foreignPoll || sum.OK != 4 || len(rows[0].Warnings) != 0 {
			t.Errorf("waited %v, %+v, warnings %q", waited, sum, rows[0].Warnings)
		}
	})
}

func TestForeignWaitEnds(t *testing.T) {
	for name, end := range map[string]func(*Options, context.CancelFunc) func(){
		"by stop": func(o *Options, _ context.CancelFunc) func() {
			stop := make(chan struct{})
			o.Stop = stop
			return func() { close(stop) }
		},
		"by cancel": func(_ *Options, cancel context.CancelFunc) func() { return cancel },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, host := shared(matrix.ForeignWait)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				e := newFake()
				forever := &crowd{there: slices.Repeat([][]string{{"pid 7"}}, 100)}
				opts := Options{Launcher: e, Sink: &rowsOf{}, Host: host, Telemetry: forever}
				time.AfterFunc(5*time.Second, end(&opts, cancel))
				start := time.Now()
				sum, err := Run(ctx, planOf(t, s), opts)
				if err != nil || !sum.Interrupted || sum.OK != 0 || sum.Missing() != 4 || time.Since(start) != 5*time.Second || e.live != 0 {
					t.Errorf("%v, %+v after %v", err, sum, time.Since(start))
				}
			})
		})
	}
}

func TestForeignFail(t *testing.T) {
	s, host := shared(matrix.ForeignFail)
	for _, tc := range []struct {
		there [][]string
		ok    int
	}{
		{[][]string{{"pid 7"}}, 0},
		{[][]string{{}, {"pid 7"}}, 1},
		{nil, 4},
	} {
		e := newFake()
		sum, err := Run(t.Context(), planOf(t, s), Options{Launcher: e, Sink: &rowsOf{}, Host: host, Telemetry: &crowd{there: tc.there}})
		var foreign *ForeignError
		if sum.OK != tc.ok || sum.Missing() != 4-tc.ok || errors.As(err, &foreign) != (tc.ok < 4) || e.live != 0 {
			t.Errorf("%v: %+v, %v", tc.there, sum, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "another process computes on the GPU: pid 7, and the matrix says energy.foreign: fail; ") {
			t.Errorf("says %v", err)
		}
	}
}

func TestDegraded(t *testing.T) {
	for _, tc := range []struct {
		tempC    float64
		throttle []string
		want     string
	}{
		{80, nil, ""},
		{80.6, nil, "degraded: the GPU was at 81 °C, more than 80 °C"},
		{40, []string{"gpu_idle", "sw_power_cap", "applications_clocks_setting"}, ""},
		{40, []string{"sw_power_cap", "hw_slowdown", "sw_thermal_slowdown"}, "degraded: its clocks were held back by hw_slowdown, sw_thermal_slowdown"},
		{90, []string{"hw_slowdown"}, "degraded: the GPU was at 90 °C, more than 80 °C; its clocks were held back by hw_slowdown"},
	} {
		r := record.Record{GPUTempC: &tc.tempC, Throttle: tc.throttle}
		degrade(&r, 80)
		if got := strings.Join(r.Warnings, "\n"); got != tc.want || r.Degraded != (tc.want != "") {
			t.Errorf("%v °C, %v: %v, %q", tc.tempC, tc.throttle, r.Degraded, got)
		}
	}
	var unknown record.Record
	if degrade(&unknown, 80); unknown.Degraded {
		t.Error("degraded without a temperature")
	}
}

// The threshold is the matrix's, and a row that is degraded stays ok.
func TestDegradedRow(t *testing.T) {
	s := spec()
	s.Energy.MaxTempC = 39
	rows, _ := play(t, s, newFake(), func(o *Options) { o.Telemetry = &spans{} }) // at 40 °C
	if r := rows[0]; !r.Degraded || r.Status != record.StatusOK || len(r.Warnings) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAssumedCPUPower(t *testing.T) {
	s, host := shared(matrix.ForeignWarn)
	watts := 65.0
	s.Energy.AssumedCPUW = &watts
	rows, _ := play(t, s, newFake(), func(o *Options) { o.Host = host })
	for _, r := range rows {
		if (r.AssumedCPUW != nil) != (r.Backend == "cpu") || r.AssumedCPUW != nil && *r.AssumedCPUW != 65 {
			t.Errorf("%s: %v", line(r), r.AssumedCPUW)
		}
	}
}
