package matrix

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// reader collects problems while a file is read, so that all are reported at
// once, and remembers names so that they are unique and can be referred to.
type reader struct {
	checkFile func(path string) error // nil if a file named in the matrix is there
	problems  []Problem
	names     map[string]map[string]int // kind -> name -> line
	referred  map[string]*token.Token   // where a model names its reference
}

// errorf reports a problem at t, or at the start of the file if t is nil.
func (r *reader) errorf(t *token.Token, format string, args ...any) {
	p := Problem{Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		// The library counts an empty value at the very start of a line as column 0.
		p.Line, p.Column = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	r.problems = append(r.problems, p)
}

// define records that kind has an entry of this name.
func (r *reader) define(at *token.Token, kind, name string) {
	if r.names[kind] == nil {
		r.names[kind] = map[string]int{}
	}
	if line, dup := r.names[kind][name]; dup {
		r.errorf(at, "%s %q is defined twice, first on line %d", kind, name, line)
		return
	}
	r.names[kind][name] = at.Position.Line
}

// table is a mapping of the file. Its keys are taken by name; what nobody
// asked for by the time end is called is an unknown key. Getters return the
// default for an absent key and report a value that is not allowed.
type table struct {
	r      *reader
	what   string // what the mapping describes, for messages
	at     *token.Token
	keys   []*token.Token // in file order
	values map[string]ast.Node
	known  []string
}

// table reads n as a mapping, or reports that it is not and returns an empty one.
func (r *reader) table(n ast.Node, what string) *table {
	t := &table{r: r, what: what, at: start(n), values: map[string]ast.Node{}}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.errorf(t.at, "%s must be a mapping of keys to values, not %s", what, describe(n))
		t.values = nil
		return t
	}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		if _, dup := t.values[key.Value]; dup {
			r.errorf(key, "key %q is given twice", key.Value)
			continue
		}
		t.keys = append(t.keys, key)
		t.values[key.Value] = it.Value()
	}
	return t
}

// need reports those of the keys that are missing.
func (t *table) need(keys ...string) {
	if t.values == nil {
		return // not a mapping, said already
	}
	for _, k := range keys {
		if t.values[k] == nil {
			t.r.errorf(t.at, "%s has no %q", t.what, k)
		}
	}
}

// end reports keys that were never asked for.
func (t *table) end() {
	for _, key := range t.keys {
		if !slices.Contains(t.known, key.Value) {
			t.r.errorf(key, "unknown key %q in %s%s", key.Value, t.what, hint(key.Value, t.known))
		}
	}
}

func (t *table) get(key string) ast.Node {
	t.known = append(t.known, key)
	return t.values[key]
}

// errorf reports a problem at the value of key, or at the mapping if the key
// is absent.
func (t *table) errorf(key, format string, args ...any) {
	at := t.at
	if v := t.values[key]; v != nil {
		at = v.GetToken()
	}
	t.r.errorf(at, "%s: %s", key, fmt.Sprintf(format, args...))
}

// text returns the string at key; it must not be blank or hold control
// characters.
func (t *table) text(key string) string {
	n := t.get(key)
	if n == nil {
		return ""
	}
	s, ok := stringOf(n)
	switch {
	case !ok:
		t.errorf(key, "must be text, not %s", describe(n))
	case strings.TrimSpace(s) == "":
		t.errorf(key, "must not be empty")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		t.errorf(key, "must be one line without control characters")
	default:
		return s
	}
	return ""
}

// Names become parts of file names and of cell IDs.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

const maxNameBytes = 64

func (t *table) name(key string) string {
	s := t.text(key)
	switch {
	case s == "":
	case len(s) > maxNameBytes:
		t.errorf(key, "the name is longer than %d characters", maxNameBytes)
	case !validName.MatchString(s):
		t.errorf(key, "%q is not a name; use letters, digits, '.', '_' and '-', starting with a letter or digit", s)
	default:
		return s
	}
	return ""
}

// define returns the name of an entry of kind, which must be new.
func (t *table) define(kind string) string {
	s := t.name("name")
	if s != "" {
		t.r.define(t.values["name"].GetToken(), kind, s)
	}
	return s
}

// refer returns the name at key, which must be that of an entry of the same kind.
func (t *table) refer(kind string) string {
	s := t.name(kind)
	if s == "" {
		return ""
	}
	if unknown := t.r.unknown(kind, s); unknown != "" {
		t.errorf(kind, "%s", unknown)
	}
	return s
}

