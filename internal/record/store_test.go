package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/quality"
)

func row(cell string, rep int, status Status) Record {
	return Record{Schema: Schema, CellID: cell, Rep: rep, Status: status}
}

func nothing() error { return nil }

func mustCreate(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Create(dir, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustAppend(t *testing.T, s *Store, rows ...Record) {
	t.Helper()
	for i := range rows {
		if err := s.Append(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRead(t *testing.T, path string) ([]Record, []error) {
	t.Helper()
	rows, warnings, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return rows, warnings
}

func TestAppendThenRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "run")
	s := mustCreate(t, dir)
	mustAppend(t, s, row("a", 0, StatusOK), row("a", 1, StatusError))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, nothing); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create on a directory with rows: %v, want fs.ErrExist", err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustAppend(t, s, row("a", 1, StatusOK))
	rows, warnings := mustRead(t, filepath.Join(dir, File))
	if len(rows) != 3 || len(warnings)+len(s.Warnings) != 0 || rows[2].Rep != 1 || rows[2].Status != StatusOK {
		t.Errorf("got %+v, warnings %v %v", rows, warnings, s.Warnings)
	}
}

func TestOpenWithoutRun(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The lock belongs to the open file, so a second Create in this process is
// refused as one in another process is.
func TestSecondRunIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := mustCreate(t, dir)
	for name, open := range map[string]func(string) (*Store, error){
		"Create": func(dir string) (*Store, error) { return Create(dir, nothing) }, "Open": Open,
	} {
		_, err := open(dir)
		var locked *LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
			t.Errorf("%s: %v, want a LockedError that names process %d", name, err, os.Getpid())
		}
	}
	s.Close()
	s, err := Open(dir)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	s.Close()
}

// A lock left by a killed process must not stand in the way.
func TestLockOfKilledProcess(t *testing.T) {
	promise.Of(t, "the lock of a killed run", "a process is killed that holds the lock of a folder",
		"while it lives it is named; after its death the folder opens")
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=TestHoldLock")
	cmd.Env = append(os.Environ(), "RECORD_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := out.Read(buf); err != nil || string(buf) != "held\n" {
		t.Fatalf("child said %q, %v", buf, err)
	}
	_, err = Open(dir)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid {
		t.Errorf("while it lives: %v, want a LockedError that names process %d", err, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	s, err := Open(dir)
	if err != nil {
		t.Fatalf("after its death: %v", err)
	}
	s.Close()
}

// TestHoldLock is the child of TestLockOfKilledProcess.
func TestHoldLock(t *testing.T) {
	dir := os.Getenv("RECORD_HOLD")
	if dir == "" {
		t.Skip("run by TestLockOfKilledProcess")
	}
	mustCreate(t, dir)
	os.Stdout.WriteString("held\n")
	time.Sleep(time.Minute)
}

func TestRepair(t *testing.T) {
	whole := `{"schema":1,"cell_id":"a","status":"ok"}`
	for _, tc := range []struct {
		name, content string
		rows          int
		torn          string
	}{
		{"empty", "", 0, ""},
		{"whole", whole + "\n" + whole + "\n", 2, ""},
		{"half a row", whole + "\n" + whole[:20], 1, whole[:20]},
		{"only half a row", whole[:20], 0, whole[:20]},
		{"broken row with its newline", whole + "\n" + whole[:20] + "\n", 1, whole[:20] + "\n"},
		{"zeros of a lost block", whole + "\n\x00\x00\x00", 1, "\x00\x00\x00"},
		{"newline missing", whole + "\n" + whole, 2, ""},
		{"longer than a buffer", whole + "\n" + strings.Repeat("x", 200_000), 1, strings.Repeat("x", 200_000)},
		{"longer than a row", whole + "\n" + strings.Repeat("7", maxLine+1), 1, strings.Repeat("7", maxLine+1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			if err := os.WriteFile(path, []byte(tc.content), 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := len(s.Warnings) > 0; got != (tc.torn != "") {
				t.Errorf("warnings %v", s.Warnings)
			}
			torn, _ := os.ReadFile(filepath.Join(dir, tornFile(File)))
			if string(torn) != tc.torn {
				t.Errorf("torn file of %d bytes, want %d", len(torn), len(tc.torn))
			}
			mustAppend(t, s, row("b", 0, StatusOK))
			rows, warnings := mustRead(t, path)
			if len(rows) != tc.rows+1 || len(warnings) != 0 || rows[tc.rows].CellID != "b" {
				t.Errorf("got %d rows, warnings %v, want %d rows", len(rows), warnings, tc.rows+1)
			}
		})
	}
}

// As long as a file cannot be repaired, nothing is written behind its torn line.
func TestAppendToAFileThatCannotBeRepaired(t *testing.T) {
	dir := t.TempDir()
	s := mustCreate(t, dir)
	defer s.Close()
	file := filepath.Join(dir, KVFile)
	if err := os.WriteFile(file, []byte(`{"schema":1,"mod`), 0o644); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, tornFile(KVFile))
	if err := os.Mkdir(torn, 0o755); err != nil { // so that nothing can be moved there
		t.Fatal(err)
	}
	for range 2 {
		if err := s.AppendKV(&KVRecord{Model: "m"}); err == nil {
			t.Error("no error")
		}
	}
	if err := os.Remove(torn); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendKV(&KVRecord{Model: "m", Tokens: 1}); err != nil {
		t.Fatal(err)
	}
	if got, problems, err := ReadKV(file); len(got) != 1 || len(problems) != 0 || err != nil {
		t.Errorf("%d points, %v, %v", len(got), problems, err)
	}
}

// A row that cannot be written whole must leave no part of itself.
func TestAppendWithoutSpace(t *testing.T) {
	if os.Getenv("RECORD_FULL") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAppendWithoutSpace$", "-test.v")
		cmd.Env = append(os.Environ(), "RECORD_FULL="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("child: %v\n%s", err, out)
		}
		return
	}
	dir := os.Getenv("RECORD_FULL")
	s := mustCreate(t, dir)
	defer s.Close()
	mustAppend(t, s, row("a", 0, StatusOK))
	// The file size limit makes a write stop in the middle, as a full disk does.
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(s.files[File].size) + 50, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	big := row("b", 0, StatusOK)
	big.Warnings = []string{strings.Repeat("w", 500)}
	if err := s.Append(&big); !errors.Is(err, unix.EFBIG) {
		t.Errorf("got %v, want EFBIG", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, row("c", 0, StatusOK))
	rows, warnings := mustRead(t, filepath.Join(dir, File))
	if len(rows) != 2 || rows[1].CellID != "c" || len(warnings) != 0 {
		t.Errorf("got %+v, warnings %v", rows, warnings)
	}
}

func TestAppendRefusesWhatJSONCannotHold(t *testing.T) {
	dir := t.TempDir()
	s := mustCreate(t, dir)
	defer s.Close()
	nan := math.NaN()
	bad := row("a", 0, StatusOK)
	bad.TotalMs = &nan
	long := row("a", 0, StatusOK)
	long.Reason = strings.Repeat("x", maxLine)
	for _, r := range []Record{bad, long} {
		if err := s.Append(&r); err == nil {
			t.Error("no error")
		}
	}
	if rows, warnings := mustRead(t, filepath.Join(dir, File)); len(rows)+len(warnings) != 0 {
		t.Errorf("rows %v, warnings %v", rows, warnings)
	}
}

// fill sets every field that can be reached from v to something that is not
// its zero value, or, for what a pointer points at, to exactly zero.
func fill(v reflect.Value, zero bool) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), true)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), false)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), false)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
	case reflect.String:
		v.SetString("s")
	case reflect.Bool:
		v.SetBool(!zero)
	case reflect.Int, reflect.Int64:
		if !zero {
			v.SetInt(7)
		}
	case reflect.Float64:
		if !zero {
			v.SetFloat(1.0 / 3)
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

// What was measured as zero comes back as zero, what was not measured comes
// back as nothing.
func TestRoundTrip(t *testing.T) {
	var full Record
	fill(reflect.ValueOf(&full).Elem(), false)
	full.Schema, full.Status = Schema, StatusOK
	for _, want := range []Record{full, row("a", 0, StatusSkipped)} {
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Record
		if err := parse(line, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// A row that measured nothing names no measured quantity.
func TestUnknownIsAbsent(t *testing.T) {
	line, err := json.Marshal(row("a", 0, StatusSkipped))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(line, &keys); err != nil {
		t.Fatal(err)
	}
	asked := []string{"schema", "timestamp", "run_id", "cell_id", "model", "backend", "scenario", "launch", "rep",
		"status", "batch", "kv_type_k", "kv_type_v", "decode_mode", "seed", "synthetic"}
	for k := range keys {
		if !slices.Contains(asked, k) {
			t.Errorf("%s: present in a row without measurement: %s", k, line)
		}
	}
}

// side is one of the files beside the rows', seen by a test: add writes a
// record with a key and a value, read returns the two of each record.
type side struct {
	file string
	add  func(s *Store, key string, value int) error
	read func(path string) (got []string, warnings []error, err error)
}

func sides() []side {
	float := func(v int) *float64 { f := float64(v); return &f }
	return []side{
		{KVFile, func(s *Store, key string, value int) error {
			return s.AppendKV(&KVRecord{Model: key, KVTypeK: "f16", Asked: 64, Tokens: 64, UsedBytes: int64(value)})
		}, func(path string) (got []string, warnings []error, err error) {
			all, warnings, err := ReadKV(path)
			for _, r := range all {
				got = append(got, fmt.Sprint(r.Model, r.UsedBytes))
			}
			return got, warnings, err
		}},
		{WindowFile, func(s *Store, key string, value int) error {
			return s.AppendWindow(&WindowRecord{CellID: key, Phase: "decode", Tokens: value})
		}, func(path string) (got []string, warnings []error, err error) {
			all, warnings, err := ReadWindows(path)
			for _, r := range all {
				got = append(got, fmt.Sprint(r.CellID, r.Tokens))
			}
			return got, warnings, err
		}},
		{DeviceFile, func(s *Store, key string, value int) error {
			return s.AppendDevice(&DeviceRecord{Kind: DeviceIdle, DeviceKind: key, PowerMeanW: float(value)})
		}, func(path string) (got []string, warnings []error, err error) {
			all, warnings, err := ReadDevices(path)
			for _, r := range all {
				got = append(got, fmt.Sprint(r.DeviceKind, *r.PowerMeanW))
			}
			return got, warnings, err
		}},
		{QualityFile, func(s *Store, key string, value int) error {
			return s.AppendQuality(&QualityRecord{Model: key, Backend: "b", Status: StatusOK, Chunks: value, Tally: &quality.Tally{NLL: quality.Moments{N: 2}}})
		}, func(path string) (got []string, warnings []error, err error) {
			all, warnings, err := ReadQuality(path)
			for _, r := range all {
				got = append(got, fmt.Sprint(r.Model, r.Chunks))
			}
			return got, warnings, err
		}},
	}
}

func TestFilesBesideTheRowsSurviveAKill(t *testing.T) {
	for _, f := range sides() {
		t.Run(f.file, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, f.file)
			if none, warnings, err := f.read(path); len(none)+len(warnings) > 0 || err != nil {
				t.Errorf("no file: %v, %v, %v", none, warnings, err)
			}
			s := mustCreate(t, dir)
			if err := errors.Join(f.add(s, "a", 1), f.add(s, "b", 2), s.Close()); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(`{"schema":1,"mod`); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if _, warnings, _ := f.read(path); len(warnings) != 1 {
				t.Errorf("read while torn: warnings %v", warnings)
			}

			if s, err = Open(dir); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := f.add(s, "a", 3); err != nil {
				t.Fatal(err)
			}
			torn, err := os.ReadFile(filepath.Join(dir, tornFile(f.file)))
			if err != nil || string(torn) != `{"schema":1,"mod` || len(s.Warnings) != 1 {
				t.Errorf("torn %q, %v, warnings %v", torn, err, s.Warnings)
			}
			got, warnings, err := f.read(path)
			if err != nil || len(warnings) > 0 || !slices.Equal(got, []string{"a3", "b2"}) {
				t.Errorf("got %v, warnings %v, %v; want the later a, then b", got, warnings, err)
			}
		})
	}
}

// A line that is JSON but says nothing of its kind is left out with its place.
func TestFilesBesideTheRowsLeaveOutBadLines(t *testing.T) {
	for _, f := range sides() {
		path := filepath.Join(t.TempDir(), f.file)
		if err := os.WriteFile(path, []byte("{\"schema\":1}\n{\"schema\":9}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		got, warnings, err := f.read(path)
		if len(got) > 0 || err != nil || len(warnings) != 2 || !strings.Contains(warnings[0].Error(), f.file+":1: ") {
			t.Errorf("%s: %v, warnings %v, %v", f.file, got, warnings, err)
		}
	}
}

func TestWindowsMayPass(t *testing.T) {
	for _, tc := range []struct {
		reasons []Reason
		want    bool
	}{
		{nil, false},
		{[]Reason{Gap, ThermalDrift}, true},
		{[]Reason{OtherTokens}, false},
		{[]Reason{Throttled, TooShort}, false},
	} {
		if w := (WindowRecord{Reasons: tc.reasons}); w.MayPass() != tc.want {
			t.Errorf("%q: want %v", tc.reasons, tc.want)
		}
	}
}

// What a run needs is there before its rows' file is, and is not touched where
// a run is already.
func TestCreateSetsUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	killed := errors.New("killed while it was set up")
	if _, err := Create(dir, func() error { return killed }); !errors.Is(err, killed) {
		t.Errorf("got %v", err)
	}
	calls := 0
	setUp := func() error {
		calls++
		if _, err := os.Stat(filepath.Join(dir, File)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the rows' file is there already: %v", err)
		}
		return nil
	}
	s, err := Create(dir, setUp)
	if err != nil {
		t.Fatalf("after a start that was killed: %v", err)
	}
	s.Close()
	if _, err := Create(dir, setUp); !errors.Is(err, fs.ErrExist) || calls != 1 {
		t.Errorf("over a run: %v, set up %d times", err, calls)
	}
}

// Rows written to a file that was deleted are lost, which must not go unnoticed.
func TestAppendToADeletedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	s := mustCreate(t, dir)
	defer s.Close()
	mustAppend(t, s, row("a", 0, StatusOK))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r := row("a", 1, StatusOK)
	if err := s.Append(&r); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), File+" was deleted") {
		t.Errorf("got %v", err)
	}
}
