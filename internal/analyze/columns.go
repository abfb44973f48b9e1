package analyze

// keyColumns and keyCells name a group in the tables for machines.
func keyColumns() []Column {
	return []Column{
		col("model", "model", ""), col("backend", "backend", ""), col("scenario", "scenario", ""),
		col("batch", "batch", ""), col("kv_type_k", "K", ""), col("kv_type_v", "V", ""),
		col("decode_mode", "decode", ""),
	}
}

func keyCells(k Key) []any {
	return []any{k.Model, k.Backend, k.Scenario, k.Batch, k.KVTypeK, k.KVTypeV, k.DecodeMode}
}

// groupColumns and groupCells name a group in the tables for people.
func groupColumns() []Column {
	return []Column{col("model", "model", ""), col("backend", "backend", ""), blank("variant", "variant"), col("scenario", "scenario", "")}
}

func groupCells(k Key) []any { return []any{k.Model, k.Backend, k.Variant(), k.Scenario} }

// configColumns and configCells name a configuration.
func configColumns() []Column {
	return []Column{col("model", "model", ""), col("backend", "backend", ""), blank("variant", "variant")}
}

func configCells(k ConfigKey) []any { return []any{k.Model, k.Backend, k.Variant()} }

// col is a column named for machines, and for people with a unit.
func col(name, title, unit string) Column { return Column{Name: name, Title: title, Unit: unit} }

// plusMinus is a column of half-widths.
func plusMinus(name, unit string) Column {
	return Column{Name: name, Title: "±", Unit: unit, Digits: 2}
}

// blank is a column that often has nothing to say.
func blank(name, title string) Column { return Column{Name: name, Title: title, Blank: true} }
