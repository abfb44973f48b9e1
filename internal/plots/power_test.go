package plots

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/power"
)

// The samples of a run as package power writes them, after a start of the
// machine that began the clock anew, with a line cut off by a kill.
func TestReadPower(t *testing.T) {
	samples := []power.Sample{
		{TimeNs: 900e9, Source: "nvml", GPU: "0000:01:00.0", PowerInstantW: ptr(1.0)},
		{TimeNs: 100e9, Source: "nvml", GPU: "0000:01:00.0", PowerInstantW: ptr(300.0), PowerAverageW: ptr(250.0)},
		{TimeNs: 100e9 + 1, Source: "rapl", EnergyJ: ptr(10.0)},
		{TimeNs: 101e9, Source: "nvml", GPU: "0000:01:00.0", PowerAverageW: ptr(260.0)},
		{TimeNs: 102e9 + 1, Source: "rapl", EnergyJ: ptr(110.0)},
		{TimeNs: 103e9, Source: "nvml", GPU: "0000:01:00.0"},
	}
	var lines strings.Builder
	for _, s := range samples {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	lines.WriteString(`{"t_ns":104000`)
	path := filepath.Join(t.TempDir(), power.File)
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPower(path)
	want := []PowerSample{{100e9, "0000:01:00.0", 300}, {101e9, "0000:01:00.0", 260}, {102e9 + 1, "", 50}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := ReadPower(path + "-missing"); got != nil || err != nil {
		t.Errorf("a missing file: %v, %v", got, err)
	}
}

// Only phases of the device that was sampled are shaded, and none from before
// the machine was last started, whose clock says the same times.
func TestPhaseSpans(t *testing.T) {
	r := newRun(t)
	in := newInput(r.analysis(t), r.extra)
	spans, samples := sampled(in.phaseSpans(), in.power)
	if len(spans) == 0 || len(samples) != len(in.power) {
		t.Fatalf("%d phases, %d of %d samples", len(spans), len(samples), len(in.power))
	}
	for _, s := range spans {
		if s.group.DeviceKind != "gpu" {
			t.Fatalf("a phase of %s beside samples of a GPU", s.group.Key)
		}
	}
	from := busiest(spans, samples)
	if i := slices.IndexFunc(spans, func(s phaseSpan) bool { return s.prefill && s.from == from+int64(leadS*1e9) }); i < 0 {
		t.Errorf("the stretch begins at %d, before no prefill", from)
	}

	for i := range r.rows {
		if r.rows[i].Model == "small" {
			r.rows[i].Timestamp = r.rows[i].Timestamp.Add(-time.Hour)
		}
	}
	in = newInput(r.analysis(t), r.extra)
	for _, s := range in.phaseSpans() {
		if s.group.Model == "small" && !s.window {
			t.Fatalf("a phase of %s, from before the last start", s.group.Key)
		}
	}
}
