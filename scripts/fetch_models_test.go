package scripts_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/promise"
)

// What scripts/models.tsv pins for the model that these tests ask for.
const (
	hubRepo     = "openai-community/gpt2"
	hubRevision = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
)

// hub is a stand-in for the Hugging Face server that holds one repository.
type hub struct {
	*httptest.Server
	files    map[string][]byte
	declared map[string]string // hashes to declare instead of the true ones
	token    string            // asked for when not empty
	status   int               // answered to everything when not 0
	cut      string            // this file breaks off in the middle the first time
	noRanges bool              // ranges are ignored, as some proxies do

	mu       sync.Mutex
	requests []string // "FILE RANGE", in the order they came
}

// newHub starts a server with a checkpoint of a few small files, some in forms
// that nobody needs for a conversion. What set changes is in place before the
// server starts.
func newHub(t *testing.T, set ...func(*hub)) *hub {
	t.Helper()
	weights := make([]byte, 300_000)
	src := rand.NewChaCha8([32]byte{42})
	src.Read(weights)
	h := &hub{
		declared: map[string]string{},
		files: map[string][]byte{
			"config.json":             []byte(`{"model_type": "gpt2"}`),
			"generation_config.json":  []byte("{}"),
			"tokenizer.json":          []byte(`{"version": "1.0"}`),
			"vocab.json":              []byte(`{"a": 0}`),
			"merges.txt":              {},
			"model.safetensors":       weights,
			"pytorch_model.bin":       []byte("the same weights again"),
			"onnx/config.json":        []byte("another export"),
			"README.md":               []byte("# GPT-2"),
			"evil$(touch hacked).txt": []byte("not a file name we touch"),
		},
	}
	for _, change := range set {
		change(h)
	}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.status != 0 {
		http.Error(w, "no", h.status)
		return
	}
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/api/models/"+hubRepo+"/tree/"+hubRevision {
		json.NewEncoder(w).Encode(h.tree())
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/"+hubRepo+"/resolve/"+hubRevision+"/")
	data, known := h.files[name]
	if !ok || !known {
		http.NotFound(w, r)
		return
	}
	h.mu.Lock()
	first := true
	for _, done := range h.requests {
		first = first && !strings.HasPrefix(done, name+" ")
	}
	h.requests = append(h.requests, name+" "+r.Header.Get("Range"))
	h.mu.Unlock()
	switch {
	case name == h.cut && first:
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:len(data)/2])
		panic(http.ErrAbortHandler)
	case h.noRanges:
		w.Write(data)
	default:
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}
}

// tree lists the files in the form of the API: weights as LFS objects with the
// SHA-256 of their content, the rest by git blob id.
func (h *hub) tree() []map[string]any {
	entries := []map[string]any{{"type": "directory", "path": "onnx", "oid": "0", "size": 0}}
	for name, data := range h.files {
		entry := map[string]any{"type": "file", "path": name, "size": len(data)}
		blob := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
		entry["oid"] = hex.EncodeToString(blob[:])
		if strings.HasSuffix(name, ".safetensors") {
			sum := sha256.Sum256(data)
			oid := hex.EncodeToString(sum[:])
			if lie, ok := h.declared[name]; ok {
				oid = lie
			}
			entry["lfs"] = map[string]any{"oid": oid, "size": len(data), "pointerSize": 134}
			entry["oid"] = strings.Repeat("0", 40) // the pointer's id, of no use to us
		} else if lie, ok := h.declared[name]; ok {
			entry["oid"] = lie
		}
		entries = append(entries, entry)
	}
	return entries
}

// fetch runs the script for gpt2 into dir against h.
func (h *hub) fetch(t *testing.T, dir string, args ...string) (output string, code int) {
	t.Helper()
	args = append([]string{"--dir", dir, "gpt2"}, args...)
	return run(t, []string{"HF_ENDPOINT=" + h.URL, "no_proxy=127.0.0.1", "HF_TOKEN="}, "fetch-models.sh", args...)
}