// unknown says that no entry of kind has this name, or nothing if one has.
func (r *reader) unknown(kind, name string) string {
	if _, ok := r.names[kind][name]; ok {
		return ""
	}
	return fmt.Sprintf("no %s is called %q%s", kind, name, hint(name, slices.Sorted(maps.Keys(r.names[kind]))))
}

// choice returns the text at key, one of allowed; the first is the default.
func (t *table) choice(key string, allowed ...string) string {
	if t.get(key) == nil {
		return allowed[0]
	}
	s := t.text(key)
	if s != "" && !slices.Contains(allowed, s) {
		t.errorf(key, "must be one of %s, not %s", strings.Join(allowed, ", "), describe(t.values[key]))
	}
	return s
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// integer returns the whole number at key, lo <= number <= hi.
func (t *table) integer(key string, lo, hi, def int64) int64 {
	n := t.get(key)
	if n == nil {
		return def
	}
	s := n.GetToken().Value
	if _, ok := n.(*ast.IntegerNode); !ok || !decimal.MatchString(s) {
		t.errorf(key, "must be a whole number from %d to %d, not %s", lo, hi, describe(n))
		return def
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < lo || v > hi {
		t.errorf(key, "must be from %d to %d, not %s", lo, hi, s)
		return def
	}
	return v
}

func (t *table) int(key string, lo, hi, def int) int {
	return int(t.integer(key, int64(lo), int64(hi), int64(def)))
}

var decimalFraction = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// number returns the number at key, lo <= number <= hi, or nil if the key is
// absent.
func (t *table) number(key string, lo, hi float64) *float64 {
	n := t.get(key)
	if n == nil {
		return nil
	}
	s := n.GetToken().Value
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		if v, err := strconv.ParseFloat(s, 64); err == nil && decimalFraction.MatchString(s) {
			if v >= lo && v <= hi {
				return &v
			}
			t.errorf(key, "must be from %g to %g, not %s", lo, hi, s)
			return nil
		}
	}
	t.errorf(key, "must be a number from %g to %g, not %s", lo, hi, describe(n))
	return nil
}

// numberOr is number with a default.
func (t *table) numberOr(key string, lo, hi, def float64) float64 {
	if v := t.number(key, lo, hi); v != nil {
		return *v
	}
	return def
}

// bool returns true or false at key.
func (t *table) bool(key string, def bool) *bool {
	n := t.get(key)
	if n == nil {
		return &def
	}
	b, ok := n.(*ast.BoolNode)
	if !ok {
		t.errorf(key, "must be true or false, not %s", describe(n))
		return &def
	}
	return &b.Value
}

// list reads each element of the list at key. An absent list is nil.
func list[T any](t *table, key string, read func(ast.Node) T) []T {
	n := t.get(key)
	if n == nil {
		return nil
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		t.errorf(key, "must be a list, not %s", describe(n))
		return nil
	}
	switch {
	case len(seq.Values) == 0:
		t.errorf(key, "the list is empty")
	case len(seq.Values) > maxEntries:
		t.errorf(key, "the list has %d entries; at most %d are allowed", len(seq.Values), maxEntries)
		return nil
	}
	var out []T
	for _, v := range seq.Values {
		out = append(out, read(v))
	}
	return out
}

// start returns the first token of n. The library's own answer for a block
// mapping is its first colon.
func start(n ast.Node) *token.Token {
	if m, ok := n.(ast.MapNode); ok && n.GetToken().Type != token.MappingStartType {
		if it := m.MapRange(); it.Next() {
			return it.Key().GetToken()
		}
	}
	return n.GetToken()
}

func stringOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode: // block text: > or |
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	}
	return "", false
}

// describe names what n is, with its text if it is short, as in "the number 5".
func describe(n ast.Node) string {
	kind := "a value"
	switch n.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	case *ast.LiteralNode:
		return "block text"
	case *ast.StringNode:
		kind = "the text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		kind = "the number"
	case *ast.BoolNode:
		kind = "the truth value"
	}
	if s := n.GetToken().Value; len(s) <= maxNameBytes {
		return fmt.Sprintf("%s %q", kind, s)
	}
	return kind
}
