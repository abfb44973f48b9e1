package pricing

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"github.com/phasebench/phasebench/internal/plainyaml"
)

// file is a parsed file that collects what is wrong with it.
type file struct {
	path     string
	tree     *ast.File
	problems []error
}

// read decodes the file at path as decode does.
func read(path string, v any) (*file, error) {
	data, err := plainyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return decode(path, data, v)
}

// decode decodes the content of the file at path into v, which is a pointer to
// a struct, and refuses what the struct has no place for.
func decode(path string, data []byte, v any) (*file, error) {
	f := &file{path: path}
	if len(data) > plainyaml.MaxBytes {
		return nil, fmt.Errorf("%s:1:1: the file is larger than %d bytes; some kilobytes are usual", path, plainyaml.MaxBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at, msg := plainyaml.Refuse(lexer.Tokenize(string(data))); msg != "" {
		return nil, fmt.Errorf("%s:%d:%d: %s", path, at.Position.Line, at.Position.Column, msg)
	}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(v)
	if errors.Is(err, io.EOF) {
		err = errors.New("the file is empty")
	}
	if err == nil {
		f.tree, err = parser.ParseBytes(data, 0)
	}
	if err != nil {
		return nil, f.locate(err)
	}
	return f, nil
}

// locate gives an error of the YAML library the form path:line:col: message.
func (f *file) locate(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		pos := at.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", f.path, pos.Line, pos.Column, at.GetMessage())
	}
	return fmt.Errorf("%s: %w", f.path, err)
}

// checkf notes a problem at a YAML path unless ok holds. When there is nothing
// at that path the file's start stands for it.
func (f *file) checkf(at string, ok bool, format string, args ...any) {
	if ok {
		return
	}
	line, col := 1, 1
	if node := f.node(at); node != nil {
		pos := first(node).GetToken().Position
		line, col = pos.Line, pos.Column
	}
	f.problems = append(f.problems, fmt.Errorf("%s:%d:%d: %s", f.path, line, col, fmt.Sprintf(format, args...)))
}

// node returns what is at a YAML path, nil if nothing is.
func (f *file) node(at string) ast.Node {
	p, err := yaml.PathString(at)
	if err != nil {
		return nil
	}
	node, err := p.FilterFile(f.tree)
	if err != nil {
		return nil
	}
	return node
}

// Most is the largest price, weight or number of tokens that is taken: far above
// every real one, and what is calculated from it still has a finite value.
const Most = 1e12

// amount notes a problem at a YAML path unless v is a number from 0 to Most.
func (f *file) amount(at, name string, v float64) {
	f.checkf(at, v >= 0 && v <= Most, "%s must be >= 0 and at most %g", name, Most)
}

// tokens notes a problem at a YAML path of v unless v is a number of tokens. A
// fraction would be cut off without a word when it is decoded.
func (f *file) tokens(at, name string, v int) {
	at += "." + name
	_, fraction := f.node(at).(*ast.FloatNode)
	f.checkf(at, !fraction, "%s must be a whole number", name)
	f.amount(at, name, float64(v))
}

// first returns the node a reader would point at: of a mapping its first key.
func first(n ast.Node) ast.Node {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key
	}
	return n
}

func (f *file) err() error { return errors.Join(f.problems...) }
