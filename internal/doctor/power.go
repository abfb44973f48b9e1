package doctor

import "github.com/phasebench/phasebench/internal/power"

// Power tells what each source of power and energy can do here. One that is not
// there is a warning where something can be done about it.
func Power(sources []power.SourceReport) []Line {
	s := section{name: "power"}
	for _, r := range sources {
		switch {
		case r.OK:
			s.ok(r.Name, "%s", r.Detail)
		case r.Fix != "":
			s.warn(r.Name, r.Fix, "%s", r.Detail)
		default:
			s.ok(r.Name, "not measured: %s", r.Detail)
		}
	}
	return s.lines
}
