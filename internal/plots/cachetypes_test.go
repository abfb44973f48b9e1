package plots

import (
	"slices"
	"strings"
	"testing"
)

// cachesOf is the run with the scenarios on a GPU in further types of cache, which
// take less memory and one of them less time.
func (r *run) cachesOf(scenarios ...string) *run {
	for _, c := range []struct {
		k, v          string
		bytes, faster float64
	}{{"q8_0", "q8_0", 34. / 64, 1.04}, {"q4_0", "q4_0", 18. / 64, 0.9}, {"q8_0", "f16", 49. / 64, 0.97}} {
		for _, row := range slices.Clone(r.rows) {
			if !slices.Contains(scenarios, row.Scenario) || row.Backend == "cpu" || row.KVTypeK != "f16" || row.KVTypeV != "f16" {
				continue
			}
			row.KVTypeK, row.KVTypeV, row.CellID = c.k, c.v, row.CellID+c.k+c.v
			row.StepMs = slices.Clone(row.StepMs)
			decode := 0.0
			for i := range row.StepMs {
				row.StepMs[i] /= c.faster
				decode += row.StepMs[i]
			}
			row.DecodeMs, row.TotalMs = &decode, ptr(*row.PrefillMs+decode)
			row.KVUsedBytes = ptr(int64(float64(*row.KVUsedBytes) * c.bytes))
			r.rows = append(r.rows, row)
		}
	}
	return r
}

func cachePlots(t *testing.T, r *run) []Plot {
	t.Helper()
	return slices.DeleteFunc(r.draw(t), func(p Plot) bool { return !strings.HasPrefix(p.Name, "kv_types") })
}

// One type is nothing to compare, each scenario has a picture, and without f16
// there is nothing to stand beside.
func TestCacheTypesPerScenario(t *testing.T) {
	if got := cachePlots(t, newRun(t)); len(got) != 1 || got[0].Skipped == "" {
		t.Errorf("a run of one type is drawn: %+v", got)
	}
	var names []string
	for _, p := range cachePlots(t, newRun(t).cachesOf("short", "medium")) {
		names = append(names, p.Name)
		for _, text := range []string{"q4_0", "q8_0/f16", "0.281", "decode beside f16", "prefill beside f16"} {
			if !strings.Contains(string(p.SVG), text) {
				t.Errorf("%s lacks %q", p.Name, text)
			}
		}
	}
	if !slices.Equal(names, []string{"kv_types_short", "kv_types_medium"}) {
		t.Errorf("pictures %v, want one for each scenario", names)
	}
	r := newRun(t).cachesOf("short")
	for i := range r.rows {
		if r.rows[i].KVTypeK == "f16" && r.rows[i].KVTypeV == "f16" {
			r.rows[i].KVTypeK = "q5_0"
		}
	}
	if got := cachePlots(t, r); len(got) != 1 || !strings.Contains(got[0].Skipped, "f16") {
		t.Errorf("without f16: %d pictures, skipped %q", len(got), got[0].Skipped)
	}
}
