package imports

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/record"
)

// Column is a column of the minimal CSV.
type Column struct {
	Name     string
	Required bool // the column, not a value in each row
	Means    string
}

// Columns are the columns of the minimal CSV. An empty cell is a value that was
// not measured.
var Columns = []Column{
	{"model", true, "name of the model"},
	{"backend", true, "what ran it"},
	{"scenario", true, "name of the shape of work"},
	{"prompt_tokens", true, "tokens of the prompt, per sequence"},
	{"gen_tokens", true, "tokens generated after the first, per sequence"},
	{"prefill_ms", true, "from the prompt to its first token"},
	{"decode_ms", true, "for gen_tokens more"},
	{"rep", false, "repetition, from 0; without it rows of a cell count up"},
	{"launch", false, "process, from 0; default 0"},
	{"batch", false, "sequences at once; default 1"},
	{"kv_type_k", false, "type of the K cache; default f16"},
	{"kv_type_v", false, "type of the V cache; default f16"},
	{"decode_mode", false, "cached (default) or uncached"},
	{"synthetic", false, "true when the weights are random numbers"},
	{"timestamp", false, "when the row was started, RFC 3339"},
	{"device", false, "name of the hardware, which prices go by"},
	{"device_kind", false, "cpu or gpu"},
	{"engine_version", false, "version of the program"},
	{"origin", false, "name of the program, which tables show beside the backend; default csv"},
	{"threads", false, "CPU threads"},
	{"token_hash", false, "any hash of the tokens sampled, for cells whose rows all have one prompt and sample greedily: other tokens count as a fault"},
	{"load_ms", false, "to load the model"},
	{"gpu_temp_c", false, "temperature of the GPU"},
	{"prefill_power_w", false, "mean power of the device during prefill"},
	{"decode_power_w", false, "mean power of the device during decode"},
	{"prefill_power_samples", false, "readings behind prefill_power_w"},
	{"decode_power_samples", false, "readings behind decode_power_w"},
	{"power_period_ms", false, "time between two values of the power sensor; without it power does not count"},
	{"prefill_window_s", false, "an energy window: prefills repeated for so long, after this row"},
	{"prefill_window_w", false, "mean power of the device in it, by an energy counter"},
	{"prefill_window_tok_s", false, "tokens evaluated in it per second"},
	{"decode_window_s", false, "an energy window of decode"},
	{"decode_window_w", false, "mean power of the device in it"},
	{"decode_window_tok_s", false, "tokens generated in it per second"},
}

// cells remembers the rows of the minimal CSV.
type cells struct {
	seen map[record.Key]place
	next map[record.Key]int // the repetition that has no number of its own
	// windows counts the energy windows of a cell, over all launches, by phase.
	windows map[record.WindowKey]int
}

// addRow adds a row of the minimal CSV.
func (c *cells) addRow(out *Result, at place, values map[string]any, opts Options) error {
	f := &fields{at: at, values: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(Columns, func(c Column) bool { return c.Name == name }) {
			return place{at.file, 1}.errorf("column %q is not known; see bench import --help", name)
		}
	}
	f.required("backend", "scenario", "prompt_tokens", "gen_tokens")
	if opts.Model == "" {
		f.required("model")
	}
	row := record.Record{
		Origin: cmp.Or(f.text("origin"), CSV), Status: record.StatusOK,
		Model: cmp.Or(opts.Model, f.text("model")), Backend: f.text("backend"), Scenario: f.text("scenario"),
		Launch: f.count("launch", 0, 0), Batch: f.count("batch", 1, 1),
		KVTypeK: cmp.Or(f.text("kv_type_k"), "f16"), KVTypeV: cmp.Or(f.text("kv_type_v"), "f16"),
		DecodeMode: cmp.Or(f.text("decode_mode"), cached), Synthetic: opts.Synthetic || f.yes("synthetic"),
		PromptTokens: f.count("prompt_tokens", 1, 0), GenTokens: f.count("gen_tokens", 0, 0),
		PrefillMs: f.positive("prefill_ms"), DecodeMs: f.positive("decode_ms"), LoadMs: f.positive("load_ms"),
		TokenHash: f.text("token_hash"), Device: f.text("device"), DeviceKind: f.text("device_kind"), EngineVersion: f.text("engine_version"),
		Threads: f.count("threads", 1, 0), GPUTempC: f.positive("gpu_temp_c"),
	}
	if row.PrefillMs == nil && row.DecodeMs == nil && f.err == nil {
		f.err = at.errorf("neither prefill_ms nor decode_ms")
	}
	if row.DecodeMode != cached && row.DecodeMode != "uncached" {
		f.fail("decode_mode", "cached or uncached")
	}
	if k := row.DeviceKind; k != "" && k != "cpu" && k != "gpu" {
		f.fail("device_kind", "cpu or gpu")
	}
	if text := f.text("timestamp"); text != "" {
		var err error
		if row.Timestamp, err = time.Parse(time.RFC3339, text); err != nil {
			f.fail("timestamp", "a time like 2026-01-02T03:04:05Z")
		}
	}
	row.PhasePower = f.power()
	row.CellID = cellID(&row)
	if _, given := values["rep"]; given {
		row.Rep = f.count("rep", 0, 0)
	} else {
		cell := row.Key()
		row.Rep = c.next[cell]
		c.next[cell]++
	}
	if f.err != nil {
		return f.err
	}
	if was, seen := c.seen[row.Key()]; seen {
		return at.errorf("repetition %d of launch %d of %s is already in %s:%d", row.Rep, row.Launch, row.CellID, was.file, was.line)
	}
	c.seen[row.Key()] = at
	for _, phase := range []string{"prefill", "decode"} {
		c.addWindow(f, phase, &row, out)
	}
	if f.err != nil {
		return f.err
	}
	return out.add(row)
}

