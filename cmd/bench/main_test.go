package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests run the binary as it is shipped, in processes of its own: it is
// built once into home, which is put on PATH and holds the models that the
// tests share.
var home string

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" { // every worker of a fuzz target comes by, and needs no program
		os.Exit(m.Run())
	}
	var err error
	if home, err = os.MkdirTemp("", "bench"); err == nil {
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

func build() error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=test", "-o", home, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return errors.Join(
		os.Mkdir(filepath.Join(home, "models"), 0o755),
		// The binary looks for the engine's tokenizers beside itself.
		os.Symlink(filepath.Join(root, "third_party"), filepath.Join(home, "third_party")),
		os.Setenv("PATH", home+string(os.PathListSeparator)+os.Getenv("PATH")),
	)
}

// prepare puts into dir what every test starts from: the matrices of testdata
// and the shared models.
func prepare(dir string) error {
	err := os.Symlink(filepath.Join(home, "models"), filepath.Join(dir, "models"))
	for _, name := range []string{"small.yaml", "steady.yaml"} {
		data, readErr := os.ReadFile(filepath.Join("testdata", name))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	return err
}

// workspace returns a fresh directory to run bench in.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := prepare(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// process is a bench under way. Its output goes to files, as in a pipeline: it
// must not be coloured.
type process struct {
	*exec.Cmd
	t        *testing.T
	out, err *os.File
}

// start runs bench in dir, in a process group of its own as a shell would.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return startAs(t, dir, &syscall.SysProcAttr{Setpgid: true}, args...)
}

// startAs is start with other attributes of the process.
func startAs(t *testing.T, dir string, as *syscall.SysProcAttr, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(home, "bench"), args...), t: t}
	p.Dir = dir
	p.SysProcAttr = as
	for _, f := range []**os.File{&p.out, &p.err} {
		file, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		*f = file
	}
	p.Stdout, p.Stderr = p.out, p.err
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	return p
}

// end waits for the process and checks its exit code and that what it printed
// holds the given texts.
func (p *process) end(code int, texts ...string) {
	p.t.Helper()
	p.Wait()
	out := p.printed()
	if got := p.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("%v: exit code %d, want %d (%v)\n%s", p.Args, got, code, p.ProcessState, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			p.t.Errorf("%v: nothing says %q in\n%s", p.Args, text, out)
		}
	}
	if strings.ContainsRune(out, '\x1b') {
		p.t.Errorf("%v: escape sequences in what is no terminal:\n%q", p.Args, out)
	}
}

// printed returns what was printed so far.
func (p *process) printed() string {
	p.t.Helper()
	out, err := os.ReadFile(p.out.Name())
	errOut, err2 := os.ReadFile(p.err.Name())
	if err := errors.Join(err, err2); err != nil {
		p.t.Fatal(err)
	}
	return string(out) + string(errOut)
}

// bench runs bench in dir to its end, which must be the given exit code with
// the given texts, and returns its standard output.
func bench(t *testing.T, dir string, args []string, code int, texts ...string) string {
	t.Helper()
	p := start(t, dir, args...)
	p.end(code, texts...)
	out, err := os.ReadFile(p.out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// eventually fails the test unless ok becomes true in time.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}
