package compare

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/phasebench/phasebench/internal/analyze"
)

// On the stored run of an H200, CUDA graphs make decode faster and do nothing
// certain to prefill: most decode cells are told apart, most prefill cells not.
func TestGraphsOnH200(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz to unpack the stored run with")
	}
	rows, err := exec.Command("xz", "-dc", "../../reports/h200-2026-11-23/raw_measurements.jsonl.xz").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "h200.jsonl")
	if err := os.WriteFile(path, rows, 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	got := mustCompare(t, []*Side{{Run: run, Backend: "llamacpp-gpu"}, {Run: run, Backend: "llamacpp-gpu-graphs"}}, Options{})
	cells, verdicts := map[string]int{}, map[string]map[string]int{"prefill_tok_s": {}, "decode_tok_s": {}}
	for _, row := range got.Rows {
		if v := verdicts[row.Metric]; v != nil {
			cells[row.Metric]++
			v[row.Verdict]++
			if row.Verdict != "~" && *row.PHolm >= analyze.Significance {
				t.Errorf("%s, %s: %s at p %v", row.Model, row.Scenario, row.Verdict, *row.PHolm)
			}
		}
	}
	decode, prefill := verdicts["decode_tok_s"], verdicts["prefill_tok_s"]
	if n := cells["decode_tok_s"]; n != 25 || decode["faster"] < n*9/10 || decode["slower"] > 0 {
		t.Errorf("decode of %d cells: %v", n, decode)
	}
	if n := cells["prefill_tok_s"]; prefill["~"] < n*9/10 {
		t.Errorf("prefill of %d cells: %v", n, prefill)
	}
	t.Logf("decode %v, prefill %v", decode, prefill)
}
