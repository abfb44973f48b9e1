package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"github.com/phasebench/phasebench/internal/analyze"
)

// stretchS is how many seconds the power timeline shows.
const stretchS = 4.0

// phaseSpan is one phase of one row, on the monotonic clock.
type phaseSpan struct {
	from, to int64 // ns
	prefill  bool
	group    *analyze.Group
	window   bool // an energy window, in which the phase is repeated
}

// powerTimeline draws the power of the device over the seconds of the run in
// which most samples fall into prefill, with both phases shaded.
func powerTimeline(in *input) ([]*figure, error) {
	if len(in.power) == 0 {
		return nil, noData("needs power samples of the run, which power_samples.jsonl has where power can be read")
	}
	spans, samples := sampled(in.phaseSpans(), in.power)
	if len(samples) == 0 {
		return nil, noData("needs rows that ran while power was sampled, on the device that was")
	}
	from := busiest(spans, samples)
	to := from + int64(stretchS*1e9)
	seconds := func(ns int64) float64 { return float64(ns-from) / 1e9 }

	p := newTile("", "seconds", "power, W")
	var watts span
	var line []point
	for _, s := range samples {
		if s.TimeNs >= from && s.TimeNs <= to {
			line = append(line, point{x: seconds(s.TimeNs), y: s.W})
			watts.add(&s.W)
		}
	}
	var names []string
	windows := false
	for _, s := range spans {
		if s.to < from || s.from > to {
			continue
		}
		p.Add(band{seconds(s.from), seconds(s.to), bandColor(s.prefill)})
		windows = windows || s.window
		if name := s.group.Key.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	p.Add(curve{points: line, style: solid(ink, 1.2)}, dots{points: line, style: sampleMark})
	setLinear(&p.X, span{0, stretchS, true}, 8, plain)
	setLinear(&p.Y, watts.from0(0.1), 5, plain)
	f := &figure{tiles: [][]*plot.Plot{{p}}, rowHeight: 260}
	f.legend = []key{
		{label: "sample", line: ptr(solid(ink, 1.2)), marker: ptr(sampleMark)},
		{label: "prefill", box: bandColor(true)}, {label: "decode", box: bandColor(false)},
	}
	what := "Of " + spans[0].group.Device
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("and %d more cells", len(names)-3))
	}
	for i, name := range names {
		if i == 0 {
			what += ": "
		} else {
			what += "; "
		}
		what += name
	}
	f.notes = []string{what + "."}
	if windows {
		f.notes = append(f.notes, "Long bands are energy windows, in which one phase is repeated.")
	}
	f.caption = fmt.Sprintf("Power over the %g seconds of the run with most samples inside prefill. A phase shorter than the sensor's period hardly shows in it, so energy is measured in windows.", stretchS)
	return []*figure{f}, nil
}

var sampleMark = draw.GlyphStyle{Color: ink, Radius: 1.5, Shape: shape{}}

func ptr[T any](v T) *T { return &v }

func bandColor(prefill bool) color.NRGBA {
	if prefill {
		return pale(orange, 150)
	}
	return pale(skyBlue, 90)
}

// phaseSpans lists the phases of rows, warm-ups and energy windows since the
// machine was last started, in order of time.
func (in *input) phaseSpans() []phaseSpan {
	var out []phaseSpan
	sampled := in.ClockOf(in.runID)
	for _, g := range in.Groups {
		for _, r := range slices.Concat(g.Warmups, g.Rows) {
			if !sampled(r.RunID, r.Timestamp, r.StartNs) {
				continue
			}
			first := r.StartNs + int64(*r.PrefillMs*1e6)
			out = append(out, phaseSpan{from: r.StartNs, to: first, prefill: true, group: g},
				phaseSpan{from: first, to: first + int64(*r.DecodeMs*1e6), group: g})
		}
		for _, w := range []*analyze.Windows{g.PrefillWindows, g.DecodeWindows} {
			if w == nil {
				continue
			}
			for _, r := range w.All {
				if r.EndNs > r.StartNs && sampled(r.RunID, r.Timestamp, r.StartNs) {
					out = append(out, phaseSpan{from: r.StartNs, to: r.EndNs, prefill: r.Phase == "prefill", group: g, window: true})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b phaseSpan) int { return cmp.Compare(a.from, b.from) })
	return out
}

// sampled keeps the phases that ran on one kind of device and the samples of it:
// of a GPU where any ran on one and it was sampled, else of the CPU.
func sampled(spans []phaseSpan, samples []PowerSample) ([]phaseSpan, []PowerSample) {
	for _, kind := range []string{"gpu", "cpu"} {
		there := slices.DeleteFunc(slices.Clone(spans), func(s phaseSpan) bool { return s.group.DeviceKind != kind })
		i := slices.IndexFunc(samples, func(s PowerSample) bool { return (s.GPU != "") == (kind == "gpu") })
		if len(there) > 0 && i >= 0 {
			return there, slices.DeleteFunc(slices.Clone(samples), func(s PowerSample) bool { return s.GPU != samples[i].GPU })
		}
	}
	return nil, nil
}

// busiest returns the start of the stretch in which most samples fall into the
// prefill of rows; of several, into their decode, and then the first.
func busiest(spans []phaseSpan, samples []PowerSample) int64 {
	type count struct{ prefill, decode int }
	seen := make([]count, len(samples)+1) // up to each sample
	next := 0
	for i, s := range samples {
		for next < len(spans) && (spans[next].window || spans[next].to <= s.TimeNs) {
			next++
		}
		seen[i+1] = seen[i]
		if next < len(spans) && spans[next].from <= s.TimeNs {
			if spans[next].prefill {
				seen[i+1].prefill++
			} else {
				seen[i+1].decode++
			}
		}
	}
	upTo := func(ns int64) count {
		i, _ := slices.BinarySearchFunc(samples, ns, func(s PowerSample, ns int64) int { return cmp.Compare(s.TimeNs, ns) })
		return seen[i]
	}
	best, from := count{-1, -1}, int64(0)
	for _, s := range spans {
		if s.window || !s.prefill {
			continue
		}
		start := s.from - int64(leadS*1e9)
		a, b := upTo(start), upTo(start+int64(stretchS*1e9))
		c := count{b.prefill - a.prefill, b.decode - a.decode}
		if c.prefill > best.prefill || c.prefill == best.prefill && c.decode > best.decode {
			best, from = c, start
		}
	}
	return from
}

// leadS is how long before a prefill the stretch begins.
const leadS = 0.2
