package matrix

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds nesting before the recursive parser sees it: a matrix needs
// 4 levels, and a megabyte of "[" would exhaust the stack.
const maxDepth = 16

// maxYAMLTokens bounds the size that counts: the parser's time grows with its
// square, to a minute for half a megabyte of short lines.
const maxYAMLTokens = 20_000

// root parses data to the value of its only document. It returns nil after
// reporting a problem when there is none.
func (r *reader) root(data []byte) ast.Node {
	if len(data) > maxFileBytes {
		r.errorf(nil, "the file is larger than %d bytes; a matrix is a few kilobytes", maxFileBytes)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	tokens := lexer.Tokenize(string(data))
	if at, msg := refuse(tokens); msg != "" {
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

// refuse finds the first use of YAML that a matrix has no need of and that can
// make a file expensive to read: sheer size, references, tags, deep nesting.
func refuse(tokens token.Tokens) (*token.Token, string) {
	if len(tokens) > maxYAMLTokens {
		return tokens[maxYAMLTokens], fmt.Sprintf("the file has more than %d words and marks; a matrix has some hundreds", maxYAMLTokens)
	}
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		what := ""
		switch t.Type {
		case token.AnchorType:
			what = "anchors (&)"
		case token.AliasType:
			what = "aliases (*)"
		case token.MergeKeyType:
			what = "merge keys (<<)"
		case token.TagType:
			what = "tags (!)"
		case token.DirectiveType:
			what = "directives (%)"
		case token.MappingKeyType:
			what = "explicit keys (?)"
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			if t.Position.Line != line {
				entries, line = 0, t.Position.Line
			}
			entries++
		}
		if what != "" {
			return t, fmt.Sprintf("%s are not allowed in a matrix; write the value out or in quotes", what)
		}
		if flow > maxDepth || entries > maxDepth {
			return t, fmt.Sprintf("nested more than %d levels deep", maxDepth)
		}
	}
	return nil, ""
}
