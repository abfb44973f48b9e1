package record

import (
	"fmt"
	"time"
)

// DeviceFile is the name of the file of DeviceRecords in a run directory.
const DeviceFile = "device_measurements.jsonl"

// The kinds of DeviceRecords.
const (
	DeviceIdle     = "idle"     // what the device draws with nothing to do
	DeviceRoofline = "roofline" // what it can do at most
)

// DeviceRecord is a measurement of a device by itself, without a model. Absent
// means not measured.
type DeviceRecord struct {
	Schema     int       `json:"schema"`
	Timestamp  time.Time `json:"timestamp"` // UTC, when it was started
	RunID      string    `json:"run_id"`
	Kind       string    `json:"kind"`
	Device     string    `json:"device"` // as the engine names it
	DeviceKind string    `json:"device_kind"`
	Place

	// Idle, before the first row.
	DurationS  *float64 `json:"duration_s,omitempty"`
	PowerMeanW *float64 `json:"power_mean_w,omitempty"`
	DriftW     *float64 `json:"drift_w,omitempty"` // mean of the second half minus that of the first
	TempC      *float64 `json:"temp_c,omitempty"`
	NSamples   int      `json:"n_samples,omitempty"`
	Source     string   `json:"source,omitempty"` // "nvml" or "rapl"

	// Roofline; see wire.RooflineReply.
	CopyBytesPerS   *float64 `json:"copy_bytes_per_s,omitempty"`
	CopyBytes       int64    `json:"copy_bytes,omitempty"`
	ReadBytesPerS   *float64 `json:"read_bytes_per_s,omitempty"`
	ReadBytes       int64    `json:"read_bytes,omitempty"`
	MatmulFlopsPerS *float64 `json:"matmul_flops_per_s,omitempty"`
	MatmulSize      int      `json:"matmul_size,omitempty"`
	Threads         int      `json:"threads,omitempty"`
}

// ReadDevices returns the records of a DeviceFile as Read does rows; none when
// there is no such file. Of records of one kind of one device the last is kept.
func ReadDevices(path string) (devices []DeviceRecord, warnings []error, err error) {
	return readLatest(path, func(line []byte, r *DeviceRecord) (DeviceKey, error) {
		err := decode(line, r, &r.Schema)
		if err == nil && (r.Kind != DeviceIdle && r.Kind != DeviceRoofline || r.DeviceKind == "") {
			err = fmt.Errorf("record of kind %q of device kind %q; left out", r.Kind, r.DeviceKind)
		}
		return r.Key(), err
	})
}

// DeviceKey says what was measured of which kind of device. A run uses one
// device of a kind on each host.
type DeviceKey struct {
	Place
	Kind, DeviceKind string
}

// Key returns the identity of the record in its run.
func (r *DeviceRecord) Key() DeviceKey { return DeviceKey{r.Place, r.Kind, r.DeviceKind} }
