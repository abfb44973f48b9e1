package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/rundir"
)

// What small.yaml asks for: 2 models x 2 scenarios on each of 2 backends, 2
// repetitions in each of 2 launches, warmed up once a cell and launch.
const (
	smallPlanned = 2 * 2 * 2 * 2 * 2
	smallOK      = smallPlanned / 2 // those on the CPU
	smallWarm    = 2 * 2 * 2
)

// Bytes of K and V for one position: 2 tensors x 2 layers x KV heads x 64
// values x 2 bytes of F16.
var kvBytesPerToken = map[string]int64{"tiny-gpt2": 2 * 2 * 2 * 64 * 2, "tiny-llama": 2 * 2 * 8 * 64 * 2}

func TestRun(t *testing.T) {
	dir := workspace(t)
	stdout := bench(t, dir, []string{"-matrix", "small.yaml", "-o", "out"}, 0, "32 rows to do", "report: out/report.md")
	out := filepath.Join(dir, "out")
	env, err := environ.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	var cpu, gpu []record.Record
	for _, r := range rows(t, out) {
		if r.Backend == "cpu" {
			cpu = append(cpu, r)
		} else {
			gpu = append(gpu, r)
		}
	}

	t.Run("rows", func(t *testing.T) { checkCPURows(t, cpu) })
	t.Run("fields", func(t *testing.T) { checkFields(t, out) })
	t.Run("no GPU", func(t *testing.T) {
		for _, d := range env.Engine.Devices {
			if d.Kind == "gpu" {
				t.Skipf("this machine has one: %s", d.Description)
			}
		}
		if len(gpu) != smallPlanned-smallOK {
			t.Errorf("%d rows, want %d", len(gpu), smallPlanned-smallOK)
		}
		for _, r := range gpu {
			if r.Status != record.StatusSkipped || r.Reason != "no CUDA device" || r.SkipKind != record.SkipDevice ||
				r.PrefillMs != nil || r.TokenHash != "" {
				t.Errorf("not a row skipped for want of a GPU: %+v", r)
			}
		}
	})
	t.Run("environment", func(t *testing.T) {
		data, err := os.ReadFile(filepath.Join(dir, "small.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(data)
		if env.ConfigHash != hex.EncodeToString(hash[:]) || env.ConfigPath != "small.yaml" {
			t.Errorf("configuration %s %s", env.ConfigPath, env.ConfigHash)
		}
		if env.Engine.Version == "" || env.Engine.Features == "" || len(env.Engine.Devices) == 0 || env.OS == "" || env.Build.Go == "" {
			t.Errorf("not described: %+v", env)
		}
		if len(env.Sessions) != 1 || env.Sessions[0].Ended == nil || env.Sessions[0].Ended.Before(env.Sessions[0].Started) {
			t.Errorf("sessions %+v", env.Sessions)
		}
		setup, err := rundir.Read(out)
		if err != nil || !bytes.Equal(setup.Matrix, data) || setup.PlannedRows != smallPlanned || setup.RunID != cpu[0].RunID {
			t.Errorf("%v: setup %+v", err, setup)
		}
	})
	t.Run("labels", func(t *testing.T) {
		report, err := os.ReadFile(filepath.Join(out, "report.md"))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"report.md": string(report), "stdout": stdout} {
			if !strings.Contains(text, "SYNTHETIC WEIGHTS") {
				t.Errorf("%s does not say that weights are synthetic", name)
			}
		}
		costs := readCSV(t, filepath.Join(out, "cost_per_measurement.csv"))
		onCPU := 0
		for _, row := range costs {
			if row["backend"] == "cpu" {
				onCPU++
			}
			if row["synthetic"] != "true" {
				t.Errorf("not labelled as synthetic: %v", row)
			}
		}
		if onCPU != smallOK {
			t.Errorf("%d CPU rows with costs, want %d", onCPU, smallOK)
		}
	})
	// Greedy decoding by the same program gives the same tokens in any process.
	t.Run("again", func(t *testing.T) {
		bench(t, dir, []string{"-q", "-matrix", "small.yaml", "-o", "again"}, 0)
		sameOutcomes(t, filepath.Join(dir, "again"), outcomes(t, out))
	})
}

func checkCPURows(t *testing.T, rows []record.Record) {
	byKey := map[record.Key]bool{}
	hashes := map[string]string{}
	firsts := map[string]int{} // rows with one-time costs, by model
	warm, startNs := 0, int64(0)
	for i := range rows {
		r := &rows[i]
		if r.Status != record.StatusOK || byKey[r.Key()] || r.RunID != rows[0].RunID || len(r.Warnings) > 0 {
			t.Errorf("not an ok row of its own: %+v", r)
			continue
		}
		byKey[r.Key()] = true
		if r.Warmup {
			warm++
		}
		if r.LoadMs != nil {
			firsts[r.Model]++
			if *r.LoadMs <= 0 || r.ContextMs == nil || r.ModelInfo == nil || r.ModelInfo.Layers != 2 || !r.Warmup {
				t.Errorf("not the first row of a launch: %+v", r)
			}
		}
		want := map[string][2]int{"short": {16, 8}, "long": {32, 12}}[r.Scenario]
		if r.PromptTokens != want[0] || r.GenTokens != want[1] || len(r.StepMs) != want[1] {
			t.Errorf("%d+%d tokens in %d steps, want %v", r.PromptTokens, r.GenTokens, len(r.StepMs), want)
		}
		steps := 0.0
		for _, ms := range r.StepMs {
			if steps += ms; ms <= 0 {
				t.Errorf("a step of %v ms", ms)
			}
		}
		// Times are whole nanoseconds, so that sums differ by rounding only.
		if math.Abs(steps-*r.DecodeMs) > 1e-6 || math.Abs(*r.PrefillMs+*r.DecodeMs-*r.TotalMs) > 1e-6 || *r.PrefillMs <= 0 {
			t.Errorf("times do not add up: steps %v, prefill %v, decode %v, total %v", steps, *r.PrefillMs, *r.DecodeMs, *r.TotalMs)
		}
		if r.StartNs <= startNs {
			t.Errorf("started at %d ns, the row before at %d ns", r.StartNs, startNs)
		}
		startNs = r.StartNs + int64(*r.TotalMs*1e6)
		if want := kvBytesPerToken[r.Model] * int64(r.PromptTokens+r.GenTokens); *r.KVUsedBytes != want || *r.KVAllocBytes < want {
			t.Errorf("KV cache of %d bytes in %d, want %d", *r.KVUsedBytes, *r.KVAllocBytes, want)
		}
		if *r.HostPeakRSSBytes < *r.HostRSSBytes || *r.HostRSSBytes < *r.KVAllocBytes {
			t.Errorf("%d bytes resident, at most %d", *r.HostRSSBytes, *r.HostPeakRSSBytes)
		}
		if was, seen := hashes[r.CellID]; seen && was != r.TokenHash {
			t.Errorf("%+v: token hash %s, before %s", r.Key(), r.TokenHash, was)
		}
		hashes[r.CellID] = r.TokenHash
	}
	if warm != smallWarm || len(byKey) != smallOK+smallWarm || len(hashes) != 4 {
		t.Errorf("%d rows of %d cells, %d of them warm-ups; want %d of 4, %d", len(byKey), len(hashes), warm, smallOK+smallWarm, smallWarm)
	}
	if firsts["tiny-gpt2"] != 2 || firsts["tiny-llama"] != 2 {
		t.Errorf("one-time costs on %v rows, want 2 of each model, one a launch", firsts)
	}
	seen := map[string]bool{}
	for _, h := range hashes {
		if h == "" || seen[h] {
			t.Errorf("token hashes say nothing: %v", hashes)
		}
		seen[h] = true
	}
}

// checkFields checks the names in the file: readers of any language rely on
// them.
func checkFields(t *testing.T, dir string) {
	always := []string{
		"schema", "timestamp", "run_id", "cell_id", "model", "backend", "scenario", "launch", "rep", "status",
		"batch", "kv_type_k", "kv_type_v", "decode_mode", "seed", "synthetic", "device_kind",
	}
	measured := []string{
		"prompt_tokens", "gen_tokens", "prompt_hash", "token_hash", "prefill_ms", "decode_ms", "total_ms", "step_ms", "start_ns",
		"kv_used_bytes", "kv_alloc_bytes", "weights_bytes", "compute_bytes", "host_peak_rss_bytes", "host_rss_bytes",
		"device", "engine_version", "threads", "n_ctx", "n_batch", "n_ubatch", "flash_attn", "mmap", "argmax",
	}
	onGPUOnly := []string{"prefill_cuda_ms", "decode_cuda_ms", "prefill_cuda_busy_ms", "step_cuda_ms", "engine_gpu_bytes", "graphs"}
	for line := range bytes.Lines(lines(t, dir)) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		need := always
		if row["status"] == "ok" {
			need = append(need[:len(need):len(need)], measured...)
			if row["synthetic"] != true {
				t.Errorf("not labelled as synthetic: %s", line)
			}
		}
		for _, name := range need {
			if v, there := row[name]; !there || v == nil || v == "" {
				t.Errorf("no %s in %s", name, line)
			}
		}
		for _, name := range onGPUOnly {
			if _, there := row[name]; there && row["backend"] == "cpu" {
				t.Errorf("%s in a row of the CPU: %s", name, line)
			}
		}
	}
}

// readCSV returns the rows of a table by column name.
func readCSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatal(path, err)
	}
	var rows []map[string]string
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}