// asked returns the requests for one file.
func (h *hub) asked(file string) (ranges []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, request := range h.requests {
		if r, ok := strings.CutPrefix(request, file+" "); ok {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// wantFiles checks that the download folder holds exactly the files that a
// conversion needs, whole, except those named in absent.
func (h *hub) wantFiles(t *testing.T, dir string, absent ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "vocab.json", "merges.txt", "model.safetensors"} {
		want[name] = true
	}
	for _, name := range absent {
		delete(want, name)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "hf", "gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("unexpected file %s", e.Name())
			continue
		}
		delete(want, e.Name())
		got, err := os.ReadFile(filepath.Join(dir, "hf", "gpt2", e.Name()))
		if err != nil || !bytes.Equal(got, h.files[e.Name()]) {
			t.Errorf("%s differs from what the server has (error %v)", e.Name(), err)
		}
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

func TestFetchResumesAndIsIdempotent(t *testing.T) {
	h, dir := newHub(t, func(h *hub) { h.cut = "model.safetensors" }), t.TempDir()
	out, code := h.fetch(t, dir, "--download-only")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	h.wantFiles(t, dir)
	if ranges := h.asked("model.safetensors"); len(ranges) != 2 || ranges[0] != "" || ranges[1] != "bytes=150000-" {
		t.Errorf("ranges asked for: %q, want one whole request and one from byte 150000", ranges)
	}

	before := len(h.requests)
	if out, code = h.fetch(t, dir, "--download-only"); code != 0 || len(h.requests) != before {
		t.Errorf("second run: exit code %d and %d more downloads, want none:\n%s", code, len(h.requests)-before, out)
	}

	// A file that was damaged since is noticed and fetched again, alone.
	weights := filepath.Join(dir, "hf", "gpt2", "model.safetensors")
	damaged := bytes.Clone(h.files["model.safetensors"])
	damaged[1000] ^= 1
	if err := os.WriteFile(weights, damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code = h.fetch(t, dir, "--download-only"); code != 0 || len(h.requests) != before+1 {
		t.Errorf("after damage: exit code %d and %d downloads, want 1:\n%s", code, len(h.requests)-before, out)
	}
	h.wantFiles(t, dir)
}

func TestFetchContinuesAPartOfAnEarlierRun(t *testing.T) {
	for _, noRanges := range []bool{false, true} {
		t.Run(fmt.Sprintf("noRanges=%v", noRanges), func(t *testing.T) {
			h, dir := newHub(t, func(h *hub) { h.noRanges = noRanges }), t.TempDir()
			files := filepath.Join(dir, "hf", "gpt2")
			if err := os.MkdirAll(files, 0o755); err != nil {
				t.Fatal(err)
			}
			part := filepath.Join(files, "model.safetensors.part")
			if err := os.WriteFile(part, h.files["model.safetensors"][:1000], 0o644); err != nil {
				t.Fatal(err)
			}
			out, code := h.fetch(t, dir, "--download-only")
			if code != 0 {
				t.Fatalf("exit code %d:\n%s", code, out)
			}
			h.wantFiles(t, dir)
			if ranges := h.asked("model.safetensors"); ranges[0] != "bytes=1000-" {
				t.Errorf("first range asked for: %q, want the rest of the part", ranges[0])
			}
		})
	}
}

func TestFetchRefusesWrongContent(t *testing.T) {
	promise.Of(t, "a model file with other content than declared", "a server that sends other bytes",
		"refused and removed")
	for file, hash := range map[string]string{
		"model.safetensors": strings.Repeat("ab", 32),
		"config.json":       strings.Repeat("ab", 20),
	} {
		t.Run(file, func(t *testing.T) {
			h, dir := newHub(t, func(h *hub) { h.declared[file] = hash }), t.TempDir()
			out, code := h.fetch(t, dir, "--download-only")
			if code != 1 || !strings.Contains(out, file+": what came does not have the declared") {
				t.Errorf("exit code %d, want 1 and a message about %s:\n%s", code, file, out)
			}
			left, _ := filepath.Glob(filepath.Join(dir, "hf", "gpt2", file+"*"))
			if len(left) != 0 {
				t.Errorf("left in place: %v", left)
			}
		})
	}
}

func TestFetchSaysWhyItWasRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup func(*hub)
		want  string
	}{
		{"gated", func(h *hub) { h.token = "hf_secret" }, "HF_TOKEN"},
		{"forbidden", func(h *hub) { h.status = http.StatusForbidden }, "accept its terms"},
		{"gone", func(h *hub) { h.status = http.StatusNotFound }, "scripts/models.tsv"},
		{"broken", func(h *hub) { h.status = http.StatusBadGateway }, "(status 502)"},
		{"down", func(*hub) {}, "(status 000)"},
		{"no weights", func(h *hub) { delete(h.files, "model.safetensors") }, "has no .safetensors"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHub(t, tc.setup)
			if tc.name == "down" {
				h.Close()
			}
			out, code := h.fetch(t, t.TempDir(), "--download-only")
			if code != 1 || !strings.Contains(out, tc.want) {
				t.Errorf("exit code %d, want 1 and %q in:\n%s", code, tc.want, out)
			}
		})
	}
}

func TestFetchSendsTheTokenAndNeverPrintsIt(t *testing.T) {
	h, dir := newHub(t, func(h *hub) { h.token = "hf_secret" }), t.TempDir()
	with := func(token string) []string {
		return []string{"HF_ENDPOINT=" + h.URL, "no_proxy=127.0.0.1", "HF_TOKEN=" + token}
	}
	out, code := run(t, with("hf_secret"), "fetch-models.sh", "--download-only", "--dir", dir, "gpt2")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	h.wantFiles(t, dir)
	refused, code := run(t, with("hf_secret_of_old"), "fetch-models.sh", "--download-only", "--dir", t.TempDir(), "gpt2")
	if code != 1 || !strings.Contains(refused, "401") {
		t.Errorf("wrong token: exit code %d:\n%s", code, refused)
	}
	if strings.Contains(out+refused, "hf_secret") {
		t.Errorf("the token was printed:\n%s%s", out, refused)
	}
}

// TestConvert checks what the script does around the converter: the command
// line, the temporary file, and that a failure leaves nothing. The converter
// itself is not run: the interpreter is a stand-in.
func TestConvert(t *testing.T) {
	if _, err := os.Stat("../third_party/llama.cpp/.phasebench-lock"); err != nil {
		t.Skip("the converter is not here: run scripts/fetch-llama.sh first")
	}
	bin := t.TempDir()
	interpreter := func(name, convert string) string {
		t.Helper()
		path := filepath.Join(bin, name)
		script := "#!/bin/sh\n" +
			"case $1 in -) exec python3 \"$@\" ;; -c) exit 0 ;; esac\n" + // the listing; the check for torch
			"[ -f \"$1\" ] && [ -f \"$2/config.json\" ] && [ \"$3 $4 $5\" = '--outtype f16 --outfile' ] || exit 9\n" +
			convert
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	works := interpreter("works", "cp \"$2/model.safetensors\" \"$6\"\n")
	fails := interpreter("fails", "echo half >\"$6\"\necho no such architecture >&2\nexit 1\n")
	h, dir := newHub(t), t.TempDir()
	ggufs := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names
	}

	out, code := h.fetch(t, dir, "--python", fails)
	if code != 1 || !strings.Contains(out, "the converter failed") || len(ggufs()) != 0 {
		t.Errorf("failing converter: exit code %d, files %v:\n%s", code, ggufs(), out)
	}
	out, code = h.fetch(t, dir, "--python", works)
	if code != 0 || fmt.Sprint(ggufs()) != "[gpt2-f16.gguf gpt2-f16.gguf.source]" {
		t.Errorf("exit code %d, files %v:\n%s", code, ggufs(), out)
	}
	if out, code = h.fetch(t, dir, "--python", fails); code != 0 {
		t.Errorf("converted already: exit code %d, want 0 without converting:\n%s", code, out)
	}
	// Someone else's file is not overwritten unless asked for.
	if err := os.WriteFile(filepath.Join(dir, "gpt2-f16.gguf.source"), []byte("elsewhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code = h.fetch(t, dir, "--python", works); code != 1 || !strings.Contains(out, "--force") {
		t.Errorf("foreign file: exit code %d, want 1:\n%s", code, out)
	}
	if out, code = h.fetch(t, dir, "--python", works, "--force"); code != 0 {
		t.Errorf("--force: exit code %d, want 0:\n%s", code, out)
	}
}
