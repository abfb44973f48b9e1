// Package scripts_test runs the scripts of this folder the way a user does,
// against servers and files that the tests make.
package scripts_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run executes a script with bash and returns what it printed, stdout and
// stderr together, and its exit code. env is added to the environment.
func run(t *testing.T, env []string, script string, args ...string) (output string, code int) {
	t.Helper()
	cmd := exec.Command("bash", append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", script, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestUsage(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	others, err2 := filepath.Glob("*/*.sh")
	if err := errors.Join(err, err2); err != nil || len(scripts) == 0 || len(others) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, script := range append(scripts, others...) {
		t.Run(script, func(t *testing.T) {
			if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
				t.Errorf("%s is not executable", script)
			}
			out, code := run(t, nil, script, "--help")
			if code != 0 || !strings.Contains(out, "usage: scripts/"+script) {
				t.Errorf("--help: exit code %d, want 0 and a usage line:\n%s", code, out)
			}
			if out, code = run(t, nil, script, "--no-such-flag"); code != 2 {
				t.Errorf("unknown flag: exit code %d, want 2:\n%s", code, out)
			}
		})
	}
}

func TestPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed: the Python scripts go unchecked")
	}
	scripts, err := filepath.Glob("*.py")
	others, err2 := filepath.Glob("*/*.py")
	if err := errors.Join(err, err2); err != nil || len(scripts) == 0 || len(others) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	scripts = append(scripts, others...)
	env := []string{"PYTHONPYCACHEPREFIX=" + t.TempDir()}
	for _, script := range scripts {
		t.Run(script, func(t *testing.T) {
			if out, code := run(t, env, "-c", "python3 -m py_compile "+script); code != 0 {
				t.Fatalf("syntax errors:\n%s", out)
			}
			out, code := run(t, env, "-c", "./"+script+" --help")
			if code != 0 || !strings.Contains(out, "usage: scripts/"+script) {
				t.Errorf("--help: exit code %d, want 0 and a usage line:\n%s", code, out)
			}
			if out, code = run(t, env, "-c", "./"+script+" --no-such-flag"); code != 2 {
				t.Errorf("unknown flag: exit code %d, want 2:\n%s", code, out)
			}
		})
	}
}
