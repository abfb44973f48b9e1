// Package analyze turns the rows of a run into groups, costs, rankings and
// tables. It reads no file and prints nothing: rows and prices in, plain values
// out, in an order that depends on the rows alone.
//
// A group is the repetitions of one cell. Its throughput is the sum of its
// tokens over the sum of its seconds. Warm-ups, skipped rows and errors are
// counted but enter no statistic. What no row measured is absent from every
// result; doubts travel as warnings beside it.
package analyze

import (
	"errors"
	"fmt"
	"math"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
)

// Confidence is the level of every interval.
const Confidence = 0.95

// Options say how rows are priced.
type Options struct {
	Pricing *pricing.Pricing // nil: no prices but RateUSDPerHour
	Carbon  *pricing.Region  // nil: no carbon

	// RateUSDPerHour is the own rate of the devices in the rows, whatever the
	// pricing file says; nil to go by the file.
	RateUSDPerHour *float64
	Blend          string // name of a blend; empty for the pricing file's default

	KV          []record.KVRecord      // what caches held, length by length
	Windows     []record.WindowRecord  // energy of phases that were repeated for seconds
	Devices     []record.DeviceRecord  // idle power and ceilings of the devices
	Quality     []record.QualityRecord // how well models predict a text
	PowerReads  PowerReads             // when power was read
	DeviceBytes map[string]int64       // memory of the devices in the rows, by name

	// PlannedRows is how many rows the run was to have besides warm-ups; 0
	// when that is not known.
	Cells       []string // IDs in the order of the plan; nil when not known
	PlannedRows int
	// Merged is how many runs the rows were merged from; 0 for one run.
	Merged int
}

// Analysis is what the rows of a run say.
type Analysis struct {
	RunIDs         []string // in order of appearance, as are the next three
	EngineVersions []string
	Devices        []string
	Synthetic      []string // models whose weights are random numbers

	Blend  econ.Blend
	Packs  []econ.Request // shapes of requests to price
	Prices Prices
	Carbon *pricing.Region

	Accounting Accounting
	// DeviceRecords are the idle power and the ceilings of the devices, one of a
	// kind for each kind of device.
	DeviceRecords []record.DeviceRecord

	Groups    []*Group   // groups with at least one measured row
	Configs   []*Config  // each over its scenarios
	Rankings  []*Ranking // one per price that any configuration has
	Models    []*Model
	KV        []KV
	KVPoints  []Point
	Quality   []record.QualityRecord // how well models predict a text, and why others were not scored
	OneTime   []OneTime
	Steps     []Steps    // spread of single decode steps
	Rooflines []Roofline // what was used of what the devices can do
	Degraded  []Degraded // rows that ran degraded
	Graphs    []Graphs   // pairs of backends that differ in CUDA graphs only
	Tests     []BackendTest
	Uncached  []Uncached // cells with and without the KV cache
	Watching  []WatchingCost
	Checks    []Check // validation
	Claims    []Claim // of TR123
	Warnings  []Warning

	deviceBytes map[string]int64
}

// Analyze analyses the rows of a run; each key must appear at most once, as
// record.Latest leaves them. Rows without any measured one give an analysis
// that says so. An error means that the options do not fit.
func Analyze(rows []record.Record, opts Options) (*Analysis, error) {
	o := newOrder(opts.Cells, rows)
	rows, opts.Windows, opts.KV, opts.Devices = o.rows(rows), o.windows(opts.Windows), o.kv(opts.KV), o.devices(opts.Devices)
	a := &Analysis{Carbon: opts.Carbon, DeviceRecords: opts.Devices, deviceBytes: opts.DeviceBytes}
	if opts.Pricing == nil {
		opts.Pricing = &pricing.Pricing{}
	}
	var err error
	if a.Blend, err = opts.Pricing.BlendNamed(opts.Blend); err != nil {
		return nil, err
	}
	if a.Prices, err = newPrices(opts); err != nil {
		return nil, err
	}

	var w warnings
	rows = byPlace(rows, &opts)
	a.identify(rows, opts.KV)
	a.Accounting = account(rows, opts.PlannedRows, &w)
	measured := usable(rows, &w)
	a.Groups = groups(measured, opts.Windows, &w)
	addWarmups(a.Groups, rows)
	a.Steps = steps(a.Groups)
	a.Degraded = degraded(a.Groups, &w)
	a.Configs = configs(a.Groups)
	if err := a.price(); err != nil {
		return nil, err
	}
	if a.Rankings, err = a.rankings(&w); err != nil {
		return nil, err
	}
	a.Packs = opts.Pricing.Packs()
	a.Models = models(a.Groups, rows, opts.KV)
	a.KV = kvRows(a.Groups, a.Models, &w)
	if a.Rooflines, err = a.rooflines(); err != nil {
		return nil, err
	}
	a.KVPoints = points(opts.KV, &w)
	a.Quality = o.quality(opts.Quality)
	a.OneTime = oneTimes(rows)
	if a.Graphs, err = a.graphPairs(); err != nil {
		return nil, err
	}
	a.Tests = a.backendTests()
	a.Uncached = a.uncached()
	a.Watching = a.watchingCosts(opts.PowerReads)
	a.warn(opts, &w)
	a.warnHosts(&w)
	a.warnEnergy(&w)
	a.Checks = a.validate()
	if a.Claims, err = a.claims(); err != nil {
		return nil, err
	}
	a.Warnings = w.list
	return a, nil
}

// identify notes what the rows say about where they come from.
func (a *Analysis) identify(rows []record.Record, kv []record.KVRecord) {
	var runs, engines, devices, synthetic set
	for i := range rows {
		r := &rows[i]
		runs.add(r.RunID)
		engines.add(r.EngineVersion)
		devices.add(r.Device)
		if r.Synthetic && r.Status == record.StatusOK {
			synthetic.add(r.Model)
		}
	}
	for i := range kv {
		if kv[i].Synthetic {
			synthetic.add(kv[i].Model)
		}
	}
	a.RunIDs, a.EngineVersions, a.Devices, a.Synthetic = runs.list, engines.list, devices.list, synthetic.list
}

// set keeps distinct non-empty strings in order of appearance.
type set struct {
	list []string
	seen map[string]bool
}

func (s *set) add(v string) {
	if v == "" || s.seen[v] {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[v] = true
	s.list = append(s.list, v)
}

// usable returns the rows that statistics are made of: measured, not warm-ups,
// with both times and token counts. An ok row that lacks one is told.
func usable(rows []record.Record, w *warnings) []*record.Record {
	var out []*record.Record
	for i := range rows {
		r := &rows[i]
		if r.Status != record.StatusOK || r.Warmup {
			continue
		}
		if err := lacks(r); err != nil {
			w.add(r.CellID, "an ok row cannot be used: %v", err)
			continue
		}
		out = append(out, r)
	}
	return out
}

func lacks(r *record.Record) error {
	positive := func(name string, v *float64) error {
		if v == nil {
			return fmt.Errorf("%s is missing", name)
		}
		if !(*v > 0) || math.IsInf(*v, 0) {
			return fmt.Errorf("%s is %v", name, *v)
		}
		return nil
	}
	var counts error
	if r.PromptTokens < 1 || r.GenTokens < 1 {
		counts = fmt.Errorf("%d prompt and %d generated tokens", r.PromptTokens, r.GenTokens)
	}
	return errors.Join(positive("prefill_ms", r.PrefillMs), positive("decode_ms", r.DecodeMs), counts)
}
