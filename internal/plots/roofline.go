package plots

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/record"
)

// roofline draws decode against what the device's memory allows, and prefill
// against what its arithmetic does.
func roofline(in *input) ([]*figure, error) {
	f := &figure{rowHeight: 330, tiles: [][]*plot.Plot{nil}}
	drawn := map[string]bool{}
	var ends reach
	for _, draw := range []func(map[string]bool) (*plot.Plot, reach){in.decodeRoof, in.prefillRoof} {
		if tile, its := draw(drawn); tile != nil {
			f.tiles[0], ends = append(f.tiles[0], tile), ends.and(its)
		}
	}
	if len(f.tiles[0]) == 0 {
		return nil, noData("needs the ceilings of the device, measured before the rows, and the bytes and weights a token of the model takes, which the first row of a launch carries")
	}
	f.legend = legend(in.models, drawn, func(name string) key {
		return markerKey(name, look{color: faint, shape: in.model[name].shape}.marker(false))
	})
	f.legend = append(f.legend, legend(in.backends, drawn, func(name string) key { return key{label: name, box: in.backend[name].color} })...)
	for i, c := range in.memoryCeilings() {
		f.legend = append(f.legend, lineKey(c.label, ceilingLine(i)))
	}
	f.notes = []string{"A marker is a scenario: its shape is the model, its colour the backend. The closer to a line, the more of the device is used. " + ends.String()}
	f.caption = "Left, decoded tokens per second against the bytes that a token reads; the lines are the measured copy and read rates of the device over these bytes. Right, arithmetic rate of prefill, with the measured rate of a matrix product."
	return []*figure{f}, nil
}

// roofMark is a marker in the model's shape and the backend's colour.
func (in *input) roofMark(k analyze.ConfigKey) look {
	return look{color: in.look(k).color, shape: in.model[k.Model].shape}
}

// ceiling is a measured rate of a device.
type ceiling struct {
	label string
	rate  float64
}

// ceilings lists the rates that pick returns of the devices, each once.
func (in *input) ceilings(name string, pick func(*record.DeviceRecord) *float64, unit func(float64) string) []ceiling {
	var out []ceiling
	for _, r := range in.Rooflines {
		v := pick(r.Ceiling)
		if v == nil || !(*v > 0) {
			continue
		}
		c := ceiling{fmt.Sprintf("%s %s, %s", r.Ceiling.DeviceKind, name, unit(*v)), *v}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

func perSecond(unit string) func(float64) string {
	return func(v float64) string {
		s := scaled(v)
		if last := s[len(s)-1]; last > '9' {
			return s[:len(s)-1] + " " + string(last) + unit + "/s"
		}
		return s + " " + unit + "/s"
	}
}

// memoryCeilings are the copy and read rates of the devices.
func (in *input) memoryCeilings() []ceiling {
	return append(
		in.ceilings("copy", func(d *record.DeviceRecord) *float64 { return d.CopyBytesPerS }, perSecond("B")),
		in.ceilings("read", func(d *record.DeviceRecord) *float64 { return d.ReadBytesPerS }, perSecond("B"))...)
}

func ceilingLine(i int) draw.LineStyle {
	return look{color: faint, dash: dashes[i%len(dashes)]}.line(1.2)
}

func (in *input) decodeRoof(drawn map[string]bool) (*plot.Plot, reach) {
	ceilings := in.memoryCeilings()
	if len(ceilings) == 0 {
		return nil, reach{}
	}
	p := newTile("decode", "read for a token (log)", "decoded tokens per second (log)")
	var bytes span
	var rates extent
	var marks []dots
	for _, r := range in.Rooflines {
		if r.BytesPerTok == nil {
			continue
		}
		drawn[r.Model], drawn[r.Backend] = true, true
		value, lo, hi := inverse(r.Decode.SPerTok)
		at := point{x: *r.BytesPerTok, y: value, lo: lo, hi: hi}
		bytes.add(&at.x)
		rates.add(at.y, lo, hi)
		marks = append(marks, dots{points: []point{at}, style: in.roofMark(r.ConfigKey).marker(false)})
	}
	if !bytes.some {
		return nil, reach{}
	}
	x := bytes.times(1.6)
	for i, c := range ceilings {
		for _, at := range []float64{x.lo, x.hi} {
			rates.add(c.rate/at, nil, nil)
		}
		p.Add(curve{points: []point{{x: x.lo, y: c.rate / x.lo}, {x: x.hi, y: c.rate / x.hi}}, style: ceilingLine(i)})
	}
	for _, m := range marks {
		p.Add(m)
	}
	setLog(&p.X, x, bytesText)
	shown, ends := rates.within(maxReach)
	setLog(&p.Y, shown.times(1.3), scaled)
	return p, ends
}

func (in *input) prefillRoof(drawn map[string]bool) (*plot.Plot, reach) {
	ceilings := in.ceilings("matmul", func(d *record.DeviceRecord) *float64 { return d.MatmulFlopsPerS }, perSecond("FLOP"))
	if len(ceilings) == 0 {
		return nil, reach{}
	}
	p := newTile("prefill", "prompt tokens of all sequences (log)", "FLOP per second (log)")
	var tokens span
	var rates extent
	var marks []dots
	for _, r := range in.Rooflines {
		if r.FLOPs == nil {
			continue
		}
		drawn[r.Model], drawn[r.Backend] = true, true
		n := float64(r.PromptTokens * max(1, r.Batch))
		perToken := *r.FLOPs / n
		value, lo, hi := inverse(r.Prefill.SPerTok)
		at := point{x: n, y: value * perToken, lo: scale(lo, perToken), hi: scale(hi, perToken)}
		tokens.add(&at.x)
		rates.add(at.y, at.lo, at.hi)
		marks = append(marks, dots{points: []point{at}, style: in.roofMark(r.ConfigKey).marker(false)})
	}
	if !tokens.some {
		return nil, reach{}
	}
	for i, c := range ceilings {
		rates.add(c.rate, nil, nil)
		p.Add(rule{value: c.rate, style: ceilingLine(i), label: c.label})
	}
	for _, m := range marks {
		p.Add(m)
	}
	setLog(&p.X, tokens.times(1.3), scaled)
	shown, ends := rates.within(maxReach)
	setLog(&p.Y, shown.times(1.5), scaled)
	return p, ends
}

func scale(v *float64, k float64) *float64 {
	if v == nil {
		return nil
	}
	out := *v * k
	return &out
}
