package econ_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/phasebench/phasebench/econ"
)

func ptr(v float64) *float64 { return &v }

// trials runs f with n draws of a seeded generator.
func trials(n int, f func(r *rand.Rand)) {
	r := rand.New(rand.NewPCG(42, 7))
	for range n {
		f(r)
	}
}

// logUniform draws from [lo,hi] evenly on a log scale.
func logUniform(r *rand.Rand, lo, hi float64) float64 {
	return lo * math.Exp(r.Float64()*math.Log(hi/lo))
}

func drawPhase(r *rand.Rand) econ.Phase {
	return econ.Phase{TokPerS: logUniform(r, 0.1, 1e5), JPerTok: ptr(logUniform(r, 1e-4, 10))}
}

func closeTo(a, b, rel float64) bool { return math.Abs(a-b) <= rel*math.Max(math.Abs(a), math.Abs(b)) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestCostIsLinearInRate(t *testing.T) {
	cost := must[econ.Cost](t)
	trials(500, func(r *rand.Rand) {
		p, d, at := drawPhase(r), drawPhase(r), econ.Prices{USDPerHour: logUniform(r, 0.01, 10), USDPerKWh: 0.2}
		k := logUniform(r, 0.1, 10)
		once := cost(chat.CostPerM(p, d, at))
		at.USDPerHour *= k
		scaled := cost(chat.CostPerM(p, d, at))
		if !closeTo(scaled.InfraUSD, k*once.InfraUSD, 1e-12) {
			t.Errorf("%v times the rate: infra %v -> %v", k, once.InfraUSD, scaled.InfraUSD)
		}
		if *scaled.EnergyUSD != *once.EnergyUSD {
			t.Errorf("energy depends on the hourly rate: %v -> %v", *once.EnergyUSD, *scaled.EnergyUSD)
		}
	})
}

func TestBlendLiesBetweenItsPhases(t *testing.T) {
	cost := must[econ.Cost](t)
	trials(500, func(r *rand.Rand) {
		p, d := drawPhase(r), drawPhase(r)
		pc, dc := cost(p.CostPerM(consumer)).TotalUSD(), cost(d.CostPerM(consumer)).TotalUSD()
		lo, hi := min(pc, dc), max(pc, dc)
		for _, b := range append(econ.Profiles(), econ.Blend{Name: "any", Input: r.Float64()}) {
			c := cost(b.CostPerM(p, d, consumer))
			if got := c.TotalUSD(); got < lo*(1-1e-12) || got > hi*(1+1e-12) {
				t.Errorf("%s: %v outside [%v,%v]", b.Name, got, lo, hi)
			}
			if share, ok := c.EnergyShare(); !ok || share < 0 || share > 1 {
				t.Errorf("%s: energy share %v, %v", b.Name, share, ok)
			}
		}
	})
}

func TestRequestCostGrowsWithTokens(t *testing.T) {
	cost := must[econ.Cost](t)
	trials(500, func(r *rand.Rand) {
		p, d := drawPhase(r), drawPhase(r)
		small := econ.Request{PromptTokens: r.IntN(2000), GenTokens: r.IntN(2000)}
		longer, wordier := small, small
		longer.PromptTokens++
		wordier.GenTokens++
		base := cost(small.Cost(p, d, consumer)).TotalUSD()
		for _, more := range []econ.Request{longer, wordier} {
			if got := cost(more.Cost(p, d, consumer)).TotalUSD(); got <= base {
				t.Errorf("%+v costs %v, %+v costs %v", more, got, small, base)
			}
		}
	})
}

func TestEnergyStaysAbsent(t *testing.T) {
	with, without := econ.Phase{TokPerS: 100, JPerTok: ptr(1)}, econ.Phase{TokPerS: 100}
	cost := must[econ.Cost](t)
	for _, c := range []econ.Cost{
		cost(without.CostPerM(consumer)),
		cost(chat.CostPerM(with, without, consumer)),
		cost(chat.CostPerM(without, with, consumer)),
		cost(request.Cost(with, without, consumer)),
		must[econ.Month](t)(econ.MonthlyTokens(1e9, chat, without, without, consumer)).Used,
	} {
		if c.Complete() || c.EnergyUSD != nil || c.TotalUSD() != c.InfraUSD {
			t.Errorf("cost without measured energy: %+v", c)
		}
		if _, ok := c.EnergyShare(); ok {
			t.Errorf("energy share known without energy: %+v", c)
		}
	}
	if _, ok, err := chat.JPerTok(with, without); ok || err != nil {
		t.Errorf("blend energy known without decode energy: %v, %v", ok, err)
	}
}

func TestCapacityCoversTheLoad(t *testing.T) {
	trials(500, func(r *rand.Rand) {
		rps, s := logUniform(r, 0.1, 1000), logUniform(r, 0.001, 100)
		n := must[int](t)(econ.Workers(rps, s))
		if capacity := float64(n) / s; capacity < rps*(1-1e-9) {
			t.Errorf("%d workers of %v s serve %v/s, asked %v/s", n, s, capacity, rps)
		}
		if n > 0 && float64(n-1)/s >= rps*(1+1e-9) {
			t.Errorf("%d workers of %v s for %v/s: one fewer is enough", n, s, rps)
		}
	})
	// 100 * 0.07 is 7.000000000000001 in floating point.
	if n := must[int](t)(econ.Workers(100, 0.07)); n != 7 {
		t.Errorf("Workers(100, 0.07) = %d, want 7", n)
	}
	if n := must[int](t)(econ.GPUsForHours(730.5, 1)); n != 2 {
		t.Errorf("730.5 h take %d machines, want 2", n)
	}
}

func TestAmortizedRate(t *testing.T) {
	rate := must[float64](t)
	if got := rate(econ.AmortizedUSDPerHour(1200, 3, 1)); math.Abs(got-0.046) > 0.0005 {
		t.Errorf("$1,200 over 3 years = $%v/h, want TR123's 0.046", got)
	}
	if full, half := rate(econ.AmortizedUSDPerHour(1200, 3, 1)), rate(econ.AmortizedUSDPerHour(1200, 3, 0.5)); !closeTo(half, 2*full, 1e-12) {
		t.Errorf("half the utilisation: %v -> %v", full, half)
	}
}

func TestCashBreakEven(t *testing.T) {
	month := econ.Month{Hours: 1000, GPUs: 2}
	be := must[econ.BreakEven](t)(econ.CashBreakEven(month, 1200, econ.Cost{InfraUSD: 1000}, 200))
	if be.UpfrontUSD != 2400 || be.SavingUSDMonthly != 800 || be.Months == nil || *be.Months != 3 {
		t.Errorf("got %+v, want 2400 up front, 800 a month, 3 months", be)
	}
	never := must[econ.BreakEven](t)(econ.CashBreakEven(month, 1200, econ.Cost{InfraUSD: 100}, 200))
	if never.Months != nil {
		t.Errorf("pay-back in %v months while losing $100 a month", *never.Months)
	}
}

func TestTokensToAmortize(t *testing.T) {
	// 10 ms a token against 5 ms: a second is won back after 200 tokens.
	if n, ok, err := econ.TokensToAmortize(1, 100, 200); n != 200 || !ok || err != nil {
		t.Errorf("got %d, %v, %v; want 200", n, ok, err)
	}
	if _, ok, err := econ.TokensToAmortize(1, 200, 200); ok || err != nil {
		t.Errorf("no gain, yet amortised: %v, %v", ok, err)
	}
}

func TestKVTypes(t *testing.T) {
	shape := econ.KVShape{Layers: 16, KVHeads: 8, HeadDimK: 64, HeadDimV: 64}
	for name, want := range map[string]int64{
		"f32":  16 * 8 * 128 * 4,
		"f16":  16 * 8 * 128 * 2,
		"q8_0": 16 * 8 * 128 / 32 * 34,
		"q4_0": 16 * 8 * 128 / 32 * 18,
	} {
		et := must[econ.ElemType](t)(econ.ElemTypeNamed(name))
		if got := must[int64](t)(econ.KVBytesPerToken(shape, et, et)); got != want {
			t.Errorf("%s: %d bytes a token, want %d", name, got, want)
		}
	}
	if _, err := econ.ElemTypeNamed("f8"); err == nil {
		t.Error("unknown type accepted")
	}
	q8 := must[econ.ElemType](t)(econ.ElemTypeNamed("q8_0"))
	odd := econ.KVShape{Layers: 1, KVHeads: 1, HeadDimK: 48, HeadDimV: 64}
	if _, err := econ.KVBytesPerToken(odd, q8, q8); err == nil {
		t.Error("a row of 48 elements accepted for blocks of 32")
	}
}

func TestLongestContext(t *testing.T) {
	for _, c := range []struct {
		budget    econ.Budget
		batch     int
		positions int
		want      int64
		by        econ.Limit
	}{
		{econ.Budget{TotalBytes: 1000, WeightsBytes: 400, WorkspaceBytes: 100}, 1, 1 << 20, 50, econ.LimitMemory},
		{econ.Budget{TotalBytes: 1000, WeightsBytes: 400, WorkspaceBytes: 100}, 3, 1 << 20, 16, econ.LimitMemory},
		{econ.Budget{TotalBytes: 1000, WeightsBytes: 400, WorkspaceBytes: 100}, 1, 32, 32, econ.LimitPositions},
		{econ.Budget{TotalBytes: 1000, WeightsBytes: 1001}, 1, 32, 0, econ.LimitMemory},
	} {
		got, by, err := econ.LongestContext(c.budget, 10, c.batch, c.positions)
		if err != nil || got != c.want || by != c.by {
			t.Errorf("%+v: got %d by %s (%v), want %d by %s", c, got, by, err, c.want, c.by)
		}
	}
}

// TestPropagationAgainstMonteCarlo draws what is uncertain from its intervals
// and compares the spread of the computed cost with the propagated one.
func TestPropagationAgainstMonteCarlo(t *testing.T) {
	const n = 200_000
	interval := must[econ.Interval](t)
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(i econ.Interval) float64 { return i.Value + i.Half*r.NormFloat64() }
	phase := func(p econ.PhaseInterval) econ.Phase {
		s, joules := draw(p.SPerTok), 0.0
		if p.PowerW != nil {
			joules += draw(*p.PowerW) * s
		}
		if p.JPerTok != nil {
			joules += draw(*p.JPerTok)
		}
		return econ.Phase{TokPerS: 1 / s, JPerTok: &joules}
	}
	prefillS, decodeS := econ.Interval{Value: 1e-3, Half: 0.05e-3}, econ.Interval{Value: 10e-3, Half: 0.3e-3}
	// Electricity so dear that energy is most of the cost.
	dear := econ.Prices{USDPerHour: awsOD.USDPerHour, USDPerKWh: 5}
	for name, c := range map[string]struct{ prefill, decode econ.PhaseInterval }{
		"by power": {
			econ.PhaseInterval{SPerTok: prefillS, PowerW: &econ.Interval{Value: 250, Half: 30}},
			econ.PhaseInterval{SPerTok: decodeS, PowerW: &econ.Interval{Value: 400, Half: 20}},
		},
		"by joules of their own": {
			econ.PhaseInterval{SPerTok: prefillS, JPerTok: &econ.Interval{Value: 0.25, Half: 0.01}},
			econ.PhaseInterval{SPerTok: decodeS, JPerTok: &econ.Interval{Value: 4, Half: 0.2}},
		},
		"by both": {
			econ.PhaseInterval{SPerTok: prefillS, JPerTok: &econ.Interval{Value: 0.25, Half: 0.01}},
			econ.PhaseInterval{SPerTok: decodeS, PowerW: &econ.Interval{Value: 200, Half: 20}, JPerTok: &econ.Interval{Value: 2, Half: 0.1}},
		},
	} {
		want := interval(chat.MixInterval(interval(c.prefill.USDPerM(dear)), interval(c.decode.USDPerM(dear))))
		var sum, sq float64
		for range n {
			c := must[econ.Cost](t)(chat.CostPerM(phase(c.prefill), phase(c.decode), dear))
			sum += c.TotalUSD()
			sq += (c.TotalUSD() - want.Value) * (c.TotalUSD() - want.Value)
		}
		// The spread of n draws is known to 1/sqrt(2n), here 0.16 %.
		if mean, spread := sum/n, math.Sqrt(sq/n); !closeTo(mean, want.Value, 1e-3) || !closeTo(spread, want.Half, 0.01) {
			t.Errorf("%s: Monte Carlo %v ± %v, propagated %v ± %v", name, mean, spread, want.Value, want.Half)
		}
	}
}

// The spread of a ratio of two uncertain values, drawn and propagated.
func TestOverAgainstMonteCarlo(t *testing.T) {
	const n = 200_000
	r := rand.New(rand.NewPCG(3, 4))
	a, b := econ.Interval{Value: 0.6, Half: 0.012}, econ.Interval{Value: 0.3, Half: 0.003}
	got := must[econ.Interval](t)(a.Over(b))
	var sq float64
	for range n {
		v := (a.Value+a.Half*r.NormFloat64())/(b.Value+b.Half*r.NormFloat64()) - 2
		sq += v * v
	}
	if spread := math.Sqrt(sq / n); !closeTo(got.Value, 2, 1e-12) || !closeTo(spread, got.Half, 0.01) {
		t.Errorf("propagated %+v, Monte Carlo ± %v", got, spread)
	}
	for _, zero := range []econ.Interval{{}, {Value: 1, Half: -1}, {Value: math.NaN()}} {
		if _, err := a.Over(zero); err == nil {
			t.Errorf("a ratio over %+v", zero)
		}
	}
}

func TestEnergyIntervals(t *testing.T) {
	s := econ.Interval{Value: 10e-3, Half: 0.3e-3}
	for name, c := range map[string]struct {
		p    econ.PhaseInterval
		half float64
	}{
		"power, 3 % of time and 5 % of power": {econ.PhaseInterval{SPerTok: s, PowerW: &econ.Interval{Value: 400, Half: 20}}, 4 * math.Hypot(0.03, 0.05)},
		"joules, whatever the time":           {econ.PhaseInterval{SPerTok: s, JPerTok: &econ.Interval{Value: 4, Half: 0.1}}, 0.1},
	} {
		j, ok, err := c.p.Energy()
		if err != nil || !ok || !closeTo(j.Value, 4, 1e-12) || !closeTo(j.Half, c.half, 1e-12) {
			t.Errorf("%s: %+v, %v, %v; want 4 ± %v J", name, j, ok, err, c.half)
		}
		g, ok, err := c.p.GCO2ePerM(500)
		if err != nil || !ok || !closeTo(g.Value, 4e6/3.6e6*500, 1e-12) || !closeTo(g.Half/g.Value, j.Half/j.Value, 1e-12) {
			t.Errorf("%s: carbon %+v, %v, %v", name, g, ok, err)
		}
	}
	if j, ok, err := (econ.PhaseInterval{SPerTok: s}).Energy(); ok || err != nil {
		t.Errorf("energy from nothing: %v, %v", j, err)
	}
}

// TestBadInputIsNamed passes each kind of bad number to every float input.
func TestBadInputIsNamed(t *testing.T) {
	ok := econ.Phase{TokPerS: 100, JPerTok: ptr(1)}
	for field, f := range map[string]func(v float64) error{
		"tokPerS":    func(v float64) error { _, err := econ.InfraUSDPerM(v, 1); return err },
		"usdPerHour": func(v float64) error { _, err := econ.InfraUSDPerM(1, v); return err },
		"powerW":     func(v float64) error { _, err := econ.JPerTok(v, 1); return err },
		"jPerTok":    func(v float64) error { _, err := econ.KWhPerM(v); return err },
		"usdPerKWh":  func(v float64) error { _, err := econ.EnergyUSDPerM(1, v); return err },
		"gPerKWh":    func(v float64) error { _, err := econ.GCO2ePerM(1, v); return err },
		"TokPerS":    func(v float64) error { _, err := econ.Phase{TokPerS: v}.CostPerM(consumer); return err },
		"JPerTok":    func(v float64) error { _, err := econ.Phase{TokPerS: 1, JPerTok: &v}.CostPerM(consumer); return err },
		"USDPerHour": func(v float64) error { _, err := ok.CostPerM(econ.Prices{USDPerHour: v}); return err },
		"USDPerKWh":  func(v float64) error { _, err := ok.CostPerM(econ.Prices{USDPerKWh: v}); return err },
		"Input":      func(v float64) error { _, err := econ.Blend{Input: v}.CostPerM(ok, ok, consumer); return err },
		"k":          func(v float64) error { _, err := econ.Cost{}.Scale(v); return err },
		"priceUSD":   func(v float64) error { _, err := econ.AmortizedUSDPerHour(v, 1, 1); return err },
		"lifeYears":  func(v float64) error { _, err := econ.AmortizedUSDPerHour(1, v, 1); return err },
		"utilisation": func(v float64) error {
			_, err := econ.AmortizedUSDPerHour(1, 1, v)
			return err
		},
		"secondsPerRequest": func(v float64) error { _, err := econ.RequestsPerS(v); return err },
		"requestsPerS":      func(v float64) error { _, err := econ.Workers(v, 1); return err },
		"hoursPerMonth":     func(v float64) error { _, err := econ.GPUsForHours(v, 1); return err },
		"availability":      func(v float64) error { _, err := econ.GPUsForHours(1, v); return err },
		"tokensPerMonth":    func(v float64) error { _, err := econ.MonthlyTokens(v, chat, ok, ok, consumer); return err },
		"requestsPerMonth":  func(v float64) error { _, err := econ.MonthlyRequests(v, request, ok, ok, consumer); return err },
		"gpuUSD":            func(v float64) error { _, err := econ.CashBreakEven(econ.Month{}, v, econ.Cost{}, 0); return err },
		"rented": func(v float64) error {
			_, err := econ.CashBreakEven(econ.Month{}, 1, econ.Cost{InfraUSD: v}, 0)
			return err
		},
		"ownEnergyUSD": func(v float64) error { _, err := econ.CashBreakEven(econ.Month{}, 1, econ.Cost{}, v); return err },
		"oneTimeS":     func(v float64) error { _, _, err := econ.TokensToAmortize(v, 1, 2); return err },
		"slowTokPerS":  func(v float64) error { _, _, err := econ.TokensToAmortize(1, v, 2); return err },
		"SPerTok": func(v float64) error {
			_, err := econ.PhaseInterval{SPerTok: econ.Interval{Value: v}}.USDPerM(consumer)
			return err
		},
		"PowerW.Half": func(v float64) error {
			p := econ.PhaseInterval{SPerTok: econ.Interval{Value: 1}, PowerW: &econ.Interval{Value: 1, Half: v}}
			_, err := p.USDPerM(consumer)
			return err
		},
		"JPerTok.Half": func(v float64) error {
			p := econ.PhaseInterval{SPerTok: econ.Interval{Value: 1}, JPerTok: &econ.Interval{Value: 1, Half: v}}
			_, _, err := p.Energy()
			return err
		},
		"bytesPerTok":         func(v float64) error { _, err := econ.MBU(v, 1, 1); return err },
		"bytesPerS":           func(v float64) error { _, err := econ.MBU(1, 1, v); return err },
		"flops":               func(v float64) error { _, err := econ.MFU(v, 1, 1); return err },
		"seconds":             func(v float64) error { _, err := econ.MFU(1, v, 1); return err },
		"flopsPerS":           func(v float64) error { _, err := econ.MFU(1, 1, v); return err },
		"rates":               func(v float64) error { _, err := econ.TR123TokPerS([]float64{1, v}); return err },
		"refUSDPerHour":       func(v float64) error { _, err := econ.TR123SavingsPct(1, v); return err },
		"savingUSDPerRequest": func(v float64) error { _, err := econ.TR123BreakEvenMonths(1, v, 1); return err },
	} {
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
			var bad *econ.InputError
			if err := f(v); !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%s = %v: got error %v", field, v, err)
			}
		}
	}
}

