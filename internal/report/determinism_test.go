package report

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// written returns the hash of each file that an analysis of dir writes, by name.
func written(t *testing.T, dir string) map[string]string {
	t.Helper()
	r := fromDir(t, dir, Options{PricingPath: pricingPath, Carbon: carbonPath})
	out := map[string]string{}
	for _, path := range r.Files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return out
}

// shuffle puts the lines of a file in another order.
func shuffle(t *testing.T, path string, seed uint64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(data))
	rand.New(rand.NewPCG(8, seed)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The same rows give the same files, wherever and whenever they are analysed.
func TestFaultOtherPlaceSameTables(t *testing.T) {
	promise.Of(t, "another locale, time zone or order of maps", "the same rows analysed again and again under other LANG, LC_ALL and TZ",
		"every table, plot and report is the same, byte by byte")
	n := promise.Times(t, 3, 10)
	zones := []string{"UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"}
	local := time.Local
	defer func() { time.Local = local }()
	for _, fixture := range []string{"cpu", "energy"} {
		want := written(t, runDir(t, fixture))
		if len(want) < 20 {
			t.Fatalf("%d files", len(want))
		}
		for i := range n {
			zone := zones[i%len(zones)]
			t.Setenv("TZ", zone)
			t.Setenv("LANG", []string{"C", "de_DE.UTF-8", "tr_TR.UTF-8"}[i%3])
			t.Setenv("LC_ALL", os.Getenv("LANG"))
			var err error
			if time.Local, err = time.LoadLocation(zone); err != nil {
				t.Fatal(err)
			}
			same(t, fixture+" in "+zone, written(t, runDir(t, fixture)), want)
		}
	}
}

// Shards of a run may be put together in any order.
func TestFaultOtherOrderSameTables(t *testing.T) {
	promise.Of(t, "rows in another order", "the lines of all files of a run shuffled",
		"every table is the same, byte by byte")
	n := promise.Times(t, 3, 10)
	for _, fixture := range []string{"cpu", "gpu", "energy"} {
		want := tablesOnly(written(t, runDir(t, fixture)))
		for i := range n {
			dir := runDir(t, fixture)
			for _, name := range []string{record.File, record.KVFile, record.WindowFile, record.DeviceFile, record.QualityFile} {
				shuffle(t, filepath.Join(dir, name), uint64(i))
			}
			same(t, fmt.Sprintf("%s, shuffle %d", fixture, i), tablesOnly(written(t, dir)), want)
		}
	}
}

func tablesOnly(files map[string]string) map[string]string {
	out := map[string]string{}
	for name, hash := range files {
		if strings.HasSuffix(name, ".csv") || name == TablesFile {
			out[name] = hash
		}
	}
	return out
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name, hash := range want {
		if got[name] != hash {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", what, len(got), len(want))
	}
}
