package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/analyze"
	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/record"
)

// otherWork says how the work of two groups differs, so that their times cannot
// be compared; "" when it does not.
func otherWork(a, b *analyze.Group) string {
	if a.PromptTokens != b.PromptTokens || a.GenTokens != b.GenTokens {
		return fmt.Sprintf("%d+%d tokens and %d+%d", a.PromptTokens, a.GenTokens, b.PromptTokens, b.GenTokens)
	}
	if apart(a, b, func(r *record.Record) string { return r.PromptHash }) {
		return "other prompts"
	}
	if otherTokens(a, b) && len(differences(a, b)) == 0 {
		return "the same prompt, device, engine and settings sampled other tokens: other weights?"
	}
	return ""
}

func otherTokens(a, b *analyze.Group) bool {
	return apart(a, b, func(r *record.Record) string { return r.TokenHash })
}

// apart reports whether both groups have values of a kind and share none.
func apart(a, b *analyze.Group, of func(*record.Record) string) bool {
	x, y := values(a, of), values(b, of)
	return len(x) > 0 && len(y) > 0 && !slices.ContainsFunc(x, func(v string) bool { return slices.Contains(y, v) })
}

// values returns what the rows of a group have of a kind, without blanks.
func values(g *analyze.Group, of func(*record.Record) string) []string {
	seen := map[string]bool{}
	for _, r := range g.Rows {
		if v := of(r); v != "" {
			seen[v] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// traits are what rows say of how they were made, besides the work.
var traits = []struct {
	name string
	of   func(*record.Record) string
}{
	{"device", func(r *record.Record) string { return r.Device }},
	{"engine", func(r *record.Record) string { return r.EngineVersion }},
	{"origin", func(r *record.Record) string { return cmp.Or(r.Origin, "phasebench") }},
	{"weights", func(r *record.Record) string {
		if r.WeightsBytes == nil {
			return ""
		}
		return fmt.Sprintf("%d bytes", *r.WeightsBytes)
	}},
	{"CUDA graphs", func(r *record.Record) string {
		if r.Graphs == nil {
			return ""
		}
		return map[bool]string{true: "on", false: "off"}[*r.Graphs]
	}},
	{"threads", count(func(r *record.Record) int { return r.Threads })},
	{"GPU layers", count(func(r *record.Record) int { return r.GPULayers })},
	{"n_batch", count(func(r *record.Record) int { return r.NBatch })},
	{"n_ubatch", count(func(r *record.Record) int { return r.NUbatch })},
	{"flash attention", func(r *record.Record) string { return r.FlashAttn }},
	{"argmax", func(r *record.Record) string { return r.Argmax }},
	{"engine environment", func(r *record.Record) string {
		var set []string
		for _, k := range slices.Sorted(maps.Keys(r.EngineEnv)) {
			set = append(set, k+"="+r.EngineEnv[k])
		}
		return strings.Join(set, " ")
	}},
}

func count(of func(*record.Record) int) func(*record.Record) string {
	return func(r *record.Record) string {
		if n := of(r); n != 0 {
			return fmt.Sprint(n)
		}
		return ""
	}
}

// differences says in which traits two groups differ, "threads: 2 > 4". What
// one of them does not say is no difference, but for its environment.
func differences(a, b *analyze.Group) []string {
	var out []string
	for _, t := range traits {
		x, y := strings.Join(values(a, t.of), ", "), strings.Join(values(b, t.of), ", ")
		if x == y || t.name != "engine environment" && (x == "" || y == "") {
			continue
		}
		out = append(out, fmt.Sprintf("%s: %s > %s", t.name, cmp.Or(x, "none"), cmp.Or(y, "none")))
	}
	return out
}

// remark is said of the sides with these labels. Without any its text says of what.
type remark struct {
	of   []string
	text string
}

func (r remark) String() string {
	if len(r.of) == 0 {
		return r.text
	}
	return strings.Join(r.of, ", ") + ": " + r.text
}

type remarks []remark

// add says something of a side, or of none. Several sides of which the same is to
// be said share a remark.
func (rs *remarks) add(of, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	i := slices.IndexFunc(*rs, func(x remark) bool { return x.text == text })
	if i < 0 {
		i = len(*rs)
		*rs = append(*rs, remark{text: text})
	}
	if r := &(*rs)[i]; of != "" && !slices.Contains(r.of, of) {
		r.of = append(r.of, of)
	}
}

// note adds what differs besides the work, and what figures rest on, of the side
// with this label, which is empty when there is but one.
func (rs *remarks) note(label string, old, with *Side, pairs []*pair) {
	var order []string
	cells := map[string]int{}
	tokens, mixed := 0, 0
	for _, p := range pairs {
		for _, d := range differences(p.old, p.with) {
			if cells[d] == 0 {
				order = append(order, d)
			}
			cells[d]++
		}
		if otherTokens(p.old, p.with) {
			tokens++
		}
		if p.old.Rows[0].Synthetic != p.with.Rows[0].Synthetic {
			mixed++
		}
	}
	for _, d := range order {
		rs.add(label, "differs in %s (%s)", d, cellsOf(cells[d], len(pairs)))
	}
	if tokens > 0 {
		rs.add(label, "sampled other tokens from the same prompt in %s: near ties in the logits, or other weights", cellsOf(tokens, len(pairs)))
	}
	if mixed > 0 {
		rs.add(label, "random weights against trained ones in %s, as allowed", cellsOf(mixed, len(pairs)))
	}
	if old.Run != with.Run {
		if old.Env != nil && with.Env != nil {
			for _, d := range environ.Differences(*old.Env, *with.Env) {
				rs.add(label, "%s", d)
			}
		} else {
			rs.add(label, "%s is not on both sides: machine, driver, program and matrix are not known to be the same", environ.File)
		}
	}
	for _, s := range []*Side{old, with} {
		for _, problem := range s.Problems {
			rs.add("", "%v", problem)
		}
		if load := s.loaded(); load != "" {
			rs.add("", "%s: %s when it began: other work, or the run before it, may have slowed its rows on the CPU", s.Name, load)
		}
	}
}

// loaded returns the load of a machine that had other work before the run; "" for
// none.
func (r *Run) loaded() string {
	if r.Env == nil {
		return ""
	}
	return r.Env.Loaded()
}

func cellsOf(n, of int) string {
	if n == of {
		return "all cells"
	}
	return fmt.Sprintf("%d of %d cells", n, of)
}
