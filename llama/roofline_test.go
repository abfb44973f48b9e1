//go:build cgo

package llama

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// By hand from the shapes in SynthArchs. A layer of tiny-llama, for example,
// has 128 x 2048 for Q and for the output, 128 x 512 for K and for V, and
// 128 x 512 for gate, up and down: 851,968 elements.
func TestTokenCost(t *testing.T) {
	for _, c := range []struct {
		arch       string
		body, head int64
		vectors    int64 // elements of norms, biases and rope factors, in F32
	}{
		{"tiny-gpt2", 2 * 196_608, 50257 * 128, 2*1664 + 256},
		{"tiny-llama", 2 * 851_968, 128256 * 128, 2*256 + 128 + 32},
		{"tiny-qwen2", 2 * 245_760, 151936 * 128, 2*512 + 128},
		{"tiny-phi2", 2 * 307_200, 51200 * 160, 2*1760 + 320 + 51200},
		{"tiny-llama-3b", 2 * 1_146_880, 128256 * 128, 2*256 + 128 + 64},
	} {
		i := tinyModel(t, c.arch).Info()
		if i.BodyParams != c.body || i.HeadParams != c.head {
			t.Errorf("%s: %d parameters in the layers and %d at the output, want %d and %d", c.arch, i.BodyParams, i.HeadParams, c.body, c.head)
		}
		if want := 2*(c.body+c.head) + 4*c.vectors; i.ReadBytes != want {
			t.Errorf("%s: %d bytes read per token, want %d", c.arch, i.ReadBytes, want)
		}
	}
}

func TestTokenCostInADryRun(t *testing.T) {
	m, err := Load(ModelParams{Path: tinyFile(t, "tiny-phi2"), DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, want := m.Info(), tinyModel(t, "tiny-phi2").Info(); got != want {
		t.Errorf("dry run %+v, loaded %+v", got, want)
	}
}

func TestRoofline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Kind != CPU {
			continue
		}
		r, err := MeasureRoofline(d, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s, 1 thread: copy %.1f GB/s of %d MiB, read %.1f GB/s of %d MiB, matmul %.0f GFLOP/s of %d", d.Description,
			r.CopyBytesPerS/1e9, r.CopyBytes>>20, r.ReadBytesPerS/1e9, r.ReadBytes>>20, r.MatmulFlopsPerS/1e9, r.MatmulSize)
		// No core moves less than 10 MB/s or more than 1 TB/s, or computes less
		// than 10 MFLOP/s or more than 10 TFLOP/s: a forgotten factor or unit
		// would be outside, a busy machine not.
		if r.CopyBytesPerS < 1e7 || r.CopyBytesPerS > 1e12 || r.ReadBytesPerS < 1e7 || r.ReadBytesPerS > 1e12 || r.MatmulFlopsPerS < 1e7 || r.MatmulFlopsPerS > 1e13 {
			t.Errorf("implausible %+v", r)
		}
		if _, err := MeasureRoofline(d, 0); !errors.Is(err, ErrBadInput) {
			t.Errorf("no threads gave %v, want %v", err, ErrBadInput)
		}
	}
	if _, err := MeasureRoofline(Device{Index: len(devices)}, 1); !errors.Is(err, ErrBadInput) {
		t.Errorf("no device gave %v, want %v", err, ErrBadInput)
	}
}

func TestProbeSizes(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for name, c := range map[string]struct {
		device Device
		caches int64
		want   sizes
	}{
		"GPU":               {Device{Kind: GPU, FreeBytes: 140 * gib}, 0, sizes{gib, 8, 8192}},
		"GPU nearly full":   {Device{Kind: GPU, FreeBytes: 2 * gib}, 0, sizes{256 * mib, 8, 4096}},
		"CPU":               {Device{Kind: CPU, FreeBytes: 24 * gib}, 16 * mib, sizes{256 * mib, 2, 2048}},
		"CPU, large caches": {Device{Kind: CPU, FreeBytes: 24 * gib}, 100 * mib, sizes{800 * mib, 2, 2048}},
		"CPU, very large":   {Device{Kind: CPU, FreeBytes: 512 * gib}, 768 * mib, sizes{2 * gib, 2, 2048}},
		"CPU, little room":  {Device{Kind: CPU, FreeBytes: gib}, 0, sizes{128 * mib, 2, 2048}},
	} {
		if got := probeSizes(c.device, c.caches); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestLastLevelCaches(t *testing.T) {
	sys := t.TempDir()
	if got := lastLevelCaches(sys); got != 0 {
		t.Errorf("%d bytes of cache where nothing is known", got)
	}
	write := func(dir, name, text string) {
		t.Helper()
		dir = filepath.Join(sys, "devices/system/cpu", dir)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	// Four CPUs, in pairs that share 32 MiB.
	for cpu, shared := range map[string]string{"cpu0": "0-1", "cpu1": "0-1", "cpu2": "2-3", "cpu3": "2-3"} {
		for index, c := range map[string][3]string{"index2": {"2", "1024K", cpu[3:]}, "index3": {"3", "32768K", shared}} {
			dir := filepath.Join(cpu, "cache", index)
			write(dir, "level", c[0])
			write(dir, "size", c[1])
			write(dir, "shared_cpu_list", c[2])
		}
	}
	if got := lastLevelCaches(sys); got != 64<<20 {
		t.Errorf("%d bytes of last-level cache, want 64 MiB", got)
	}
}
