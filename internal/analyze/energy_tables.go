package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// syntheticWeights is a column beside joules: random weights can draw other
// power than trained ones, while speed and memory do not differ.
func syntheticWeights() Column { return col(syntheticColumn, "synthetic weights", "") }

func (a *Analysis) isSynthetic(model string) bool { return slices.Contains(a.Synthetic, model) }

// energyTables say what tokens take in joules.
func energyTables() []definition {
	return []definition{
		{
			name: studies + "energy_rank", section: "6.2", title: "Decode energy", needs: needsDecodePower,
			columns: append(configColumns(), col("decode_j_per_tok", "decode", "J/tok"), plusMinus("decode_j_ci", "J/tok"),
				col("decode_tok_per_kwh", "decode", "tok/kWh"), col("decode_kwh_per_m", "decode", "kWh/1M"), col("method", "method", ""),
				col("energy_of", "measured in", ""), col("powered_pct", "of the decode time", "%"), syntheticWeights()),
			fill: fillEnergyRank,
			notes: []string{fmt.Sprintf("Gross. Scenarios whose energy is not known count at the mean power of those where it is; left out when those have no energy windows and are less than %.0f %% of the decode time.",
				100*minPowered)},
		},
		{
			name: studies + "carbon", section: "6.3", title: "Carbon of the blend", needs: needsPower + " and a carbon intensity (--carbon)",
			columns: append(configColumns(), col("kwh_per_m", "energy", "kWh/1M"), col("gco2e_per_m", "CO2e", "g/1M"), plusMinus("gco2e_ci", "g/1M"),
				blank("energy_of", "energy of"), syntheticWeights()),
			fill: fillCarbon,
		},
		{
			name: studies + "energy_per_token", section: "6.4", title: "Joules per token by scenario and phase", needs: "energy windows, or mean power in a phase",
			columns: append(groupColumns(), col("phase", "phase", ""),
				col("j_per_tok", "gross", "J/tok"), plusMinus("j_ci", "J/tok"), col("net_j_per_tok", "net of idle", "J/tok"), col("method", "method", ""),
				col("windows_valid", "valid windows", ""), col("windows", "of", ""),
				Column{Name: "cv_pct", Title: "CV", Unit: "%", Digits: 2}, Column{Name: "consistency_pct", Title: "counter/integral - 1", Unit: "%", Digits: 2},
				blank("invalid", "not valid"), blank("notes", "note"),
				Column{Name: "rows_j_per_tok", Title: "by the rows' samples", Unit: "J/tok", Blank: true}, col("rows_powered", "rows with power", ""), col("n", "of", ""),
				col("n_samples", "samples in rows", ""), syntheticWeights()),
			fill: fillEnergyPerToken,
			notes: []string{
				fmt.Sprintf("Method: counter or integral, the mean over valid windows, in which the phase was repeated for seconds, ± its 95 %% interval over %d windows or more; samples, the mean power of rows that last long enough for the sensor, for the time of a token; assumed, watts the user gave. Windows take precedence; the rows' own figure stands beside them.", minWindows),
				"Gross counts all that the device draws and is what costs are made with; net is less what it draws idle in the same time. Counter and integral read one sensor, so their difference shows consistency, no accuracy. Rows without power are left out of the mean, not counted as 0.",
			},
		},
		{
			name: studies + "energy_windows", title: "Energy windows", needs: "energy windows",
			columns: append(groupColumns(), col("phase", "phase", ""), col("launch", "launch", ""), col("window", "window", ""), col("open_s", "open", "s"),
				col("reps", "repetitions", ""), col("tokens", "tokens", ""), col("tok_s", "window", "tok/s"),
				Column{Name: "rows_tok_s", Title: "rows", Unit: "tok/s", Hidden: true},
				col("work_pct", "rate against rows", "%"), Column{Name: "refs_tok_s", Title: "rows around it", Unit: "tok/s", Hidden: true}, col("refs_pct", "against rows around it", "%"), col("least_tok_s", "they allow from", "tok/s"), col("most_tok_s", "to", "tok/s"),
				col("source", "source", ""), Column{Name: "sensor_period_ms", Hidden: true}, col("n_samples", "samples", ""),
				col("counter_w", "counter", "W"), col("integral_w", "integral", "W"), Column{Name: "consistency_pct", Title: "difference", Unit: "%", Digits: 2},
				col("j_per_tok", "gross", "J/tok"), col("method", "method", ""),
				Column{Name: "drift_pct", Title: "drift", Unit: "%", Digits: 2}, Column{Name: "drift_half_pct", Title: "±", Unit: "%", Digits: 2},
				Column{Name: "temp_start_c", Hidden: true}, col("temp_end_c", "GPU", "°C"), col("sm_mhz", "SM clock", "MHz"), blank("throttle", "held back by"),
				col("valid", "valid", ""), blank("reasons", "why not"), blank("notes", "note"), syntheticWeights()),
			fill: fillWindows,
			notes: []string{"Rate against rows: of the repetitions that evaluate as many tokens as the timed rows, over the median rate of those, less 1; beside it the same over the geometric mean of rows timed right before and after the window. Those are what counts, for the speed of a host changes within seconds: they allow any rate from 2 % below to 2 % above the medians of the rows before and of those after, and what these scatter beyond that. A window of another rate did other work and does not count; where the rows allow much, little is said. Where no rows were timed around it, the rows of the cell were what counted.",
				"Drift: how much more energy a token took in the second half of the window than in the first, and half of the 95 % interval of that, from when the counter can have stepped or from the scatter of the sensor. Heat drifts: beyond 3 % and the half, the window does not count. So does a host that gets slower, for a device at rest draws power too; where the clocks stayed, the pace changed more than the power and this did not move against it, that was it, and the window counts with the note uneven_pace: the timed rows were held up likewise, and how much it matters is in the scatter of several windows."},
		},
		{
			name: studies + "idle_power", title: "What the devices draw with nothing to do", needs: "idle power, measured before the rows",
			columns: []Column{col("device_kind", "device kind", ""), col("device", "device", ""), col("idle_w", "idle", "W"), col("drift_w", "drift", "W"),
				col("duration_s", "watched for", "s"), col("n_samples", "samples", ""), col("temp_c", "temperature", "°C"), col("source", "source", "")},
			fill: func(a *Analysis, t *Table) error {
				for _, d := range a.DeviceRecords {
					if d.Kind == record.DeviceIdle {
						t.Add(d.DeviceKind, d.Device, d.PowerMeanW, d.DriftW, d.DurationS, d.NSamples, d.TempC, d.Source)
					}
				}
				return nil
			},
			notes: []string{"Drift: mean of the second half less that of the first."},
		},
	}
}

