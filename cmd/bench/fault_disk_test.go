package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// limitOfARow is how long a test waits for the next row on a busy machine.
const limitOfARow = 30 * time.Second

// A disk that is full ends the run, since rows can no longer be kept. What was
// kept is whole.
func TestFaultDiskFull(t *testing.T) {
	promise.Of(t, "the disk is full", "results on a tmpfs of 4 MB that another file fills in the middle of a row",
		"the run ends at once with code 1 and says why; every row kept is whole; with room again --resume completes it")
	promise.OnlyInFull(t, "like a write that fails, which is in the sample")
	asRoot(t, "mount a small file system")
	want := of(uninterrupted(t), "tiny-llama.")
	dir := workspace(t)
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", out, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(out, 0); err != nil {
			t.Error(err)
		}
	})
	p := start(t, dir, "-matrix", "steady.yaml", "--models", "tiny-llama", "-o", "out", "--no-kv")
	worker, before := p.freeze(out, oneModelMiddle)
	fill := filepath.Join(out, "fill")
	err := exec.Command("dd", "if=/dev/zero", "of="+fill, "bs=4096").Run()
	if err == nil {
		t.Fatal("the disk has no end")
	}
	send(t, worker, syscall.SIGCONT)
	p.end(1, record.File, "no space left on device")
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	survives(t, dir, before, want)
}

// A write that fails in the middle of a row.
func TestFaultWriteFails(t *testing.T) {
	promise.Of(t, "a row can be written in part only", "RLIMIT_FSIZE of the run 100 bytes above the size of the rows' file, in the middle of a row",
		"the run ends at once with code 1 and says why; no part of the row is left; --resume completes it")
	p, dir, out := steadyRun(t, oneModel...)
	worker, before := p.freeze(out, oneModelMiddle)
	limit(t, p.Process.Pid, unix.RLIMIT_FSIZE, uint64(len(before)+100))
	send(t, worker, syscall.SIGCONT)
	p.end(1, "not kept", "file too large")
	if !bytes.Equal(lines(t, out), before) {
		t.Error("the rows have changed")
	}
	survives(t, dir, before, of(uninterrupted(t), "tiny-llama."))
}

// Rows in a folder that is gone would be measured for nothing.
func TestFaultFolderRemoved(t *testing.T) {
	promise.Of(t, "the results folder is removed during the run", "rm -r in the middle of a row",
		"the run ends after that row with code 1, says so and makes no new folder")
	p, dir, out := steadyRun(t, oneModel...)
	worker, _ := p.freeze(out, oneModelMiddle)
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	send(t, worker, syscall.SIGCONT)
	p.end(1, record.File+" was deleted")
	if _, err := os.Stat(out); err == nil {
		t.Error("the folder is there again")
	}
	noOrphans(t, dir)
}

// Times of rows are taken from a clock that never steps; what the wall clock
// says is written down and nothing else.
func TestFaultClockStep(t *testing.T) {
	promise.Of(t, "the wall clock steps by years", "timestamps of the rows so far moved 10 years ahead, then the run is resumed",
		"the run completes; every table is the same, byte by byte, as without the step")
	promise.OnlyInFull(t, "three runs' worth of rows and tables")
	p, dir, out := steadyRun(t, oneModel...)
	p.freeze(out, oneModelMiddle)
	send(t, p.Process.Pid, syscall.SIGKILL)
	p.Wait()
	year := time.Now().UTC().Year()
	stamp := regexp.MustCompile(fmt.Sprintf(`"timestamp":"%d-`, year))
	ahead := func(data []byte) []byte {
		return stamp.ReplaceAll(data, fmt.Appendf(nil, `"timestamp":"%d-`, year+10))
	}
	path := filepath.Join(out, record.File)
	early := ahead(lines(t, out))
	write(t, path, early)
	survives(t, dir, early, of(uninterrupted(t), "tiny-llama."))

	whole := lines(t, out)
	tables := func() string {
		bench(t, dir, []string{"analyze", "out"}, 0)
		var all strings.Builder
		for _, file := range globs(t, out, "*.csv", "tables/*", "tables.json", "validation.json") {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "== %s\n%s", file, data)
		}
		return all.String()
	}
	stepped := tables()
	write(t, path, bytes.ReplaceAll(whole, fmt.Appendf(nil, `"timestamp":"%d-`, year+10), fmt.Appendf(nil, `"timestamp":"%d-`, year)))
	if straight := tables(); stepped != straight {
		t.Errorf("the tables differ:\n%s", firstDifference(stepped, straight))
	}
}

// globs returns the files in dir that match any of the patterns; each must match.
func globs(t *testing.T, dir string, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s in %s: %v", pattern, dir, err)
		}
		all = append(all, files...)
	}
	return all
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i] + "\n" + bs[i]
		}
	}
	return fmt.Sprintf("%d lines, %d lines", len(as), len(bs))
}
