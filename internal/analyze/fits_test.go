package analyze

import (
	"slices"
	"testing"

	"github.com/phasebench/phasebench/internal/record"
)

// place returns where a column stands.
func place(t *Table, name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// A model is no candidate for requests that its positions do not hold, and a way
// of decoding whose rate holds for no other length is none for any.
func TestRequestsThatCannotBeServed(t *testing.T) {
	short := okRow("short", "fast", 0, 0, 10, 100)
	short.ModelInfo = &record.ModelInfo{Layers: 1, Heads: 2, KVHeads: 2, HeadDimK: 8, HeadDimV: 8, CtxTrain: 1024}
	long, unknown := okRow("long", "fast", 0, 0, 20, 200), okRow("unknown", "fast", 0, 0, 30, 300)
	long.ModelInfo = &record.ModelInfo{Layers: 1, Heads: 2, KVHeads: 2, HeadDimK: 8, HeadDimV: 8, CtxTrain: 4096}
	again := okRow("long", "again", 0, 0, 1, 1)
	again.DecodeMode = "uncached"
	rows := []record.Record{short, long, unknown, again}
	for i := range rows {
		rows[i].Device = "gpu-b"
	}
	a := analyzed(t, rows, Options{Pricing: testPricing()})
	served := map[string][]string{}
	packs := tableNamed(t, a, "tables/scenario_packs")
	model, pack := place(packs, "model"), place(packs, "pack")
	for _, row := range packs.Rows {
		name := row[pack].(string)
		if m := row[model].(string); !slices.Contains(served[name], m) {
			served[name] = append(served[name], m)
		}
	}
	for _, p := range a.Packs {
		want := []string{"short", "long", "unknown"}
		if p.PromptTokens+p.GenTokens > 1024 {
			want = want[1:]
		}
		if got := served[p.Name]; !slices.Equal(got, want) {
			t.Errorf("%s, %d+%d tokens: served by %v, want %v", p.Name, p.PromptTokens, p.GenTokens, got, want)
		}
	}
	for _, name := range []string{"tables/capacity", "tables/request_cost", "tables/workers", "tables/tco"} {
		table := tableNamed(t, a, name)
		for _, row := range table.Rows {
			if row[place(table, "backend")] == "again" {
				t.Errorf("%s has decoding without the cache: %v", name, row)
			}
		}
	}
	for _, u := range useCases(a) {
		if u.name != "long-context requests, 1024+128 tokens" {
			continue
		}
		list, err := u.ordered(a)
		if err != nil || len(list) != 2 || list[0].name != "long on fast" {
			t.Errorf("%s: %+v, %v", u.name, list, err)
		}
		return
	}
	t.Error("no use case of long contexts")
}
