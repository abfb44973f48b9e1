package scripts_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

// upstream is a small stand-in for the engine's repository, with every path
// that the lock file pins, and a project folder that fetches from it.
type upstream struct {
	t             *testing.T
	repo, project string
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{t: t, repo: filepath.Join(t.TempDir(), "engine"), project: t.TempDir()}
	u.write(u.repo, "CMakeLists.txt", "project(engine)\n")
	u.write(u.repo, "src/engine.cpp", "int engine;\n")
	for _, vocab := range []string{"gpt-2", "llama-bpe", "qwen2", "unwanted"} {
		u.write(u.repo, "models/ggml-vocab-"+vocab+".gguf", vocab)
	}
	u.git("init", "--quiet")
	u.git("add", "-A")
	u.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "v1")
	u.git("tag", "v1")
	script, err := os.ReadFile("fetch-llama.sh")
	if err != nil {
		t.Fatal(err)
	}
	u.write(u.project, "scripts/fetch-llama.sh", string(script))
	u.lock(u.repo)
	return u
}

func (u *upstream) write(root, name, content string) {
	u.t.Helper()
	path := filepath.Join(root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o755)
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

func (u *upstream) git(args ...string) string {
	u.t.Helper()
	out, err := exec.Command("git", append([]string{"-C", u.repo}, args...)...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// lock pins the present state of the repository, to be fetched from url.
func (u *upstream) lock(url string) {
	text := fmt.Sprintf("version v1\ngit %s v1\nnpm engine-in-a-box@1 package/engine.bundle\n", url)
	for _, path := range []string{"CMakeLists.txt", "src", "models"} {
		text += fmt.Sprintf("path %s %s\n", u.git("rev-parse", "HEAD:"+path), path)
	}
	u.write(u.project, "third_party/llama.cpp.lock", text)
}

// fetch runs the script, with dir in front of PATH if it is not empty.
func (u *upstream) fetch(dir string, args ...string) (output string, ok bool) {
	cmd := exec.Command("bash", append([]string{filepath.Join(u.project, "scripts/fetch-llama.sh")}, args...)...)
	cmd.Env = os.Environ()
	if dir != "" {
		cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// left lists what lies in third_party, hidden files too.
func (u *upstream) left() []string {
	entries, err := os.ReadDir(filepath.Join(u.project, "third_party"))
	if err != nil {
		u.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != ".llama.cpp.lock" { // held while the script runs
			names = append(names, e.Name())
		}
	}
	return names
}

// whole checks that the tree is there as pinned, with nothing beside it.
func (u *upstream) whole() {
	u.t.Helper()
	if got, want := fmt.Sprint(u.left()), "[llama.cpp llama.cpp.lock]"; got != want {
		u.t.Errorf("third_party holds %s, want %s", got, want)
	}
	models, err := os.ReadDir(filepath.Join(u.project, "third_party/llama.cpp/models"))
	if err != nil || len(models) != 3 {
		u.t.Errorf("models: %v, %v; want the three tokenizers", models, err)
	}
	if data, err := os.ReadFile(filepath.Join(u.project, "third_party/llama.cpp/src/engine.cpp")); string(data) != "int engine;\n" {
		u.t.Errorf("src/engine.cpp is %q, %v", data, err)
	}
}

func TestFetchLlamaByGit(t *testing.T) {
	u := newUpstream(t)
	if out, ok := u.fetch(""); !ok {
		t.Fatal(out)
	}
	u.whole()
	mark := filepath.Join(u.project, "third_party/llama.cpp/mark")
	u.write(u.project, "third_party/llama.cpp/mark", "")
	if out, ok := u.fetch(""); !ok || out != "" {
		t.Errorf("a second call said %q", out)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("a second call fetched again")
	}
	if out, ok := u.fetch("", "--force"); !ok {
		t.Fatal(out)
	}
	u.whole()
}

func TestFetchLlamaRefusesOtherContent(t *testing.T) {
	promise.Of(t, "another engine source under the pinned name", "a repository whose content differs from the lock file",
		"refused, with both hashes")
	u := newUpstream(t)
	// The tag now names something else than the lock file pins.
	u.write(u.repo, "src/engine.cpp", "int changed;\n")
	u.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-am", "v1 again")
	u.git("tag", "--force", "v1")
	out, ok := u.fetch("", "--from", "git")
	if ok || !strings.Contains(out, "src is ") || !strings.Contains(out, "the lock file wants") {
		t.Errorf("fetched: %v\n%s", ok, out)
	}
	if _, err := os.Stat(filepath.Join(u.project, "third_party/llama.cpp")); err == nil {
		t.Error("a tree that is not the pinned one was put in place")
	}
	// When the tag is right again, so is the next call.
	u.git("reset", "--quiet", "--hard", "HEAD~1")
	u.git("tag", "--force", "v1")
	if out, ok := u.fetch("", "--from", "git"); !ok {
		t.Fatal(out)
	}
	u.whole()
}

func TestFetchLlamaByPackage(t *testing.T) {
	u := newUpstream(t)
	u.lock("file:///nowhere/engine.git")
	bin := t.TempDir()
	u.git("bundle", "create", "--quiet", filepath.Join(bin, "engine.bundle"), "HEAD")
	// A package client that packs the bundle as the real one would.
	u.write(bin, "npm", `#!/bin/sh
[ "$1 $2 $3" = "pack --silent engine-in-a-box@1" ] || exit 1
mkdir package && cp "$(dirname "$0")/engine.bundle" package/ && tar -czf engine.tgz package && rm -r package && echo engine.tgz
`)
	out, ok := u.fetch(bin)
	if !ok || !strings.Contains(out, "no luck by git") {
		t.Fatal(out)
	}
	u.whole()
}

func TestFetchLlamaAfterInterruption(t *testing.T) {
	u := newUpstream(t)
	// What an attempt leaves that was killed after the fetch and in the middle
	// of unpacking.
	u.write(u.project, "third_party/.llama.cpp.tree.AbCdEf/src/engine.cpp", "int eng")
	store := filepath.Join(u.project, "third_party/.llama.cpp.store")
	u.git("clone", "--quiet", "--bare", u.repo, store)
	out, err := exec.Command("git", "-C", store, "update-ref", "refs/phasebench/git", "refs/tags/v1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	u.lock("file:///nowhere/engine.git") // nothing needs to be fetched again
	if out, ok := u.fetch(""); !ok {
		t.Fatal(out)
	}
	u.whole()
}
