package plots

import (
	"math"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/pricing"
	"github.com/phasebench/phasebench/internal/record"
)

// run is a made-up run: two models on two backends of one GPU and on the CPU,
// with and without the cache, with energy, ceilings and power samples.
type run struct {
	rows    []record.Record
	options analyze.Options
	extra   Extra
}

var clockZero = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type modelFixture struct {
	name    string
	weights int64
	info    record.ModelInfo
	slow    float64 // times of the first model
}

var modelFixtures = []modelFixture{
	{"small", 250e6, record.ModelInfo{Arch: "gpt2", Layers: 12, Heads: 12, KVHeads: 12, HeadDimK: 64, HeadDimV: 64, CtxTrain: 1024, Params: 124e6, ReadBytes: 248e6, BodyParams: 85e6, HeadParams: 39e6}, 1},
	{"large", 2500e6, record.ModelInfo{Arch: "llama", Layers: 16, Heads: 32, KVHeads: 8, HeadDimK: 64, HeadDimV: 64, CtxTrain: 131072, Params: 1236e6, ReadBytes: 2470e6, BodyParams: 973e6, HeadParams: 263e6}, 2.5},
}

var scenarioFixtures = []struct {
	name        string
	prompt, gen int
	mode        string
}{
	{"short", 64, 16, "cached"},
	{"medium", 250, 16, "cached"},
	{"bare_short", 64, 4, "uncached"},
	{"bare_medium", 250, 4, "uncached"},
}

var backendFixtures = []struct {
	name, device, kind string
	slow               float64
}{
	{"gpu-graphs", "Test GPU", "gpu", 1},
	{"gpu", "Test GPU", "gpu", 1.2},
	{"cpu", "Test CPU", "cpu", 8},
}

const repsFixture = 4

func newRun(t *testing.T) *run {
	t.Helper()
	prices, err := pricing.Load("testdata/pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{options: analyze.Options{Pricing: prices, DeviceBytes: map[string]int64{"Test GPU": 24e9, "Test CPU": 64e9}}}
	ns := int64(1e9)
	for mi, m := range modelFixtures {
		for bi, b := range backendFixtures {
			for _, s := range scenarioFixtures {
				if s.mode == "uncached" && b.kind == "cpu" {
					continue
				}
				for rep := range repsFixture {
					row := record.Record{
						RunID: "fixture", CellID: m.name + b.name + s.name, Model: m.name, Backend: b.name, Scenario: s.name,
						Rep: rep, Status: record.StatusOK, Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: s.mode,
						PromptTokens: s.prompt, GenTokens: s.gen, Device: b.device, DeviceKind: b.kind, Synthetic: true,
						StartNs: ns, Timestamp: clockZero.Add(time.Duration(ns)), WeightsBytes: &m.weights, ComputeBytes: ptr(int64(50e6)),
						GPULayers: -1,
					}
					if rep == 0 {
						row.ModelInfo = &m.info
					}
					// About a row in thirty is noisy, by a pattern without randomness.
					wobble := 1 + 0.02*float64((rep*7+bi*3+mi)%5-2)
					prefill := float64(s.prompt) * 0.05 * m.slow * b.slow * wobble
					decode := 0.0
					for i := range s.gen {
						step := 2 * m.slow * b.slow * (1 + 0.01*math.Sin(float64(i+rep)))
						switch {
						case s.mode == "uncached":
							step += prefill
						case i == 0 || (s.prompt+i)%256 == 0:
							step *= 2
						}
						row.StepMs = append(row.StepMs, step)
						decode += step
					}
					row.PrefillMs, row.DecodeMs, row.TotalMs = &prefill, &decode, ptr(prefill+decode)
					if s.mode == "cached" {
						row.KVUsedBytes = ptr(kvPerTokenFixture(m) * int64(s.prompt+s.gen))
					}
					r.rows = append(r.rows, row)
					ns += int64((prefill + decode + 5) * 1e6)
				}
				if s.name == "medium" && b.kind == "gpu" {
					ns = r.addWindows(m, b.name, s.name, ns, mi == 0)
				}
			}
		}
	}
	for _, kind := range []struct {
		name                string
		copy, read, product float64
	}{{"gpu", 800e9, 900e9, 80e12}, {"cpu", 20e9, 30e9, 0.5e12}} {
		r.options.Devices = append(r.options.Devices, record.DeviceRecord{
			Kind: record.DeviceRoofline, Device: "Test " + kind.name, DeviceKind: kind.name,
			CopyBytesPerS: &kind.copy, ReadBytesPerS: &kind.read, MatmulFlopsPerS: &kind.product,
		})
	}
	for _, m := range modelFixtures {
		for _, tokens := range []int{128, 512, 1024} {
			used := kvPerTokenFixture(m) * int64(tokens)
			r.options.KV = append(r.options.KV, record.KVRecord{Model: m.name, Backend: "gpu", Synthetic: true, KVTypeK: "f16", KVTypeV: "f16",
				Asked: tokens, Tokens: tokens, PrefillTokens: tokens, PrefillUsedBytes: used, UsedBytes: used, WeightsBytes: m.weights, ModelInfo: &m.info})
		}
	}
	for at := int64(0.9e9); at < ns; at += 20e6 {
		r.extra.Power = append(r.extra.Power, PowerSample{TimeNs: at, GPU: "0000:01:00.0", W: 150 + 100*math.Sin(float64(at)/3e8)})
	}
	return r
}

func kvPerTokenFixture(m modelFixture) int64 {
	return int64(m.info.Layers * m.info.KVHeads * (m.info.HeadDimK + m.info.HeadDimV) * 2)
}

// addWindows adds energy windows of both phases, or of decode only, and returns
// when they end.
func (r *run) addWindows(m modelFixture, backend, scenario string, ns int64, both bool) int64 {
	for window := range 3 {
		for phase, tokPerS := range map[string]float64{"prefill": 20000, "decode": 480} {
			if phase == "prefill" && !both {
				continue
			}
			start := ns
			if phase == "decode" {
				start += 400e6
			}
			r.options.Windows = append(r.options.Windows, record.WindowRecord{
				CellID: m.name + backend + scenario, Model: m.name, Backend: backend, Scenario: scenario, Phase: phase, Window: window,
				Batch: 1, KVTypeK: "f16", KVTypeV: "f16", DecodeMode: "cached", Device: "Test GPU", DeviceKind: "gpu", Synthetic: true,
				StartNs: start, OpenNs: start + 50e6, EndNs: start + 350e6, Timestamp: clockZero.Add(time.Duration(start)),
				TokPerS: tokPerS, CounterW: ptr(300.0), IntegralW: ptr(301.0),
				JPerToken: ptr((300 + float64(window)) * m.slow / tokPerS), Method: "counter", Valid: true,
			})
		}
		ns += 800e6
	}
	return ns
}

func (r *run) analysis(t *testing.T) *analyze.Analysis {
	t.Helper()
	a, err := analyze.Analyze(r.rows, r.options)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// compose returns the plots without their pictures.
func (r *run) compose(t *testing.T) []Plot {
	t.Helper()
	all, _, err := compose(newInput(r.analysis(t), r.extra))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (r *run) draw(t *testing.T) []Plot {
	t.Helper()
	all, err := Draw(r.analysis(t), r.extra)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
