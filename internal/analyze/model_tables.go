package analyze

// modelTables say what was measured.
func modelTables() []definition {
	return []definition{{
		name: studies + "models", section: "4.1", title: "Models", needs: needsShape,
		columns: []Column{col("model", "model", ""), col("arch", "architecture", ""), col("params", "parameters", ""), col("file_type", "weights", ""),
			col("weights_bytes", "weights", "B"), col("layers", "layers", ""), col("heads", "heads", ""), col("kv_heads", "KV heads", ""), col("attention", "attention", ""),
			col("head_dim_k", "K head size", ""), col("head_dim_v", "V head size", ""), col("positions", "positions", ""), syntheticWeights()},
		fill: func(a *Analysis, t *Table) error {
			for _, m := range a.Models {
				if m.Info == nil {
					continue
				}
				kind, _ := m.attention()
				t.Add(m.Name, m.Info.Arch, m.Info.Params, m.Info.FileType, m.WeightsBytes, m.Info.Layers, m.Info.Heads, m.Info.KVHeads, kind,
					m.Info.HeadDimK, m.Info.HeadDimV, m.Info.CtxTrain, a.isSynthetic(m.Name))
			}
			return nil
		},
		notes: []string{"MHA: as many KV heads as query heads. GQA: several query heads share one. MQA: all do. Positions: those the model was trained for."},
	}}
}
