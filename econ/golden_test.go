package econ_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/econ"
)

// The tests in this file recompute the tables of TR123 from the figures in
// testdata/tr123. A cell fits when it agrees with the printed digits within
// 0.55 of the last printed digit, or within 0.1 % where more digits are
// printed than the inputs support. Cells known not to fit are listed with the
// reason, and must go on not fitting.

type row map[string]string

func (r row) num(t *testing.T, col string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(r[col], 64)
	if err != nil {
		t.Fatalf("column %q of %v: %v", col, r, err)
	}
	return v
}

func (r row) combo() string { return r["model"] + "/" + r["backend"] }

func load(t *testing.T, name string) []row {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "tr123", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, line := range lines[1:] {
		r := row{}
		for i, name := range lines[0] {
			r[name] = line[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// unit is one unit of the last printed digit: 0.01 for "1.25", 1e-08 for
// "3.60e-06", 1 for "237".
func unit(printed string) float64 {
	mantissa, exponent, _ := strings.Cut(printed, "e")
	u := 1.0
	if _, decimals, ok := strings.Cut(mantissa, "."); ok {
		u = math.Pow10(-len(decimals))
	}
	if e, err := strconv.Atoi(exponent); err == nil {
		u *= math.Pow10(e)
	}
	return u
}

// table compares cells of one printed table and keeps count.
type table struct {
	*testing.T
	units, rel float64           // tolerance: units of the last digit, or relative
	input      float64           // relative error that the digits of the inputs allow, on top
	misses     map[string]string // cell -> why it is known not to fit
	fit        int
	missed     map[string]bool
}

func newTable(t *testing.T, misses map[string]string) *table {
	return &table{T: t, units: 0.55, rel: 0.001, misses: misses, missed: map[string]bool{}}
}

func (tb *table) check(cell string, got float64, err error, printed string) {
	tb.Helper()
	if err != nil {
		tb.Errorf("%s: %v", cell, err)
		return
	}
	want, err := strconv.ParseFloat(printed, 64)
	if err != nil {
		tb.Fatalf("%s: printed %q: %v", cell, printed, err)
	}
	fits := math.Abs(got-want) <= tb.units*unit(printed)+tb.input*math.Abs(want) || math.Abs(got/want-1) <= tb.rel
	why, expected := tb.misses[cell]
	switch {
	case fits && expected:
		tb.Errorf("%s: %v fits printed %s, but is listed as a miss (%s)", cell, got, printed, why)
	case !fits && !expected:
		tb.Errorf("%s: got %v, printed %s (off by %.2f units, %.3f %%)", cell, got, printed,
			math.Abs(got-want)/unit(printed), 100*math.Abs(got/want-1))
	case fits:
		tb.fit++
	default:
		tb.missed[cell] = true
	}
}

// done fails unless exactly want cells fitted and every listed miss was seen.
func (tb *table) done(want int) {
	tb.Helper()
	if tb.fit != want {
		tb.Errorf("%d cells fit, want %d", tb.fit, want)
	}
	for cell := range tb.misses {
		if !tb.missed[cell] {
			tb.Errorf("listed miss %q was not seen", cell)
		}
	}
}

var (
	chat     = econ.Blend{Name: "chat", Input: 0.67}
	request  = econ.Request{PromptTokens: 256, GenTokens: 128} // TR123 2.6
	consumer = econ.Prices{USDPerHour: 0.046, USDPerKWh: 0.20}
	awsOD    = econ.Prices{USDPerHour: 1.006, USDPerKWh: 0.20}
)

type base struct{ prefill, decode econ.Phase }

// bare drops the energy, as the report does in sections 7 and 11.2 to 11.4.
func (b base) bare() base {
	return base{econ.Phase{TokPerS: b.prefill.TokPerS}, econ.Phase{TokPerS: b.decode.TokPerS}}
}

func bases(t *testing.T) map[string]base {
	t.Helper()
	phase := func(r row, name string) econ.Phase {
		tps := r.num(t, name+"_tok_s")
		j, err := econ.JPerTok(r.num(t, "power_"+name+"_w"), tps)
		if err != nil {
			t.Fatal(err)
		}
		return econ.Phase{TokPerS: tps, JPerTok: &j}
	}
	out := map[string]base{}
	for _, r := range load(t, "derived_base") {
		out[r.combo()] = base{phase(r, "prefill"), phase(r, "decode")}
	}
	return out
}

func tierRates(t *testing.T) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, r := range load(t, "tiers") {
		out[r["tier"]] = r.num(t, "usd_per_hour")
	}
	return out
}

func TestTR123_5_1_and_9_1_throughput(t *testing.T) {
	rates := map[string][]float64{}
	decode := map[string]float64{}
	for _, r := range load(t, "latency_by_scenario") {
		for _, phase := range []string{"prefill", "decode"} {
			key := r.combo() + " " + phase
			rates[key] = append(rates[key], r.num(t, phase+"_tok_s"))
		}
		decode[r.combo()+" "+r["scenario"]] = r.num(t, "decode_tok_s")
	}
	tb := newTable(t, nil)
	tb.units += 0.5 // the inputs are printed to the same digits as their mean
	for _, r := range load(t, "latency_summary") {
		for _, phase := range []string{"prefill", "decode"} {
			got, err := econ.TR123TokPerS(rates[r.combo()+" "+phase])
			tb.check(r.combo()+" "+phase, got, err, r[phase+"_tok_s"])
		}
	}
	tb.done(24)

	tb = newTable(t, nil)
	for _, r := range load(t, "compile_speedup") {
		at := func(backend string) float64 { return decode[r["model"]+"/"+backend+" "+r["scenario"]] }
		tb.input = 0.05/at("gpu-compile") + 0.05/at("gpu")
		tb.check(r["model"]+" "+r["scenario"], at("gpu-compile")/at("gpu"), nil, r["speedup"])
	}
	tb.done(12)
}

// TestTR123_5_3_phaseCost checks the chat column against the phases printed
// beside it, and the decode column against its machine time plus energy. The
// report counted repetitions without power as 0 J: what it adds to the machine
// time is a whole number of sevenths of the energy of 6.4.
func TestTR123_5_3_phaseCost(t *testing.T) {
	gen, decodeMs, joules := map[string]float64{}, map[string]float64{}, map[string]string{}
	for _, r := range load(t, "scenarios") {
		gen[r["scenario"]] = r.num(t, "gen_tokens")
	}
	for _, r := range load(t, "latency_by_scenario") {
		decodeMs[r.combo()+" "+r["scenario"]] = r.num(t, "decode_ms")
	}
	for _, r := range load(t, "energy_per_token") {
		joules[r.combo()+" "+r["scenario"]] = r["decode_j_per_tok"]
	}
	tb := newTable(t, nil)
	tb.units += 0.5 // of the last digits of both phases, weighted
	sevenths := 0
	for _, r := range load(t, "phase_cost") {
		cell := r.combo() + " " + r["scenario"]
		got, err := chat.Mix(r.num(t, "prefill_usd_per_m"), r.num(t, "decode_usd_per_m"))
		tb.check(cell+" chat", got, err, r["chat_usd_per_m"])

		infra, err := econ.InfraUSDPerM(1000*gen[r["scenario"]]/decodeMs[cell], consumer.USDPerHour)
		if err != nil {
			t.Fatal(err)
		}
		printed, half := r.num(t, "decode_usd_per_m"), 0.5*unit(r["decode_usd_per_m"])
		energy := printed - infra
		if energy < -1.1*half {
			t.Errorf("%s: machine time alone costs %v, printed total %v", cell, infra, printed)
		}
		j, ok := joules[cell]
		if !ok {
			continue
		}
		jPerTok, err := strconv.ParseFloat(j, 64)
		if err != nil {
			t.Fatal(err)
		}
		full, err := econ.EnergyUSDPerM(jPerTok, consumer.USDPerKWh)
		if err != nil {
			t.Fatal(err)
		}
		// Half a unit of the printed total and of the printed joules.
		k := 7 * energy / full
		slack := 7*half/full + k*0.5*unit(j)/jPerTok + 0.02 // and of the milliseconds
		if math.Abs(k-math.Round(k)) > slack || math.Round(k) < 2 || math.Round(k) > 7 {
			t.Errorf("%s: %v sevenths of the energy, off by more than %v", cell, k, slack)
		}
		sevenths++
	}
	tb.done(50)
	if sevenths != 14 {
		t.Errorf("%d rows shared with 6.4, want 14", sevenths)
	}
}

func TestTR123_5_6_and_6_1_cost(t *testing.T) {
	b := bases(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "cost_rank") {
		m := b[r.combo()]
		c, err := chat.CostPerM(m.prefill, m.decode, consumer)
		tb.check(r.combo(), c.TotalUSD(), err, r["chat_usd_per_m"])
	}
	tb.done(12)

	tb = newTable(t, nil)
	for _, r := range load(t, "cost_breakdown") {
		m := b[r.combo()]
		c, err := chat.CostPerM(m.prefill, m.decode, consumer)
		if err != nil {
			t.Fatal(err)
		}
		share, _ := c.EnergyShare()
		tb.check(r.combo()+" infra", c.InfraUSD, nil, r["infra_usd_per_m"])
		tb.check(r.combo()+" energy", *c.EnergyUSD, nil, r["energy_usd_per_m"])
		tb.check(r.combo()+" total", c.TotalUSD(), nil, r["total_usd_per_m"])
		tb.check(r.combo()+" infra %", 100*(1-share), nil, r["infra_pct"])
		tb.check(r.combo()+" energy %", 100*share, nil, r["energy_pct"])
	}
	tb.done(60)
}

func TestTR123_6_2_energy(t *testing.T) {
	// The decode watts of derived_base.csv invert this very table, so it is
	// recomputed from the watts and rates printed in 5.1. Their digits allow
	// each value the error that half a unit of each input makes.
	ranked := map[string]row{}
	for _, r := range load(t, "energy_rank") {
		ranked[r.combo()] = r
	}
	for _, r := range load(t, "latency_summary") {
		w, tps, printed := r.num(t, "power_decode_w"), r.num(t, "decode_tok_s"), ranked[r.combo()]
		tb := newTable(t, nil)
		tb.input = 0.5*unit(r["power_decode_w"])/w + 0.5*unit(r["decode_tok_s"])/tps
		j, err := econ.JPerTok(w, tps)
		tb.check(r.combo()+" J/tok", j, err, printed["decode_j_per_tok"])
		perKWh, err := econ.TokPerKWh(j)
		tb.check(r.combo()+" tok/kWh", perKWh, err, printed["decode_tok_per_kwh"])
		kwh, err := econ.KWhPerM(j)
		tb.check(r.combo()+" kWh/M", kwh, err, printed["decode_kwh_per_m"])
		tb.done(3)
	}
}

func TestTR123_6_3_carbon(t *testing.T) {
	b := bases(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "carbon") {
		m := b[r.combo()]
		j, _, err := chat.JPerTok(m.prefill, m.decode)
		if err != nil {
			t.Fatal(err)
		}
		kwh, err := econ.KWhPerM(j)
		tb.check(r.combo()+" kWh", kwh, err, r["energy_kwh_per_m"])
		g, err := econ.GCO2ePerM(j, 500)
		tb.check(r.combo()+" g", g, err, r["carbon_g_per_m"])
	}
	tb.done(24)
}

func TestTR123_6_5_savings(t *testing.T) {
	rate := tierRates(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "roi") {
		for col, tier := range map[string]string{
			"spot_savings_pct": "aws_spot", "reserved_3yr_savings_pct": "aws_3yr", "consumer_savings_pct": "consumer",
		} {
			got, err := econ.TR123SavingsPct(rate[tier], rate["aws_od"])
			tb.check(r.combo()+" "+tier, got, err, r[col])
		}
	}
	tb.done(24)
}

func TestTR123_6_6_request(t *testing.T) {
	b := bases(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "request_cost") {
		m, key := b[r.combo()], r.combo()
		prefillS, err := econ.Request{PromptTokens: request.PromptTokens}.Seconds(m.prefill, m.decode)
		tb.check(key+" prefill", prefillS, err, r["prefill_s"])
		decodeS, err := econ.Request{GenTokens: request.GenTokens}.Seconds(m.prefill, m.decode)
		tb.check(key+" decode", decodeS, err, r["decode_s"])
		// At one dollar per kilowatt-hour the energy cost is the energy.
		e, err := request.Cost(m.prefill, m.decode, econ.Prices{USDPerKWh: 1})
		tb.check(key+" kWh", e.TotalUSD(), err, r["energy_kwh"])
		c, err := request.Cost(m.prefill, m.decode, consumer)
		tb.check(key+" consumer", c.TotalUSD(), err, r["consumer_usd"])
		c, err = request.Cost(m.prefill, m.decode, awsOD)
		tb.check(key+" aws", c.TotalUSD(), err, r["aws_od_usd"])
	}
	tb.done(60)
}

func TestTR123_6_7_tco(t *testing.T) {
	b := bases(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "tco") {
		m := b[r.combo()]
		for prefix, at := range map[string]econ.Prices{"consumer": consumer, "aws_od": awsOD} {
			month, err := econ.MonthlyTokens(1e9, chat, m.prefill, m.decode, at)
			tb.check(r.combo()+" "+prefix+" month", month.Used.TotalUSD(), err, r[prefix+"_monthly_usd"])
			tb.check(r.combo()+" "+prefix+" year", 12*month.Used.TotalUSD(), err, r[prefix+"_annual_usd"])
		}
	}
	tb.done(48)
}

// TestTR123_6_7_machines holds what 6.7 leaves out: a billion tokens a month
// is more work than one machine has hours for, but for three combinations.
func TestTR123_6_7_machines(t *testing.T) {
	oneIsEnough := map[string]bool{"gpt2/gpu-compile": true, "gpt2/gpu": true, "llama-3.2-1b/gpu-compile": true}
	for combo, m := range bases(t) {
		month, err := econ.MonthlyTokens(1e9, chat, m.prefill, m.decode, consumer)
		if err != nil {
			t.Fatal(err)
		}
		if got := month.GPUs == 1; got != oneIsEnough[combo] {
			t.Errorf("%s: %.0f h a month need %d machines", combo, month.Hours, month.GPUs)
		}
	}
}

func shapes(t *testing.T) (shape map[string]econ.KVShape, weights map[string]int64) {
	t.Helper()
	shape, weights = map[string]econ.KVShape{}, map[string]int64{}
	for _, r := range load(t, "models") {
		n := func(col string) int { return int(r.num(t, col)) }
		shape[r["model"]] = econ.KVShape{
			Layers: n("n_layers"), KVHeads: n("n_kv_heads"), HeadDimK: n("d_head"), HeadDimV: n("d_head"),
		}
		weights[r["model"]] = 2 * int64(n("params_from_weights"))
	}
	return shape, weights
}

var f16 = econ.ElemType{Name: "f16", Elems: 1, Bytes: 2}

func TestTR123_8_kv(t *testing.T) {
	const mib = 1 << 20
	shape, weights := shapes(t)

	tb := newTable(t, nil)
	for _, r := range load(t, "kv_theoretical") {
		for _, tokens := range []int{64, 128, 256, 512, 1024, 2048} {
			got, err := econ.KVBytes(shape[r["model"]], f16, f16, 1, tokens)
			tb.check(fmt.Sprint(r["model"], " ", tokens), float64(got)/mib, err, r[fmt.Sprint("kv_mib_", tokens)])
		}
		tb.check(r["model"]+" weights", float64(weights[r["model"]])/mib, nil, r["weights_mib"])
	}
	tb.done(35)

	tb = newTable(t, nil)
	for _, r := range load(t, "mha_vs_gqa") {
		got, err := econ.KVBytes(shape[r["model"]], f16, f16, 1, 2048)
		tb.check(r["model"]+" 2048", float64(got)/mib, err, r["kv_mib_2048"])
		tb.check(r["model"]+" %", 100*float64(got)/float64(weights[r["model"]]), err, r["cache_weights_pct"])
	}
	tb.done(10)

	tb = newTable(t, nil)
	tb.units, tb.rel = 0, 0 // whole tokens: exact
	for _, r := range load(t, "crossover") {
		per, err := econ.KVBytesPerToken(shape[r["model"]], f16, f16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := econ.KVCrossover(weights[r["model"]], per, 1024)
		tb.check(r["model"], float64(got.Tokens), err, r["crossover_tokens"])
		if got.Reachable {
			t.Errorf("%s: crossover %d called reachable with 1024 positions", r["model"], got.Tokens)
		}
	}
	tb.done(5)
}

func TestTR123_10_tiers(t *testing.T) {
	b, rate := bases(t), tierRates(t)
	tb := newTable(t, nil)
	for _, r := range load(t, "tier_cost") {
		m := b[r.combo()]
		for tier, usdPerHour := range rate {
			c, err := chat.CostPerM(m.prefill, m.decode, econ.Prices{USDPerHour: usdPerHour, USDPerKWh: 0.20})
			tb.check(r.combo()+" "+tier, c.TotalUSD(), err, r[tier])
		}
	}
	tb.done(132)

	tb = newTable(t, nil)
	for _, r := range load(t, "provider_cost") {
		m := b[r.combo()]
		for col, suffix := range map[string]string{"on_demand": "_od", "spot": "_spot", "reserved_3yr": "_3yr"} {
			tier, printed := r["provider"]+suffix, r[col+"_usd_per_m"]
			if r["provider"] == "consumer" {
				tier = "consumer"
			}
			if printed == "" {
				continue
			}
			c, err := chat.CostPerM(m.prefill, m.decode, econ.Prices{USDPerHour: rate[tier], USDPerKWh: 0.20})
			tb.check(tier, c.TotalUSD(), err, printed)
		}
	}
	tb.done(10)
}

// cpuRates is why some CPU cells of section 11 do not fit: the report computed
// that section with decode rates of 8.9454 (Llama-1B) and 6.6031 (Qwen) tok/s,
// against 8.9529 and 6.5939 behind section 6.
const cpuRates = "section 11 uses another CPU decode rate than section 6"

func TestTR123_11_1_capacity(t *testing.T) {
	b := bases(t)
	tb := newTable(t, map[string]string{"llama-3.2-1b/cpu s": cpuRates, "qwen2.5-1.5b/cpu s": cpuRates})
	tb.rel = 0 // the CPU rows are off by 0.1 %, so go by the digits
	for _, r := range load(t, "capacity") {
		m := b[r.combo()]
		s, err := request.Seconds(m.prefill, m.decode)
		tb.check(r.combo()+" s", s, err, r["time_per_request_s"])
		rps, err := econ.RequestsPerS(s)
		tb.check(r.combo()+" req/s", rps, err, r["req_s_per_worker"])
	}
	tb.done(22)
}

func TestTR123_11_2_workers(t *testing.T) {
	b := bases(t)
	tb := newTable(t, map[string]string{
		"llama-3.2-1b/cpu workers": cpuRates, "qwen2.5-1.5b/cpu workers": cpuRates, "qwen2.5-1.5b/cpu month": cpuRates,
	})
	tb.rel = 0
	// Where rounding to nearest went down, the printed workers cannot serve
	// 100 requests a second and ours are one more.
	short := map[string]int{"gpt2/gpu-compile": 34, "gpt2/cpu": 291, "llama-3.2-1b/gpu-compile": 98,
		"llama-3.2-1b/gpu": 189, "phi-2/gpu-compile": 211}
	for _, r := range load(t, "workers") {
		m := b[r.combo()]
		s, err := request.Seconds(m.prefill, m.decode)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := econ.TR123Workers(100, s)
		tb.check(r.combo()+" workers", float64(theirs), err, r["workers_100rps"])
		ours, err := econ.Workers(100, s)
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := short[r.combo()]; ok && ours != want {
			t.Errorf("%s: Workers = %d, want %d", r.combo(), ours, want)
		}
		usd, err := econ.TR123MonthlyUSD(1e9, request, m.prefill, m.decode, 0.046)
		tb.check(r.combo()+" month", usd, err, r["monthly_consumer_usd_1b_tok"])
	}
	tb.done(21)
}

func TestTR123_11_3_packs(t *testing.T) {
	b := bases(t)
	tb := newTable(t, nil)
	tb.rel = 0.0015 // CPU rows, see cpuRates
	packs := econ.Packs()
	for _, r := range load(t, "scenario_packs") {
		m := b[r.combo()].bare()
		for i, col := range []string{"chat_128p_64g", "agent_64p_256g", "codegen_256p_512g", "long_ctx_1024p_128g"} {
			c, err := packs[i].Cost(m.prefill, m.decode, consumer)
			tb.check(r.combo()+" "+packs[i].Name, 1000*c.TotalUSD(), err, r[col+"_usd_per_1k"])
		}
	}
	tb.done(48)
}

func TestTR123_11_4_breakEven(t *testing.T) {
	b := bases(t)
	chat := econ.Packs()[0]
	tb := newTable(t, nil)
	for _, r := range load(t, "break_even") {
		m := b[r.combo()]
		perRequest := func(at econ.Prices) float64 {
			c, err := chat.Cost(m.bare().prefill, m.bare().decode, at)
			if err != nil {
				t.Fatal(err)
			}
			return c.TotalUSD()
		}
		aws, own := perRequest(awsOD), perRequest(consumer)
		tb.check(r.combo()+" aws", 1000*aws, nil, r["aws_usd_per_1k"])
		tb.check(r.combo()+" consumer", 1000*own, nil, r["consumer_usd_per_1k"])
		tb.check(r.combo()+" saving", 1000*(aws-own), nil, r["savings_usd_per_1k"])
		for volume, col := range map[float64]string{1e6: "months_at_1m", 1e7: "months_at_10m", 1e8: "months_at_100m"} {
			got, err := econ.TR123BreakEvenMonths(1200, aws-own, volume)
			if volume == 1e8 && r["months_at_100m_is_upper_bound"] == "1" {
				if err != nil || got >= 0.1 {
					t.Errorf("%s: %v months at 100M (%v), printed < 0.1", r.combo(), got, err)
				}
				continue
			}
			tb.check(r.combo()+" "+col, got, err, r[col])
		}

		// In cash, with the machines that 100M requests a month need and their
		// electricity, pay-back takes 1.7 to 1.9 months for every row.
		rented, err := econ.MonthlyRequests(1e8, chat, m.bare().prefill, m.bare().decode, awsOD)
		if err != nil {
			t.Fatal(err)
		}
		bought, err := econ.MonthlyRequests(1e8, chat, m.prefill, m.decode, consumer)
		if err != nil {
			t.Fatal(err)
		}
		be, err := econ.CashBreakEven(bought, 1200, rented.Used, *bought.Used.EnergyUSD)
		if err != nil {
			t.Fatal(err)
		}
		if be.GPUs < 7 || be.Months == nil || *be.Months < 1.65 || *be.Months > 1.9 {
			t.Errorf("%s: cash break-even %+v", r.combo(), be)
		}
	}
	tb.done(42)
}
