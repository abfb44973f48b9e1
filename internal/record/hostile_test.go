package record

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
)

const goodRow = `{"schema":1,"run_id":"r","cell_id":"a","status":"ok"}` + "\n"

// A line without an end must not fill the memory. The file is sparse: only its
// rows take space.
func TestFaultEndlessLine(t *testing.T) {
	promise.Of(t, "a line of 1 GB among the rows", "a sparse file of 1 GiB of zero bytes between two rows, which is read and opened to be continued",
		"both rows are read, the line is named by file:line and left out; less than 256 MiB are allocated")
	path := filepath.Join(t.TempDir(), File)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{0, 1 << 30} {
		if _, err := f.WriteAt([]byte("\n"+goodRow), at); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows, warnings := mustRead(t, path)
	s, err := Open(filepath.Dir(path))
	runtime.ReadMemStats(&after)
	if err != nil || len(s.Warnings) > 0 {
		t.Fatal(err, s.Warnings)
	}
	s.Close()
	if len(rows) != 2 || len(warnings) != 1 || !strings.HasPrefix(warnings[0].Error(), path+":3: longer than") {
		t.Errorf("%d rows, warnings %v", len(rows), warnings)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

// Opened again, a file that was cut anywhere loses the cut row and no other.
func TestFaultTornAnywhere(t *testing.T) {
	promise.Of(t, "the rows' file ends anywhere", "cut at each of its bytes, as a power cut leaves it, with and without zero bytes after it",
		"rows before the cut are read; the torn one is moved aside with a warning; the next row is appended and read back")
	whole := []byte(goodRow + strings.ReplaceAll(goodRow, `"a"`, `"b"`) + strings.ReplaceAll(goodRow, `"a"`, `"c"`))
	promise.Tries(t, 2*(len(whole)+1))
	for _, zeros := range []int{0, 100} {
		for n := range len(whole) + 1 {
			cut := append(slices.Clone(whole[:n]), make([]byte, zeros)...)
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			if err := os.WriteFile(path, cut, 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, s, row("next", 0, StatusOK))
			s.Close()
			want := bytes.Count(whole[:n], []byte("\n"))
			if zeros == 0 && n < len(whole) && whole[n] == '\n' {
				want++ // only its newline is missing
			}
			rows, warnings := mustRead(t, path)
			if len(rows) != want+1 || len(warnings) > 0 || rows[want].CellID != "next" {
				t.Fatalf("cut at %d with %d zeros: %d rows, want %d; %v", n, zeros, len(rows), want+1, warnings)
			}
			torn, _ := os.ReadFile(filepath.Join(dir, tornFile(File)))
			if kept, _ := os.ReadFile(path); !bytes.HasPrefix(kept, whole[:n-n%len(goodRow)]) || (len(torn) > 0) != (len(s.Warnings) > 0) {
				t.Fatalf("cut at %d with %d zeros: kept %q, torn %q, %v", n, zeros, kept, torn, s.Warnings)
			}
		}
	}
}

// Rows of one key, of other schemas and of garbage, in any order.
func TestFaultMixedRows(t *testing.T) {
	promise.Of(t, "duplicate, foreign and broken rows in one file", "the same row twice, another schema, NUL bytes, half a row, a row that is no row",
		"one row for each key; each other line is named by file:line, duplicates by their cell")
	good := strings.TrimSuffix(goodRow, "\n")
	bad := []string{"\x00\x00", good[:20], `{"schema":2,"cell_id":"a"}`, `{"schema":1,"cell_id":"a","status":"fine"}`, `{"schema":1,"cell_id":"a","model":"\u001b[31m","status":"ok"}`, `"` + strings.Repeat("[", 1<<20), strings.Repeat("[", 1<<20),
		`{"schema":1,"cell_id":"a","status":"ok","rep":1e400}`, `{"schema":1,"cell_id":"a","status":"ok","rep":99999999999999999999}`}
	lines := append([]string{good, good}, bad...)
	promise.Tries(t, len(lines))
	path := filepath.Join(t.TempDir(), File)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"+goodRow), 0o644); err != nil {
		t.Fatal(err)
	}
	rows, warnings := mustRead(t, path)
	if len(rows) != 3 || len(warnings) != len(bad) {
		t.Fatalf("%d rows, %d warnings %v", len(rows), len(warnings), warnings)
	}
	for i, w := range warnings {
		if !strings.HasPrefix(w.Error(), fmt.Sprintf("%s:%d: ", path, 3+i)) {
			t.Errorf("%v, want line %d", w, 3+i)
		}
		if len(w.Error()) > 1000 {
			t.Errorf("a warning of %d bytes", len(w.Error()))
		}
	}
	latest, twice := Latest(rows)
	if len(latest) != 1 || len(twice) != 2 || !strings.Contains(twice[0].Error(), "cell a launch 0 repetition 0 was measured twice") {
		t.Errorf("%d rows, %v", len(latest), twice)
	}
}
