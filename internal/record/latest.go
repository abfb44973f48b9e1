package record

import "fmt"

// Latest returns one row for each key, in the order in which the keys first
// appear: an ok row if there is one, otherwise the last. Two ok rows of one key, which no run writes except for
// warm-ups of a resumed launch, are told as warnings.
func Latest(rows []Record) (latest []Record, warnings []error) {
	at := make(map[Key]int, len(rows))
	for _, row := range rows {
		k := row.Key()
		i, seen := at[k]
		if !seen {
			at[k] = len(latest)
			latest = append(latest, row)
			continue
		}
		if row.Status == StatusOK && latest[i].Status == StatusOK && !row.Warmup {
			warnings = append(warnings, fmt.Errorf("cell %s launch %d repetition %d was measured twice; the row of %s is used",
				k.CellID, k.Launch, k.Rep, row.Timestamp.Format("2006-01-02 15:04:05")))
		}
		if row.Status == StatusOK || latest[i].Status != StatusOK {
			latest[i] = row
		}
	}
	return latest, warnings
}

// Done returns the keys that a resumed run need not look at again: those with
// an ok row, and those the matrix skips by rule. Other skipped rows depend on
// the machine, which may have changed, and errors are tried again.
func Done(rows []Record) map[Key]bool {
	done := make(map[Key]bool)
	for i := range rows {
		r := &rows[i]
		if r.Status == StatusOK || r.Status == StatusSkipped && r.SkipKind == SkipRule {
			done[r.Key()] = true
		}
	}
	return done
}
