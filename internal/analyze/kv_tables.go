package analyze

import (
	"cmp"
	"slices"
)

const mib = 1 << 20

// theoryTokens are the lengths of TR123 8.1.
var theoryTokens = []int{64, 128, 256, 512, 1024, 2048}

const needsShape = "the model's shape, which the first row of a launch carries"

// kvTables say what the cache takes.
func kvTables() []definition {
	return []definition{
		{
			name: "kv_cache_analysis/kv_memory_theoretical", section: "8.1", title: "KV cache by formula", needs: needsShape,
			columns: []Column{col("model", "model", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", ""), col("tokens", "tokens", ""),
				col("bytes", "cache", "B"), col("mib", "cache", "MiB"), col("weights_mib", "weights", "MiB"), col("weights_pct", "of weights", "%"),
				col("reachable", "within the model's positions", "")},
			fill: fillKVTheory,
		},
		{
			name: "kv_cache_analysis/kv_memory_empirical", section: "8.2", title: "KV cache as measured", needs: "the KV pass of a run, which --no-kv leaves out",
			columns: []Column{col("model", "model", ""), col("backend", "backend", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", ""),
				col("asked", "asked", ""), col("tokens", "tokens", ""), col("formula_bytes", "formula", "B"), col("used_bytes", "used", "B"), col("exact", "exact", ""),
				col("clamped", "clamped", ""), col("alloc_bytes", "allocated", "B"),
				col("gpu_used_bytes", "GPU with KV", "B"), col("gpu_after_bytes", "GPU after", "B"),
				col("host_rss_bytes", "host with KV", "B"), col("host_rss_after_bytes", "host after", "B")},
			fill: func(a *Analysis, t *Table) error {
				for _, p := range a.KVPoints {
					t.Add(p.Model, p.Backend, p.KVTypeK, p.KVTypeV, p.Asked, p.Tokens, p.FormulaBytes, p.UsedBytes, p.Exact, p.Tokens < p.Asked, p.AllocBytes,
						p.GPUUsedBytes, p.GPUUsedAfterBytes, p.HostRSSBytes, p.HostRSSAfterBytes)
				}
				return nil
			},
			notes: []string{"Exact: payload after prefill and after decode as the formula has it, and none after clearing. Clamped: the model has fewer positions than asked. GPU: all in use on the device; host: resident size of the worker."},
		},
		{
			name: studies + "kv_by_cell", section: "8.2", title: "KV cache of the measured cells, used against formula", needs: "rows with the payload of their cache",
			columns: append(groupColumns(), col("positions", "positions", ""), col("used_bytes", "used", "B"), col("formula_bytes", "formula", "B"),
				col("exact", "exact", ""), col("alloc_bytes", "allocated", "B"), col("padding_bytes", "padding", "B")),
			fill: func(a *Analysis, t *Table) error {
				for _, k := range a.KV {
					t.Add(append(groupCells(k.Key), k.Positions, k.UsedBytes, k.FormulaBytes, k.Exact, k.AllocBytes, k.PaddingBytes())...)
				}
				return nil
			},
		},
		{
			name: studies + "mha_vs_gqa", section: "8.3", title: "KV cache by attention, at 2,048 tokens", needs: needsShape,
			columns: []Column{col("model", "model", ""), col("params", "parameters", ""), col("attention", "attention", ""), col("gqa_ratio", "query heads per KV head", ""),
				col("bytes_per_token", "a token", "B"), col("mib_2048", "2,048 tokens", "MiB"), col("weights_pct", "of weights", "%"),
				col("times_smallest", "× smallest", ""), col("reachable", "within the model's positions", "")},
			fill: fillAttention,
		},
		{
			name: "kv_cache_analysis/kv_crossover_points", section: "8.4", title: "Where the cache outgrows the weights, and where memory ends", needs: needsShape + ", and its weights' size",
			columns: []Column{col("model", "model", ""), col("attention", "attention", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", ""),
				col("crossover_tokens", "crossover", "tokens"), col("positions", "model's positions", ""), col("reachable", "reachable", ""),
				col("device", "device", ""), col("longest_tokens", "longest context that fits", "tokens"), col("limit", "ended by", "")},
			fill:  fillCrossover,
			notes: []string{"Longest context: device memory less weights and the engine's work buffers as measured, one sequence. The crossover says nothing about what fits."},
		},
	}
}

// eachCache calls f for each model whose shape is known and each of its kv
// types, with the bytes a token takes; types without a formula are left out,
// which kvRows has warned of.
func (a *Analysis) eachCache(f func(m *Model, typeK, typeV string, perToken int64) error) error {
	for _, m := range a.Models {
		for _, kv := range m.KVTypes {
			if m.Info == nil {
				continue
			}
			per, err := kvPerToken(m.Info, kv[0], kv[1])
			if err != nil {
				continue
			}
			if err := f(m, kv[0], kv[1], per); err != nil {
				return err
			}
		}
	}
	return nil
}

// attention names the kind of attention, and how many query heads share a KV
// head.
func (m *Model) attention() (kind string, ratio float64) {
	ratio = float64(m.Info.Heads) / float64(m.Info.KVHeads)
	switch {
	case m.Info.KVIrregular != "":
		return m.Info.KVIrregular, ratio
	case m.Info.KVHeads == m.Info.Heads:
		return "MHA", ratio
	case m.Info.KVHeads == 1:
		return "MQA", ratio
	}
	return "GQA", ratio
}

// ofWeights returns bytes as a share of the weights in percent, absent when
// those are not known.
func (m *Model) ofWeights(bytes int64) any {
	if m.WeightsBytes == nil || *m.WeightsBytes <= 0 {
		return nil
	}
	return 100 * float64(bytes) / float64(*m.WeightsBytes)
}

func fillKVTheory(a *Analysis, t *Table) error {
	return a.eachCache(func(m *Model, typeK, typeV string, per int64) error {
		for _, n := range theoryTokens {
			bytes := per * int64(n)
			var weights any
			if m.WeightsBytes != nil {
				weights = float64(*m.WeightsBytes) / mib
			}
			t.Add(m.Name, typeK, typeV, n, bytes, float64(bytes)/mib, weights, m.ofWeights(bytes), n <= m.Info.CtxTrain)
		}
		return nil
	})
}

const attentionTokens = 2048

func fillAttention(a *Analysis, t *Table) error {
	type entry struct {
		m   *Model
		per int64
	}
	var list []entry
	seen := map[string]bool{}
	err := a.eachCache(func(m *Model, _, _ string, per int64) error {
		if !seen[m.Name] { // its first kv type
			seen[m.Name] = true
			list = append(list, entry{m, per})
		}
		return nil
	})
	slices.SortStableFunc(list, func(x, y entry) int { return cmp.Compare(x.per, y.per) })
	for _, e := range list {
		kind, ratio := e.m.attention()
		bytes := e.per * attentionTokens
		t.Add(e.m.Name, e.m.Info.Params, kind, ratio, e.per, float64(bytes)/mib, e.m.ofWeights(bytes),
			float64(e.per)/float64(list[0].per), attentionTokens <= e.m.Info.CtxTrain)
	}
	return err
}

func fillCrossover(a *Analysis, t *Table) error {
	all, err := a.Crossovers()
	for _, x := range all {
		kind, _ := x.Model.attention()
		var limit any
		if x.Longest != nil {
			limit = string(x.LimitedBy)
		}
		t.Add(x.Model.Name, kind, x.KVTypeK, x.KVTypeV, x.Tokens, x.Model.Info.CtxTrain, x.Reachable, x.Model.Device, x.Longest, limit)
	}
	return err
}
