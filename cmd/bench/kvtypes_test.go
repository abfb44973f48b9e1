package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/econ"
	"github.com/phasebench/phasebench/internal/record"
)

// Types that a plan allows are measured, with the bytes that the formula says, and
// others are skipped by themselves, with what to do. Heads of 80 have no room for
// blocks of 32, those of 64 for all. All 81 pairs are tried in package llama.
func TestCacheTypesOfARun(t *testing.T) {
	dir := workspace(t)
	var list strings.Builder
	pairs := [][2]string{{"q8_0", "f16"}, {"f16", "q4_0"}, {"q5_1", "iq4_nl"}, {"bf16", "q8_0"}}
	for _, e := range econ.ElemTypes() {
		pairs = append(pairs, [2]string{e.Name, e.Name})
	}
	for _, pair := range pairs {
		fmt.Fprintf(&list, "  - {k: %s, v: %s}\n", pair[0], pair[1])
	}
	matrix := `name: types
repetitions: 1
models: [{name: tiny-gpt2, synth: tiny-gpt2}, {name: tiny-phi2, synth: tiny-phi2}]
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0}]
scenarios: [{name: s, prompt_tokens: 16, gen_tokens: 4}]
energy: {windows: 0, idle_s: 0, roofline: false}
kv_types:
` + list.String()
	if err := os.WriteFile(filepath.Join(dir, "types.yaml"), []byte(matrix), 0o644); err != nil {
		t.Fatal(err)
	}
	bench(t, dir, []string{"-q", "-matrix", "types.yaml", "-o", "out", "--no-kv"}, 0)
	planned := bench(t, dir, []string{"plan", "-matrix", "types.yaml", "--models", "tiny-phi2", "--no-probe"}, 0)
	if want := "13 rows: 3 to measure, 10 skipped"; !strings.Contains(planned, want) {
		t.Errorf("the plan does not say %q:\n%s", want, planned)
	}
	seen := map[string]int{}
	for _, r := range rows(t, filepath.Join(dir, "out")) {
		seen[r.Model+" "+string(r.Status)]++
		k, errK := econ.ElemTypeNamed(r.KVTypeK)
		v, errV := econ.ElemTypeNamed(r.KVTypeV)
		if errK != nil || errV != nil {
			t.Fatal(errK, errV)
		}
		if r.Status == record.StatusSkipped {
			if r.SkipKind != record.SkipCache || !strings.Contains(r.Reason, "do not divide this model's heads of 80: give it f16, bf16 or f32") {
				t.Errorf("K %s, V %s of %s: skipped as %q, %q", r.KVTypeK, r.KVTypeV, r.Model, r.SkipKind, r.Reason)
			}
			continue
		}
		shape := map[string]econ.KVShape{"tiny-gpt2": {Layers: 2, KVHeads: 2, HeadDimK: 64, HeadDimV: 64}, "tiny-phi2": {Layers: 2, KVHeads: 2, HeadDimK: 80, HeadDimV: 80}}[r.Model]
		if want, err := econ.KVBytes(shape, k, v, 1, 20); err != nil || r.KVUsedBytes == nil || *r.KVUsedBytes != want {
			t.Errorf("K %s, V %s of %s: %v bytes, want %d, %v", r.KVTypeK, r.KVTypeV, r.Model, r.KVUsedBytes, want, err)
		}
	}
	for what, want := range map[string]int{"tiny-gpt2 ok": 13, "tiny-phi2 ok": 3, "tiny-phi2 skipped": 10} {
		if seen[what] != want {
			t.Errorf("%s: %d rows, want %d", what, seen[what], want)
		}
	}
	if len(seen) != 3 {
		t.Errorf("rows ended as %v", seen)
	}
}

// Quantized caches and weights, from the matrix to the report: files are made, the
// rows say what ran, and the tables set types beside f16.
func TestQuantized(t *testing.T) {
	dir := workspace(t)
	const matrix = `name: quantized
repetitions: 3
models:
  - {name: plain, synth: tiny-llama}
  - {name: small, synth: tiny-llama, type: q4_0}
backends: [{name: cpu, device: cpu, threads: 1, warmup: 1}]
scenarios: [{name: s, prompt_tokens: 32, gen_tokens: 16}, {name: l, prompt_tokens: 200, gen_tokens: 16}]
energy: {windows: 0, idle_s: 0, roofline: false}
kv_types: [q8_0, f16, {k: q8_0, v: f16}]
`
	if err := os.WriteFile(filepath.Join(dir, "quantized.yaml"), []byte(matrix), 0o644); err != nil {
		t.Fatal(err)
	}
	bench(t, dir, []string{"-matrix", "quantized.yaml", "-o", "out", "--no-kv", "--rate", "0.5"}, 0, "tiny-llama-seed42-q4_0.gguf")
	fileTypes, weights := map[string]string{}, map[string]int64{}
	for _, r := range rows(t, filepath.Join(dir, "out")) {
		if r.Status != record.StatusOK || !r.Synthetic {
			t.Errorf("not a row of synthetic weights: %+v", r)
		}
		if r.ModelInfo != nil {
			fileTypes[r.Model], weights[r.Model] = r.ModelInfo.FileType, *r.WeightsBytes
			if r.ModelInfo.ReadBytes <= 0 || r.ModelInfo.ReadBytes > *r.WeightsBytes {
				t.Errorf("%s: a token reads %d of %d bytes", r.Model, r.ModelInfo.ReadBytes, *r.WeightsBytes)
			}
		}
	}
	if fileTypes["plain"] != "F16" || fileTypes["small"] != "Q4_0" || weights["small"]*3 > weights["plain"]*2 {
		t.Errorf("types %v, bytes %v", fileTypes, weights)
	}
	table := readCSV(t, filepath.Join(dir, "out", "tables", "kv_types.csv"))
	if len(table) != 2*2*3 {
		t.Fatalf("%d rows in kv_types, want 12", len(table))
	}
	perToken := map[string]string{"f16 f16": "4096", "q8_0 q8_0": "2176", "q8_0 f16": "3136"} // 2 layers x 8 heads x 64 values
	for _, row := range table {
		pair := row["kv_type_k"] + " " + row["kv_type_v"]
		beside := row["decode_vs_f16"] != "" && row["decode_vs_f16_lo"] != "" && row["times_f16_usd"] != "" && row["pays"] != ""
		if row["kv_bytes_per_tok"] != perToken[pair] || beside == (pair == "f16 f16") || row["blend_usd_per_m"] == "" || row["synthetic"] != "true" {
			t.Errorf("%s: %v", pair, row)
		}
	}
	report, err := os.ReadFile(filepath.Join(dir, "out", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Types of the KV cache: memory, speed, energy and cost beside f16", "plain on cpu, s: ", "small on cpu, l: ", "kv_types_s.svg"} {
		if !strings.Contains(string(report), text) {
			t.Errorf("the report lacks %q", text)
		}
	}
}
