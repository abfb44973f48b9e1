package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

// Accounting says how every planned row ended. Warm-ups are counted apart and
// in no other number.
type Accounting struct {
	Planned *int // rows the run was to have; nil when not known
	OK      int
	Skipped int
	Errors  int
	Warmups int

	// Missing counts the rows that are planned but not there: not reached yet,
	// or lost. When the plan is not known it is what the cells that appear lack
	// of the most repetitions and launches that any cell has.
	Missing int

	Reasons []Reason // why rows were skipped or failed, most frequent first
}

// Recorded returns the number of rows that ended in some way.
func (a Accounting) Recorded() int { return a.OK + a.Skipped + a.Errors }

// Reason is one cause of rows that were not measured.
type Reason struct {
	Status record.Status
	Kind   string // of the skip or error
	Text   string
	Rows   int
	Cells  []string // IDs, in order of appearance
}

func account(rows []record.Record, planned int, w *warnings) Accounting {
	var a Accounting
	var cells set
	type cause struct {
		Reason
		cells set
	}
	reasons := map[[3]string]*cause{}
	repetitions, launches := 0, 0
	for i := range rows {
		r := &rows[i]
		if r.Warmup {
			a.Warmups++
			if r.Status == record.StatusError {
				w.add(r.CellID, "a warm-up failed: %s", errorText(r.Error))
			}
			continue
		}
		cells.add(r.CellID)
		repetitions, launches = max(repetitions, r.Rep+1), max(launches, r.Launch+1)
		var kind, text string
		switch r.Status {
		case record.StatusOK:
			a.OK++
			continue
		case record.StatusSkipped:
			a.Skipped++
			kind, text = string(r.SkipKind), cmp.Or(r.Reason, "no reason recorded")
		case record.StatusError:
			a.Errors++
			text = errorText(r.Error)
			if r.Error != nil {
				kind = r.Error.Kind
			}
		}
		key := [3]string{string(r.Status), kind, text}
		reason := reasons[key]
		if reason == nil {
			reason = &cause{Reason: Reason{Status: r.Status, Kind: kind, Text: text}}
			reasons[key] = reason
		}
		reason.Rows++
		reason.cells.add(r.CellID)
	}
	for _, reason := range reasons {
		reason.Cells = reason.cells.list
		a.Reasons = append(a.Reasons, reason.Reason)
	}
	slices.SortFunc(a.Reasons, func(x, y Reason) int {
		return cmp.Or(cmp.Compare(y.Rows, x.Rows), cmp.Compare(x.Status, y.Status), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Text, y.Text))
	})

	expected := planned
	if planned > 0 {
		a.Planned = &planned
	} else {
		expected = len(cells.list) * repetitions * launches
	}
	a.Missing = max(0, expected-a.Recorded())
	return a
}

// errorText is the part of an error that tells one cause from another.
func errorText(e *record.Error) string {
	if e == nil {
		return "no error recorded"
	}
	text, _, _ := strings.Cut(e.Message, "\n")
	switch {
	case e.Signal != "" && !strings.Contains(text, e.Signal):
		return fmt.Sprintf("%s: %s", e.Signal, text)
	case e.ExitCode != nil && text == "":
		return fmt.Sprintf("exit code %d", *e.ExitCode)
	}
	return cmp.Or(text, "no message recorded")
}
