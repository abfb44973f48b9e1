package environ

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/wire"
	"github.com/rogpeppe/go-internal/txtar"
)

// unpack writes a fixture tree and returns its root.
func unpack(t *testing.T, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := txtar.Write(a, root); err != nil {
		t.Fatal(err)
	}
	return root
}

func ptr[T any](v T) *T { return &v }

func TestCollect(t *testing.T) {
	for _, tc := range []struct {
		fixture string
		want    Machine
		avail   int64
	}{
		{"gpu-server", Machine{
			CPUModel: "Intel(R) Xeon(R) Platinum 8480+", PhysicalCores: 2, LogicalCores: 4,
			Governor: "performance", Turbo: ptr(false), CPUsAllowed: 3, Clocksource: "tsc", Arch: runtime.GOARCH,
			MemTotalBytes: 131072000 << 10, LoadAverage: ptr(0.25), SwapUsedBytes: ptr(int64(100 << 10)),
			OS: "Ubuntu 24.04.3 LTS", Kernel: "6.8.0-60-generic", NvidiaDriver: "580.95.05",
		}, 120000000 << 10},
		{"container", Machine{
			CPUModel: "AMD EPYC", LogicalCores: 1, Turbo: ptr(true), Arch: runtime.GOARCH,
			MemTotalBytes: 24684092 << 10, MemLimitBytes: 4 << 30, CPULimit: ptr(1.5),
			Virtualization: []string{"container", "QEMU Standard PC (Q35 + ICH9, 2009)"},
		}, 2 << 30}, // 4 GiB allowed, 3 used, of which 1 can be given up
	} {
		t.Run(tc.fixture, func(t *testing.T) {
			root := unpack(t, tc.fixture)
			if got := Collect(root); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			if got := MemAvailableBytes(root); got != tc.avail {
				t.Errorf("available %d, want %d", got, tc.avail)
			}
		})
	}
}

func TestNothingKnownIsAbsent(t *testing.T) {
	data, err := json.Marshal(Collect(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"arch":"` + runtime.GOARCH + `"}`; string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	if got := MemAvailableBytes(t.TempDir()); got != 0 {
		t.Errorf("available %d, want 0", got)
	}
}

func TestThisMachine(t *testing.T) {
	m := Collect("/")
	if m.LogicalCores < 1 || m.MemTotalBytes < 1<<20 || m.Kernel == "" {
		t.Errorf("got %+v", m)
	}
	if avail := MemAvailableBytes("/"); avail <= 0 || avail > m.MemTotalBytes {
		t.Errorf("available %d of %d", avail, m.MemTotalBytes)
	}
	if b := ReadBuild(); b.Go != runtime.Version() {
		t.Errorf("build %+v, want Go %s", b, runtime.Version())
	}
}

func TestWriteThenRead(t *testing.T) {
	dir := t.TempDir()
	want := Environment{
		Machine:    Collect("/"),
		Engine:     wire.DevicesReply{Version: "v", Devices: []wire.Device{{Name: "CPU", Kind: "cpu"}}},
		Build:      ReadBuild(),
		ConfigPath: "c.yaml", ConfigHash: "00",
		Sessions: []Session{{CommandLine: []string{"bench"}, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
	}
	for range 2 { // the second time over the first
		if err := want.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), File) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestDifferences(t *testing.T) {
	a := Environment{Machine: Machine{CPUModel: "A"}, ConfigHash: "0"}
	b := a
	if d := Differences(a, b); len(d) != 0 {
		t.Errorf("same: %v", d)
	}
	b.CPUModel, b.ConfigHash = "B", "1"
	b.Engine.Devices = []wire.Device{{Kind: "gpu", Description: "NVIDIA H200"}}
	b.GPUs = []GPU{{PowerLimitW: ptr(500.0)}}
	want := []string{`CPU was "A", is "B"`, `GPU was "", is "NVIDIA H200"`, `GPU power limit was "", is "500 W"`, `configuration was "0", is "1"`}
	if d := Differences(a, b); !reflect.DeepEqual(d, want) {
		t.Errorf("got %q, want %q", d, want)
	}
}
