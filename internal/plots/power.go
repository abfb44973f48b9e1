package plots

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// PowerSample is what a device drew at a moment.
type PowerSample struct {
	TimeNs int64   // CLOCK_MONOTONIC, as rows have it in start_ns
	GPU    string  // bus id; empty for the CPU's packages
	W      float64 // by the sensor's latest value, else by its mean or its energy counter since the sample before
}

// ReadPower reads the samples of a run from power.File, in order; none when
// there is no such file. Only what was sampled since the machine was last
// started is kept, since CLOCK_MONOTONIC begins anew with that. Lines that are
// no samples, as the last of a killed run, are left out.
func ReadPower(path string) ([]PowerSample, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	samples, err := readPower(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

// maxClockStepNs is how far samples may lie behind the latest of another source
// without the clock having begun anew.
const maxClockStepNs = 10e9

func readPower(in io.Reader) ([]PowerSample, error) {
	type reading struct {
		ns int64
		j  float64
	}
	last := map[string]reading{} // of energy counters, by GPU
	var out []PowerSample
	var latest int64
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var s struct { // see power.Sample
			TimeNs   int64    `json:"t_ns"`
			GPU      string   `json:"gpu"`
			InstantW *float64 `json:"power_instant_w"`
			AverageW *float64 `json:"power_average_w"`
			EnergyJ  *float64 `json:"energy_j"`
		}
		if json.Unmarshal(lines.Bytes(), &s) != nil || s.TimeNs <= 0 {
			continue
		}
		if s.TimeNs < latest-maxClockStepNs {
			out, latest = nil, 0
			clear(last)
		}
		latest = max(latest, s.TimeNs)
		before, counted := last[s.GPU]
		if s.EnergyJ != nil {
			last[s.GPU] = reading{s.TimeNs, *s.EnergyJ}
		}
		switch {
		case s.InstantW != nil:
			out = append(out, PowerSample{s.TimeNs, s.GPU, *s.InstantW})
		case s.AverageW != nil:
			out = append(out, PowerSample{s.TimeNs, s.GPU, *s.AverageW})
		case counted && s.EnergyJ != nil && *s.EnergyJ >= before.j && s.TimeNs > before.ns:
			out = append(out, PowerSample{s.TimeNs, s.GPU, (*s.EnergyJ - before.j) / (float64(s.TimeNs-before.ns) / 1e9)})
		}
	}
	return out, lines.Err()
}
