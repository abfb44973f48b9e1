package matrix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuality(t *testing.T) {
	s, err := Parse("dir/m.yaml", []byte(strings.Replace(minimal, "synth: gpt2}", "synth: gpt2}, {name: q, synth: gpt2, reference: gpt2}", 1)+
		"quality: {text: t.txt, ctx: 256, chunks: 3, allow_synthetic: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Quality{Text: "t.txt", Ctx: 256, Chunks: 3, AllowSynthetic: true}); s.Quality == nil || *s.Quality != want {
		t.Errorf("got %+v, want %+v", s.Quality, want)
	}
	if s.QualityText() != filepath.Join("dir", "t.txt") || s.Models[1].Reference != "gpt2" {
		t.Errorf("text %s, models %+v", s.QualityText(), s.Models)
	}
	s, err = Parse("m.yaml", []byte(minimal))
	if err != nil || s.Quality != nil || s.QualityText() != "" {
		t.Errorf("without a block: %+v, %v", s, err)
	}
	s, err = Parse("m.yaml", []byte(minimal+"quality: {text: t.txt}\n"))
	if want := (Quality{Text: "t.txt", Ctx: 512}); err != nil || *s.Quality != want {
		t.Errorf("defaults: %+v, %v", s, err)
	}
}

// What is scored is no part of the work of a cell.
func TestQualityChangesNoID(t *testing.T) {
	ids := func(text string) []string {
		s, err := Parse("m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range mustPlan(t, s, Narrow{}).Cells {
			out = append(out, c.ID)
		}
		return out
	}
	two := strings.Replace(minimal, "synth: gpt2}", "synth: gpt2}, {name: q, synth: gpt2}", 1)
	with := strings.Replace(two, "{name: q,", "{name: q, reference: gpt2,", 1) + "quality: {text: t.txt}\n"
	if a, b := ids(two), ids(with); strings.Join(a, " ") != strings.Join(b, " ") {
		t.Errorf("IDs %v, with quality %v", a, b)
	}
}

func TestQualityMistakes(t *testing.T) {
	for block, want := range map[string]string{
		"3":                                     `m.yaml:6:10: quality must be a mapping of keys to values`,
		"{ctx: 8}":                              `m.yaml:6:10: quality has no "text"`,
		"{text: t.txt, context: 8}":             `m.yaml:6:24: unknown key "context" in quality`,
		"{text: [t.txt]}":                       `m.yaml:6:17: text: must be text, not a list`,
		"{text: t.txt, ctx: 7}":                 `m.yaml:6:29: ctx: must be from 8 to 1048576, not 7`,
		"{text: t.txt, chunks: -1}":             `m.yaml:6:32: chunks: must be from 0 to 1048576, not -1`,
		"{text: t.txt, allow_synthetic: maybe}": `m.yaml:6:41: allow_synthetic: must be true or false`,
	} {
		_, err := Parse("m.yaml", []byte(minimal+"quality: "+block+"\n"))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("quality: %s\ngot  %v\nwant %s", block, err, want)
		}
	}
	for reference, want := range map[string]string{
		"gpt3": `m.yaml:3:47: reference: no model is called "gpt3"; did you mean "gpt2"?`,
		"gpt2": `m.yaml:3:47: reference: a model is no reference for itself`,
		"a/b":  `m.yaml:3:47: reference: "a/b" is not a name`,
	} {
		_, err := Parse("m.yaml", []byte(strings.Replace(minimal, "synth: gpt2}", "synth: gpt2, reference: "+reference+"}", 1)))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("reference: %s\ngot  %v\nwant %s", reference, err, want)
		}
	}
}

func TestQualityTextMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(path, []byte(minimal+"quality: {text: none.txt}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), ":6:17: text: there is no file ") {
		t.Errorf("a text that is not there: %v", err)
	}
}