// addWindow adds the energy window of a phase after a row, if there is one. It
// counts when it is record.WindowPeriods of the sensor long, as one of our own.
func (c *cells) addWindow(f *fields, phase string, row *record.Record, out *Result) {
	seconds, watts, rate := f.positive(phase+"_window_s"), f.positive(phase+"_window_w"), f.positive(phase+"_window_tok_s")
	if seconds == nil && watts == nil && rate == nil {
		return
	}
	period := f.positive("power_period_ms")
	if f.err == nil && (seconds == nil || watts == nil || rate == nil || period == nil) {
		f.err = f.at.errorf("an energy window of %s needs %[1]s_window_s, %[1]s_window_w, %[1]s_window_tok_s and power_period_ms", phase)
	}
	if f.err != nil {
		return
	}
	cell := record.WindowKey{CellID: row.CellID, Phase: phase}
	joules := *watts / *rate
	w := record.WindowRecord{
		Timestamp: row.Timestamp, CellID: row.CellID, Origin: row.Origin,
		Model: row.Model, Backend: row.Backend, Scenario: row.Scenario, Launch: row.Launch, Phase: phase, Window: c.windows[cell],
		Batch: row.Batch, KVTypeK: row.KVTypeK, KVTypeV: row.KVTypeV, DecodeMode: row.DecodeMode,
		Synthetic: row.Synthetic, Device: row.Device, DeviceKind: row.DeviceKind,
		EndNs: int64(*seconds * 1e9), TokPerS: *rate, SensorPeriodMs: period,
		CounterW: watts, JPerToken: &joules, Method: "counter", Valid: true,
	}
	if *seconds*1e3 < record.WindowPeriods**period {
		w.Valid, w.Reasons = false, []record.Reason{record.TooShort}
	}
	c.windows[cell]++
	out.Windows = append(out.Windows, w)
}

// power returns the power of both phases; nil when there is none.
func (f *fields) power() *record.PhasePower {
	p := record.PhasePower{
		Prefill:        record.PowerStats{PowerMeanW: f.positive("prefill_power_w"), NSamples: f.count("prefill_power_samples", 0, 0)},
		Decode:         record.PowerStats{PowerMeanW: f.positive("decode_power_w"), NSamples: f.count("decode_power_samples", 0, 0)},
		SensorPeriodMs: f.positive("power_period_ms"),
	}
	if p.Prefill.PowerMeanW == nil && p.Decode.PowerMeanW == nil {
		return nil
	}
	return &p
}

// Format describes the minimal CSV.
func Format() string {
	var s strings.Builder
	for _, c := range Columns {
		s.WriteString("  " + c.Name + strings.Repeat(" ", 24-len(c.Name)) + c.Means)
		if c.Required {
			s.WriteString(" (required)")
		}
		s.WriteString("\n")
	}
	return s.String()
}
