package scripts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPerplexity runs the comparison with stand-ins for both programs, on the
// model and the text that it takes when none is named.
func TestPerplexity(t *testing.T) {
	root, write := house(t)
	log := filepath.Join(root, "log")
	write("models/synthetic/gpt2-seed42-f16.gguf", "weights")
	write("bench", `#!/bin/sh
echo "ours $*" >>"`+log+`"
echo '{"tokens_scored":512,"perplexity":{"value":20.01,"se":0.5,"low":19,"high":21}}'
`)
	peer := write("llama-perplexity", `#!/bin/sh
echo "peer $*" >>"`+log+`"
case "$*" in
*"-ctk q8_0"*) echo "Final estimate: PPL = 21.0000 +/- 0.51000" >&2 ;;
*"-ctk f16"*) echo "Final estimate: PPL = 20.0000 +/- 0.50000" >&2 ;;
esac
`)
	compare := func(types string) (string, int) {
		return run(t, nil, filepath.Join(root, "scripts", "peers", "perplexity.sh"),
			"--peer", peer, "--threads", "2", "--ctx", "256", "--chunks", "3", "--kv-type", types)
	}
	out, code := compare("f16")
	if code != 0 || !strings.Contains(out, "20.0100 ±   0.5000      20.0000 ±   0.5000  +0.0500000%") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	model, text := filepath.Join(root, "models/synthetic/gpt2-seed42-f16.gguf"), filepath.Join(root, "build/compare/prompts.txt")
	var want []byte
	prompts, _ := filepath.Glob(filepath.Join(root, "internal/prompt/corpus/*.txt"))
	for _, name := range prompts {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, data...)
	}
	if got, err := os.ReadFile(text); err != nil || len(want) == 0 || !bytes.Equal(got, want) {
		t.Errorf("the text is not that of the %d prompts: %d bytes, want %d, %v", len(prompts), len(got), len(want), err)
	}
	wantFile(t, log, "ours quality "+model+" --text "+text+" --kv-type f16 --ctx 256 --chunks 3 --device cpu --threads 2 --allow-synthetic --json\n"+
		"peer -m "+model+" -f "+text+" -c 256 --chunks 3 -ngl 0 -t 2 -fa auto -ctk f16 -ctv f16\n")
	if out, code = compare("f16,q8_0"); code != 1 || !strings.Contains(out, "they differ by more than 0.1 %") {
		t.Errorf("5 %% apart: exit code %d:\n%s", code, out)
	}
	if out, code = compare("q4_0"); code != 1 || !strings.Contains(out, "no perplexity with a q4_0 cache from peer") {
		t.Errorf("a peer that fails: exit code %d:\n%s", code, out)
	}
}
