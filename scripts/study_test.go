package scripts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A step of the study that its time ends, and one that Ctrl-C ends while it has
// time left.
func TestStudyIsCut(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed: there is no stand-in for bench")
	}
	root, write := house(t)
	begun := filepath.Join(root, "begun")
	write("bench", `#!/usr/bin/env python3
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit("asked to end"))
open("`+begun+`", "w").close()
time.sleep(60)
`)
	study := func(seconds string, interrupt bool) string {
		var said bytes.Buffer
		cmd := exec.Command(filepath.Join(root, "scripts", "h200-study.sh"), "measure", "--seconds", seconds)
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for interrupt {
			if _, err := os.Stat(begun); err == nil {
				if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		return said.String()
	}
	if said := study("50", true); said != "asked to end\n" {
		t.Errorf("Ctrl-C: %q", said)
	}
	if said := study("5", false); said != "asked to end\nh200-study: not finished after 5 s; the same command goes on\n" {
		t.Errorf("out of time: %q", said)
	}
}
