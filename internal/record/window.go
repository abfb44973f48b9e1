package record

import (
	"errors"
	"slices"
	"time"
)

// WindowFile is the name of the file of WindowRecords in a run directory.
const WindowFile = "energy_windows.jsonl"

// WindowPeriods is how many values of the sensor an energy window must hold, at
// least: the first and the last may stand for a part that is outside.
const WindowPeriods = 20

// Reason says why an energy window does not count.
type Reason string

// What can be wrong with a window.
const (
	TooShort       Reason = "too_short"       // shorter than asked, or than WindowPeriods of the sensor
	Gap            Reason = "gap"             // samples are missing inside
	CounterStuck   Reason = "counter_stuck"   // the energy counter did not move as the power did
	DifferentWork  Reason = "different_work"  // more than 2 % faster or slower than the rows timed before and after it, beyond their scatter
	OtherTokens    Reason = "other_tokens"    // it sampled other tokens than the rows
	ForeignProcess Reason = "foreign_process" // another process computed on the GPU
	Throttled      Reason = "throttled"       // heat or the power supply held the clocks back
	ThermalDrift   Reason = "thermal_drift"   // the energy of a token changed by more than 3 % from the first half to the second, beyond its error, and not by an uneven pace
	NoSource       Reason = "no_source"       // nothing told power or energy
)

// Names returns reasons as text, nil for none.
func Names(reasons []Reason) []string {
	var out []string
	for _, r := range reasons {
		out = append(out, string(r))
	}
	return out
}

// UnevenPace is a note on a window: the energy of a token changed by more than 3 %
// from the first half to the second, the pace by more than the power, which did not
// move against it, and the clocks of the GPU did not change. Its host was held up,
// as it is in timed rows, so that the window counts; how much that matters is in
// the scatter of several.
const UnevenPace Reason = "uneven_pace"

// WindowRecord is the energy of one phase of one cell, repeated for seconds.
// Windows are measured after the timed repetitions of the cell, in the same
// process; several of one phase have windows of the other phase between them, but
// for those that are measured again. Absent means not measured.
type WindowRecord struct {
	Schema    int       `json:"schema"`
	Timestamp time.Time `json:"timestamp"` // UTC, when the window was started
	RunID     string    `json:"run_id"`
	CellID    string    `json:"cell_id"`
	Place

	// Origin is that of Record.Origin, of an imported window.
	Origin string `json:"origin,omitempty"`

	Model      string `json:"model"`
	Backend    string `json:"backend"`
	Scenario   string `json:"scenario"`
	Launch     int    `json:"launch"`
	Phase      string `json:"phase"`  // "prefill" or "decode"
	Window     int    `json:"window"` // 0-based, of this phase of this cell
	Batch      int    `json:"batch"`
	KVTypeK    string `json:"kv_type_k"`
	KVTypeV    string `json:"kv_type_v"`
	DecodeMode string `json:"decode_mode"`
	Synthetic  bool   `json:"synthetic"` // random weights, which may draw other power than trained ones
	Device     string `json:"device,omitempty"`
	DeviceKind string `json:"device_kind,omitempty"`

	StartNs int64   `json:"start_ns"` // CLOCK_MONOTONIC at the start of the ramp-in
	OpenNs  int64   `json:"open_ns"`  // end of the ramp-in
	EndNs   int64   `json:"end_ns"`
	Reps    int     `json:"reps"`   // repetitions of the phase while the window was open
	Tokens  int     `json:"tokens"` // evaluated in them
	TokPerS float64 `json:"tok_per_s"`
	// TokPerSRows is the median rate of the timed rows of the cell in this
	// launch, in cached decode without the two steps that follow the prefill,
	// and TokPerSLike that of the repetitions that evaluated as many tokens as
	// they.
	TokPerSRows *float64 `json:"tok_per_s_rows,omitempty"`
	TokPerSLike *float64 `json:"tok_per_s_like,omitempty"`
	// TokPerSRefs are the rates of rows timed right before and after the window,
	// which it is held against: the speed of a host changes within seconds.
	TokPerSRefs []float64 `json:"tok_per_s_refs,omitempty"`
	RefsBefore  int       `json:"refs_before,omitempty"` // how many of them, the first, were before
	// TokPerSAllowed are the lowest and the highest rate that they allow.
	TokPerSAllowed [2]float64 `json:"tok_per_s_allowed,omitzero"`

	Source         string   `json:"source,omitempty"` // "nvml" or "rapl"
	SensorPeriodMs *float64 `json:"sensor_period_ms,omitempty"`
	NSamples       int      `json:"n_samples"` // inside the window
	// CounterW is the mean power by the energy counter, between the first and
	// the last of its steps inside the window; IntegralW that by integrating
	// the power sensor over the window.
	CounterW  *float64 `json:"counter_w,omitempty"`
	IntegralW *float64 `json:"integral_w,omitempty"`
	// JPerToken is the mean power over tok_per_s: by the counter where there is
	// one, else by integration.
	JPerToken *float64 `json:"j_per_token,omitempty"`
	Method    string   `json:"method,omitempty"` // of j_per_token: "counter" or "integral"
	// MidNs is when the repetition ended that ended nearest to the middle of the
	// window, absent of one alone, and TokPerSHalves are the rates before and
	// after. DriftPct is how far the energy of a token after it is from that
	// before, in % of it, and DriftHalfPct half of the 95 % interval of that, by
	// when the counter can have stepped or by the scatter of the sensor.
	MidNs         int64      `json:"mid_ns,omitempty"`
	TokPerSHalves [2]float64 `json:"tok_per_s_halves,omitzero"`
	DriftPct      *float64   `json:"drift_pct,omitempty"`
	DriftHalfPct  *float64   `json:"drift_half_pct,omitempty"`

	TempStartC *float64 `json:"temp_start_c,omitempty"`
	TempEndC   *float64 `json:"temp_end_c,omitempty"`
	SMMHz      *float64 `json:"sm_mhz,omitempty"` // mean
	Throttle   []string `json:"throttle_reasons,omitempty"`

	Valid   bool     `json:"valid"`
	Reasons []Reason `json:"reasons,omitempty"` // why not
	Notes   []Reason `json:"notes,omitempty"`   // what it counts in spite of
	Error   *Error   `json:"error,omitempty"`   // the worker could not do it
}

// WindowKey identifies a window of a run.
type WindowKey struct {
	Pool   string
	CellID string
	Phase  string
	Window int
}

// Key returns the identity of the window.
func (r *WindowRecord) Key() WindowKey { return WindowKey{r.Pool, r.CellID, r.Phase, r.Window} }

// ReadWindows returns the windows of a WindowFile as Read does rows; none when
// there is no such file. Of windows measured twice the last is kept.
func ReadWindows(path string) (windows []WindowRecord, warnings []error, err error) {
	return readLatest(path, func(line []byte, r *WindowRecord) (WindowKey, error) {
		err := decode(line, r, &r.Schema)
		if err == nil && (r.CellID == "" || r.Phase != "prefill" && r.Phase != "decode") {
			err = errors.New("energy window without cell_id or phase; left out")
		}
		return r.Key(), err
	})
}

// MayPass reports whether all that is wrong with a window may be gone at another
// time.
func (r *WindowRecord) MayPass() bool {
	passing := []Reason{Gap, DifferentWork, ForeignProcess, Throttled, ThermalDrift}
	for _, why := range r.Reasons {
		if !slices.Contains(passing, why) {
			return false
		}
	}
	return len(r.Reasons) > 0
}