// method returns how the energy of a rate was measured; nil without one.
func method(r Rate) any {
	if r.Energy == nil {
		return nil
	}
	return r.Energy.Method
}

func fillEnergyRank(a *Analysis, t *Table) error {
	var with []*Config
	for _, c := range a.Configs {
		if c.Decode.Energy != nil {
			with = append(with, c)
		}
	}
	slices.SortStableFunc(with, func(x, y *Config) int { return cmp.Compare(*x.Decode.JPerTok(), *y.Decode.JPerTok()) })
	for _, c := range with {
		j, err := c.Decode.joules()
		if err != nil {
			return err
		}
		perKWh, err := econ.TokPerKWh(j.Value)
		if err != nil {
			return err
		}
		kwh, err := econ.KWhPerM(j.Value)
		if err != nil {
			return err
		}
		t.Add(append(configCells(c.ConfigKey), j.Value, j.Half, perKWh, kwh, method(c.Decode),
			strings.Join(c.Decode.EnergyOf, ", "), 100*c.Decode.EnergyShare, a.isSynthetic(c.Model))...)
	}
	return nil
}

func fillCarbon(a *Analysis, t *Table) error {
	if a.Carbon == nil {
		return nil
	}
	for _, c := range a.Configs {
		j, err := a.blendJoules(c.Prefill, c.Decode)
		if err != nil {
			return err
		}
		if j == nil {
			continue
		}
		kwh, err := econ.KWhPerM(j.Value)
		if err != nil {
			return err
		}
		grams := Estimate{Value: kwh * a.Carbon.GPerKWh}
		if j.Half != nil {
			half := *j.Half / j.Value * grams.Value
			grams.Half = &half
		}
		t.Add(append(configCells(c.ConfigKey), kwh, grams.Value, grams.Half, c.Basis(), a.isSynthetic(c.Model))...)
	}
	return nil
}

