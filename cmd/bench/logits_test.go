package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/llama"
)

// logits runs the command and returns what it printed and, position by
// position, what it wrote.
func logits(t *testing.T, model string, args ...string) (logitsResult, [][]float32) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "logits.f32")
	var stdout, stderr bytes.Buffer
	args = append([]string{"logits", "--model", model, "--out", file}, args...)
	if code := run(context.Background(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("%v: exit code %d\n%s", args, code, &stderr)
	}
	var r logitsResult
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &stdout)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Positions < 1 || r.Vocab < 1 || len(data) != r.Positions*r.Vocab*4 {
		t.Fatalf("%v: %d bytes for %d positions of a vocabulary of %d", args, len(data), r.Positions, r.Vocab)
	}
	values := make([]float32, r.Positions*r.Vocab)
	if _, err := binary.Decode(data, binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return r, slices.Collect(slices.Chunk(values, r.Vocab))
}

// distance is the largest difference between a and b over the largest of b.
func distance(a, b []float32) float64 {
	var diff, scale float64
	for i := range a {
		diff = max(diff, math.Abs(float64(a[i]-b[i])))
		scale = max(scale, math.Abs(float64(b[i])))
	}
	return diff / scale
}

func TestLogits(t *testing.T) {
	model := filepath.Join(t.TempDir(), "tiny.gguf")
	_, err := llama.Synth(context.Background(), "tiny-gpt2", model, llama.SynthOptions{Seed: 42, VocabDir: "../../third_party/llama.cpp/models"})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("values", func(t *testing.T) { testLogitsValues(t, model) })
	t.Run("usage", func(t *testing.T) { testLogitsUsage(t, model) })
}

// Where a sequence is cut into prompt and forced tokens must not change what
// the model makes of it; which tokens it holds must.
func testLogitsValues(t *testing.T, model string) {
	file := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(file, []byte("11 222\n3333, 44\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, whole := logits(t, model, "--tokens", "11,222,3333,44")
	if r.Model != model || !r.Synthetic || r.Vocab != 50257 || r.Positions != 4 {
		t.Fatalf("printed %+v", r)
	}
	_, tail := logits(t, model, "--tokens", "@"+file, "--prefill", "3", "--flash-attn", "off")
	if len(tail) != 2 {
		t.Fatalf("%d positions, want one after the prompt and one behind it", len(tail))
	}
	for i, got := range tail {
		if d := distance(got, whole[i+2]); d > 1e-2 {
			t.Errorf("position %d: %g away from the same sequence fed one by one", i+2, d)
		}
	}
	_, other := logits(t, model, "--tokens", "11,222,3334,44")
	for i := range whole {
		if d, same := distance(other[i], whole[i]), i < 2; same != (d < 1e-6) {
			t.Errorf("position %d: %g away from a sequence that differs from position 2 on", i, d)
		}
	}
}

func testLogitsUsage(t *testing.T, model string) {
	out := " --out " + filepath.Join(t.TempDir(), "x")
	for _, c := range []struct {
		args, want string
	}{
		{"", "need --model FILE"},
		{"--model " + model + out, "at least one token"},
		{"--model " + model + out + " --tokens 1,x", `"x" is no token id`},
		{"--model " + model + out + " --tokens @none", "none"},
		{"--model " + model + out + " --tokens 1,2 --prefill 3", "need 1 to 2"},
		{"--model " + model + out + " --tokens 1 --device frob", "need cpu or cuda"},
		{"--model " + model + out + " --tokens 1 --flash-attn frob", "want on, off or auto"},
		{"--model " + model + out + " --tokens 50257", "50257"},
		{"--model none.gguf --tokens 1" + out, "none.gguf"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"logits"}, strings.Fields(c.args)...)
		if code := run(context.Background(), args, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s", args, code, exitUsage, c.want, &stderr)
		}
	}
}
