package llama

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Roofline is what a device can do at most; see MeasureRoofline.
type Roofline struct {
	CopyBytesPerS   float64 // bytes read plus bytes written
	CopyBytes       int64   // of each of the two buffers
	ReadBytesPerS   float64 // of a matrix, multiplied with a vector
	ReadBytes       int64   // of the matrix
	MatmulFlopsPerS float64 // multiplications plus additions
	MatmulSize      int     // rows and columns of the matrices
}

type sizes struct {
	copyBytes int64
	copies    int // in one run
	matmul    int
}

// probeSizes chooses what to measure a device with: long enough that starting
// the work does not count, larger than the caches, and in memory that is free.
// Caches is the size of the CPU's last-level caches in bytes, 0 if not known.
func probeSizes(d Device, caches int64) sizes {
	if d.Kind == CPU {
		// Eight times the caches: what little of a copy they can keep does not count.
		want := min(max(256<<20, 8*caches), 2<<30)
		return sizes{copyBytes: roomFor(d, want), copies: 2, matmul: 2048}
	}
	s := sizes{copyBytes: roomFor(d, 1<<30), copies: 8, matmul: 8192}
	if d.FreeBytes < 4<<30 { // the matrices and the copies the engine makes take 1 GB
		s.matmul = 4096
	}
	return s
}

// roomFor returns the bytes wanted, or an eighth of what is free, in whole
// pages.
func roomFor(d Device, want int64) int64 {
	const page = 4096
	return min(want, max(d.FreeBytes/8, page)) / page * page
}

// lastLevelCaches returns the bytes of the last-level caches of all online
// CPUs, each counted once however many share it; 0 if the system does not say.
func lastLevelCaches(sys string) int64 {
	type cache struct {
		level  int
		shared string // the CPUs that share it
	}
	caches := map[cache]int64{}
	last := 0
	dirs, _ := filepath.Glob(filepath.Join(sys, "devices/system/cpu/cpu[0-9]*/cache/index[0-9]*"))
	for _, dir := range dirs {
		var c cache
		var kib int64
		read := func(name, format string, into any) bool {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return false
			}
			_, err = fmt.Sscanf(strings.TrimSpace(string(text)), format, into)
			return err == nil
		}
		if read("level", "%d", &c.level) && read("size", "%dK", &kib) && read("shared_cpu_list", "%s", &c.shared) {
			caches[c] = kib << 10
			last = max(last, c.level)
		}
	}
	var sum int64
	for c, bytes := range caches {
		if c.level == last {
			sum += bytes
		}
	}
	return sum
}