// blendJoules returns joules per token of the blend; nil unless both phases
// have them.
func (a *Analysis) blendJoules(prefill, decode Rate) (*Estimate, error) {
	v, ok, err := a.Blend.JPerTok(prefill.phase(), decode.phase())
	if err != nil || !ok {
		return nil, err
	}
	p, pok := prefill.interval()
	d, dok := decode.interval()
	if !pok || !dok {
		return &Estimate{Value: v}, nil
	}
	pj, _, err := p.Energy()
	if err != nil {
		return nil, err
	}
	dj, _, err := d.Energy()
	if err != nil {
		return nil, err
	}
	j, err := a.Blend.MixInterval(pj, dj)
	return &Estimate{j.Value, &j.Half}, err
}

func fillEnergyPerToken(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		idle := a.idleW(g)
		for _, p := range g.energies() {
			n := len(p.windows.All)
			if p.rate.Energy == nil && n == 0 {
				continue
			}
			j, err := p.rate.joules()
			if err != nil {
				return fmt.Errorf("%s, %s: %w", g.Key, p.name, err)
			}
			if j == nil {
				j = &Estimate{}
			}
			rows := p.rate
			rows.Energy = rows.Samples
			t.Add(append(groupCells(g.Key), p.name, p.rate.JPerTok(), j.Half, p.netJPerTok(idle), method(p.rate),
				p.windows.Valid, n, p.windows.CVPct, p.windows.Consistency, strings.Join(p.windows.Reasons, ", "), strings.Join(p.windows.Notes, ", "),
				rows.JPerTok(), p.rate.Powered, len(g.Rows), p.samples, a.isSynthetic(g.Model))...)
		}
	}
	return nil
}

func fillWindows(a *Analysis, t *Table) error {
	for _, g := range a.Groups {
		for _, p := range g.energies() {
			for _, r := range p.windows.All {
				why := invalid(r)
				t.Add(append(groupCells(g.Key), p.name, r.Launch, r.Window, float64(r.EndNs-r.OpenNs)/1e9, r.Reps, r.Tokens, r.TokPerS,
					r.TokPerSRows, lessOne(r.TokPerSLike, r.TokPerSRows), around(r), lessOne(r.TokPerSLike, around(r)), positive(r.TokPerSAllowed[0]), positive(r.TokPerSAllowed[1]), r.Source, r.SensorPeriodMs, r.NSamples,
					r.CounterW, r.IntegralW, consistencyPct(r), r.JPerToken, r.Method, r.DriftPct, r.DriftHalfPct,
					r.TempStartC, r.TempEndC, r.SMMHz, strings.Join(r.Throttle, ", "), len(why) == 0, strings.Join(why, ", "), strings.Join(record.Names(r.Notes), ", "), r.Synthetic)...)
			}
		}
	}
	return nil
}

// around returns the geometric mean of the rates of the rows timed around a
// window; nil without any.
func around(r *record.WindowRecord) *float64 {
	if len(r.TokPerSRefs) == 0 {
		return nil
	}
	v := stat.GeometricMean(r.TokPerSRefs, nil)
	return &v
}

// positive returns nil for a rate that is not recorded.
func positive(rate float64) *float64 {
	if rate <= 0 {
		return nil
	}
	return &rate
}

// lessOne returns x over y less 1 in percent; nil when either is.
func lessOne(x, y *float64) *float64 {
	share := over(x, y)
	if share == nil {
		return nil
	}
	v := 100 * (*share - 1)
	return &v
}
