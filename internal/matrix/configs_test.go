package matrix

import (
	"reflect"
	"testing"
)

func TestStudyMatrix(t *testing.T) {
	s, err := Load("../../configs/matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := mustPlan(t, s, Narrow{})
	if p.Rows() != 525 {
		t.Errorf("Rows = %d, want 525", p.Rows())
	}
	rows, skipped := map[string]int{}, 0
	for _, c := range p.Cells {
		rows[c.Model.Name] += s.Repetitions * s.Launches
		if c.Skip != "" {
			skipped += s.Repetitions * s.Launches
		}
		if want := map[string]int{"llamacpp-gpu-graphs": 5, "llamacpp-gpu": 2, "llamacpp-cpu": 2}[c.Backend.Name]; c.Backend.Warmup != want {
			t.Errorf("%s: %d warm-ups, want %d", c.ID, c.Backend.Warmup, want)
		}
	}
	for _, model := range []string{"gpt2", "llama-3.2-1b", "qwen2.5-1.5b", "phi-2", "llama-3.2-3b"} {
		if rows[model] != 105 {
			t.Errorf("%s: %d rows, want 105", model, rows[model])
		}
	}
	// Two models x five scenarios x seven repetitions on the CPU.
	if skipped != 70 {
		t.Errorf("%d rows skipped, want 70", skipped)
	}
	// What the acceptance run narrows it to.
	if got := mustPlan(t, s, Narrow{Models: []string{"gpt2"}, Reps: 2}).Rows(); got != 30 {
		t.Errorf("gpt2 twice: %d rows, want 30", got)
	}
}

func TestServingMatrix(t *testing.T) {
	s, err := Load("../../configs/serving.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// 3 models x 1 backend x 7 batches x 5 repetitions.
	if p := mustPlan(t, s, Narrow{}); p.Rows() != 105 || p.Cells[6].Batch != 64 {
		t.Errorf("Rows = %d, the last batch %d, want 105 and 64", p.Rows(), p.Cells[6].Batch)
	}
}

func TestKVQuantMatrix(t *testing.T) {
	s, err := Load("../../configs/kv-quant.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := mustPlan(t, s, Narrow{})
	if p.Rows() != 400 { // 5 models x 2 backends x 4 types x 2 scenarios x 5 repetitions
		t.Errorf("Rows = %d, want 400", p.Rows())
	}
	types, weights := map[string]int{}, map[string]int{}
	for _, c := range p.Cells {
		if c.Skip != "" {
			continue
		}
		types[c.KV.String()]++
		weights[c.Model.Type]++
	}
	// On the GPU five models, on the CPU three, in two scenarios.
	for _, kv := range []string{"f16", "q8_0", "q4_0", "q8_0-f16"} {
		if types[kv] != 16 {
			t.Errorf("%d cells with a cache of %s, want 16", types[kv], kv)
		}
	}
	if weights["f16"] != 32 || weights["q8_0"] != 16 || weights["q4_k_m"] != 16 {
		t.Errorf("cells by the type of weights: %v", weights)
	}
}

func TestH200StudyMatrix(t *testing.T) {
	s, err := Load("../../configs/h200-study.yaml")
	if err != nil {
		t.Fatal(err)
	}
	study, err := Load("../../configs/matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Scenarios) != 6 || !reflect.DeepEqual(s.Scenarios[:5], study.Scenarios) || !reflect.DeepEqual(s.Models, study.Models) || s.Seed != study.Seed {
		t.Error("other models, work or prompts than configs/matrix.yaml")
	}
	p := mustPlan(t, s, Narrow{})
	if p.Rows() != 810 || s.Launches != 3 {
		t.Errorf("Rows = %d in %d launches, want 810 in 3", p.Rows(), s.Launches)
	}
	// The file says 20 minutes: bound what rows and windows take, at the slowest
	// rates of each model's decode and of all prefill in reports/h200-2026-11-23.
	rate := map[string]float64{"gpt2": 790, "llama-3.2-1b": 680, "qwen2.5-1.5b": 390, "phi-2": 240, "llama-3.2-3b": 310}
	seconds := 0.0
	for _, c := range p.Cells {
		if c.Skip != "" || c.Backend.Device != "cuda" || rate[c.Model.Name] == 0 {
			t.Errorf("%s is not measured on a GPU", c.ID)
		}
		if tuned := c.Backend.Argmax == "graph-split"; tuned != (c.Backend.Name == "llamacpp-gpu-tuned") || *c.Backend.Graphs == (c.Backend.Name == "llamacpp-gpu") {
			t.Errorf("%s: graphs %v, argmax %q", c.ID, *c.Backend.Graphs, c.Backend.Argmax)
		}
		prompt, gen := float64(c.Scenario.PromptTokens), float64(c.Scenario.GenTokens)
		row := prompt/6000 + gen/rate[c.Model.Name]
		if c.Scenario.Decode == "uncached" {
			row = (gen + 1) * (prompt + gen) / 6000
		}
		seconds += row * float64(s.Launches*(s.Repetitions+c.Backend.Warmup))
		if s.Energy.Covers(c.Scenario.Name) {
			seconds += 2 * float64(s.Energy.Windows) * (s.Energy.WindowS + 0.5)
		}
	}
	if seconds > 20*60 {
		t.Errorf("rows and windows take about %.0f s, want at most 20 minutes", seconds)
	}
}

func TestDemoMatrix(t *testing.T) {
	s, err := Load("../../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := mustPlan(t, s, Narrow{})
	if p.Rows() != 72 { // 2 models x 3 backends x 4 scenarios x 3 repetitions
		t.Errorf("Rows = %d, want 72", p.Rows())
	}
	// The whole demo has minutes on two cores: bound the tokens gpt2 evaluates
	// on the CPU, which does about 600 of a prompt and 60 decode steps a second.
	seconds := 0.0
	for _, c := range p.Cells {
		if c.Model.Name != "gpt2" || c.Backend.Device != "cpu" {
			continue
		}
		prompt, gen := float64(c.Scenario.PromptTokens), float64(c.Scenario.GenTokens)
		row := prompt/600 + gen/60
		if c.Scenario.Decode == "uncached" {
			row = (gen + 1) * (prompt + gen) / 600
		}
		seconds += row * float64(s.Launches*(s.Repetitions+c.Backend.Warmup))
	}
	if seconds > 60 {
		t.Errorf("the demo's gpt2 cells take about %.0f s, want at most 60", seconds)
	}
}