func TestBadCountsAreNamed(t *testing.T) {
	shape := econ.KVShape{Layers: 1, KVHeads: 1, HeadDimK: 1, HeadDimV: 1}
	ok := econ.Phase{TokPerS: 1}
	for field, f := range map[string]func() error{
		"Layers": func() error {
			_, err := econ.KVBytesPerToken(econ.KVShape{KVHeads: 1, HeadDimK: 1, HeadDimV: 1}, f16, f16)
			return err
		},
		"batch":        func() error { _, err := econ.KVBytes(shape, f16, f16, 0, 1); return err },
		"tokens":       func() error { _, err := econ.KVBytes(shape, f16, f16, 1, -1); return err },
		"positions":    func() error { _, err := econ.KVCrossover(1, 1, 0); return err },
		"TotalBytes":   func() error { _, _, err := econ.LongestContext(econ.Budget{}, 1, 1, 1); return err },
		"PromptTokens": func() error { _, err := econ.Request{PromptTokens: -1}.Seconds(ok, ok); return err },
		"GenTokens":    func() error { _, err := econ.Request{GenTokens: -1}.Cost(ok, ok, consumer); return err },
		"readBytes":    func() error { _, err := econ.DecodeBytesPerTok(0, 1, 1, 1, 1); return err },
		"kvPerTok":     func() error { _, err := econ.DecodeBytesPerTok(1, -1, 1, 1, 1); return err },
		"genTokens":    func() error { _, err := econ.DecodeBytesPerTok(1, 1, 1, 1, 0); return err },
		"BodyParams":   func() error { _, err := econ.PrefillFLOPs(econ.DenseShape{}, 1); return err },
		"len(rates)":   func() error { _, err := econ.TR123TokPerS(nil); return err },
	} {
		var bad *econ.InputError
		if err := f(); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: got error %v", field, err)
		}
	}
}
