package doctor

import (
	"fmt"
	"slices"

	"github.com/phasebench/phasebench/internal/matrix"
	"github.com/phasebench/phasebench/internal/models"
	"github.com/phasebench/phasebench/internal/record"
	"github.com/phasebench/phasebench/internal/runner"
)

// Matrix tells which cells of a plan can run here, model by model and backend by
// backend. groups are the plan's, checked; found is where its model files are.
func Matrix(groups []runner.GroupCheck, found models.Found, host runner.Host) []Line {
	s := section{name: "matrix"}
	for i := range groups {
		s.group(&groups[i], found, host)
	}
	return s.lines
}

func (s *section) group(g *runner.GroupCheck, found models.Found, host runner.Host) {
	// The file is asked for before the cells: without it each has an error.
	missing := slices.ContainsFunc(found.Missing, func(m matrix.Model) bool { return m.Name == g.Model.Name })
	made := slices.IndexFunc(found.StandIns, func(m models.StandIn) bool { return !m.There && m.Path == g.Model.Path })
	var runs int
	outcomes := map[Line]int{} // with Seen still without the number of cells
	var order []Line
	for i := range g.Cells {
		c := &g.Cells[i]
		l := Line{Section: s.name, Name: g.Name()}
		switch {
		case c.SkipReason != "":
			l.Seen, l.Level, l.Fix = "skipped: "+c.SkipReason, OK, skipFix[c.SkipKind]
			if l.Fix != "" {
				l.Level = Warn
			}
		case missing:
			l.Level, l.Seen, l.Fix = Fail, "without a model: "+g.Model.Path+" is missing", models.HowToGet(g.Model)
			if g.Model.Synth != "" {
				l.Fix += ", or --synthetic"
			}
		case made >= 0:
			l.Level, l.Seen = OK, fmt.Sprintf("on %d MiB of random weights that are made when the run starts; memory is checked then", found.StandIns[made].Bytes()/mib)
		case c.Err != nil:
			l.Level, l.Seen, l.Fix = Fail, "fail: "+c.Err.Message, "get the model file again, or leave the model or the backend out with --models or --backends"
		default:
			runs++
			continue
		}
		if outcomes[l]++; outcomes[l] == 1 {
			order = append(order, l)
		}
	}
	if runs > 0 {
		need, free := g.Memory(host)
		s.ok(g.Name(), "%s, %d of %d MiB free needed", cells(runs), need/mib, free/mib)
	}
	for _, l := range order {
		l.Seen = cells(outcomes[l]) + " " + l.Seen
		s.lines = append(s.lines, l)
	}
}

func cells(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}

// skipFix is what can be done about cells that would be skipped. About a rule
// of the matrix there is nothing to do, and what keeps a device away is among
// the engine's lines.
var skipFix = map[record.SkipKind]string{
	record.SkipMemory:    "free memory, or choose a smaller model, shorter prompts or a quantized kv type",
	record.SkipPositions: "give the scenario fewer gen_tokens",
	record.SkipCache:     "leave the kv type out, or do what the reason says",
}
