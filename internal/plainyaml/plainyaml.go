// Package plainyaml looks at the words of a YAML file before it is parsed, and
// refuses what files of settings have no need of and what can make a file
// expensive to read.
package plainyaml

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml/token"
)

// MaxBytes is the largest file that ReadFile returns whole; files of settings
// are some kilobytes.
const MaxBytes = 1 << 20

// MaxTokens bounds the size that counts: the parser's time grows with its
// square, to a minute for half a megabyte of short lines.
const MaxTokens = 20_000

// maxDepth bounds nesting before the recursive parser sees it: our files need 4
// levels, and a megabyte of "[" would exhaust the stack.
const maxDepth = 16

// ReadFile reads a file, of a larger one no more than one byte more than
// MaxBytes, so that it shows. The error does not name the file.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, MaxBytes+1)); err == nil {
			return data, nil
		}
	}
	if at := (*os.PathError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	return nil, err
}

// Refuse finds the first use of something that a plain file has no need of, and
// says what it is; msg is empty if there is none. It looks for sheer size,
// references, tags and deep nesting.
func Refuse(tokens token.Tokens) (at *token.Token, msg string) {
	if len(tokens) > MaxTokens {
		return tokens[MaxTokens], fmt.Sprintf("the file has more than %d words and marks; some hundreds are usual", MaxTokens)
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
			return t, what + " are not allowed here; write the value out or in quotes"
		}
		if flow > maxDepth || entries > maxDepth {
			return t, fmt.Sprintf("nested more than %d levels deep", maxDepth)
		}
	}
	return nil, ""
}
