package matrix

import (
	"bytes"
	"errors"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/phasebench/phasebench/internal/plainyaml"
)

// root parses data to the value of its only document. It returns nil after
// reporting a problem when there is none.
func (r *reader) root(data []byte) ast.Node {
	if len(data) > plainyaml.MaxBytes {
		r.errorf(nil, "the file is larger than %d bytes; a matrix is a few kilobytes", plainyaml.MaxBytes)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	tokens := lexer.Tokenize(string(data))
	if at, msg := plainyaml.Refuse(tokens); msg != "" {
		r.errorf(at, "%s", msg)
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at *token.Token
		msg := err.Error()
		if e := yaml.Error(nil); errors.As(err, &e) {
			at, msg = e.GetToken(), e.GetMessage()
		}
		r.errorf(at, "not valid YAML: %s", msg)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			r.errorf(start(doc.Body), "a second document; a matrix file is one")
			return nil
		default:
			body = doc.Body
		}
	}
	if body == nil {
		r.errorf(nil, "the file is empty; see configs/matrix.yaml for an example")
	}
	return body
}
