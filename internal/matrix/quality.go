package matrix

import (
	"path/filepath"

	"github.com/goccy/go-yaml/ast"
)

// Quality says on which text the models of a matrix are scored after the rows,
// as `bench quality` does. Like Energy it is no part of the work that a cell's ID
// stands for.
type Quality struct {
	Text   string // file of plain text, relative to the matrix file; required
	Ctx    int    // tokens of a chunk, whose second half is scored, 8 or more; default 512
	Chunks int    // scored at most; 0 (default) for all of the text
	// AllowSynthetic scores random weights too, of which a text says nothing;
	// default false, which skips them.
	AllowSynthetic bool
}

// QualityText returns the path of the text that models are scored on; empty when
// none are.
func (s *Spec) QualityText() string {
	if s.Quality == nil {
		return ""
	}
	return filepath.Join(filepath.Dir(s.Path), s.Quality.Text)
}

// quality reads the block; nil when there is none.
func (r *reader) quality(n ast.Node) *Quality {
	if n == nil {
		return nil
	}
	t := r.table(n, "quality")
	t.need("text")
	q := Quality{
		Text:           t.text("text"),
		Ctx:            t.int("ctx", 8, maxTokens, 512),
		Chunks:         t.int("chunks", 0, maxTokens, 0),
		AllowSynthetic: *t.bool("allow_synthetic", false),
	}
	if q.Text != "" {
		if err := r.checkFile(q.Text); err != nil {
			t.errorf("text", "%v", err)
		}
	}
	t.end()
	return &q
}

// references checks what models name as their reference, once all are known.
func (r *reader) references(models []Model) {
	for _, m := range models {
		at := r.referred[m.Name]
		if m.Reference == "" || at == nil {
			continue
		}
		if unknown := r.unknown("model", m.Reference); unknown != "" {
			r.errorf(at, "reference: %s", unknown)
		} else if m.Reference == m.Name {
			r.errorf(at, "reference: a model is no reference for itself; its own f16 cache is, where the matrix has that kv type")
		}
	}
}
