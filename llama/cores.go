package llama

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// PhysicalCores returns the number of distinct physical cores this process may
// use, the best default for compute threads: the engine's own default of 4 is
// wrong on most machines. Cores outside the thread's affinity mask do not count,
// nor those beyond the quota of the control group, as GOMAXPROCS knows it. It
// falls back to the number of logical CPUs, and never exceeds the 512 threads that
// the engine takes.
func PhysicalCores() int {
	var mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mask); err != nil {
		return physicalCores("/sys", nil, runtime.GOMAXPROCS(0))
	}
	return physicalCores("/sys", &mask, runtime.GOMAXPROCS(0))
}

// maxThreads is the engine's limit, GGML_MAX_N_THREADS.
const maxThreads = 512

// physicalCores counts the cores in the mask, or all without one.
func physicalCores(sys string, mask *unix.CPUSet, most int) int {
	dirs, _ := filepath.Glob(filepath.Join(sys, "devices/system/cpu/cpu[0-9]*/topology"))
	cores := map[string]bool{}
	for _, d := range dirs {
		var cpu int
		if _, err := fmt.Sscanf(filepath.Base(filepath.Dir(d)), "cpu%d", &cpu); err != nil || mask != nil && !mask.IsSet(cpu) {
			continue
		}
		core, err1 := os.ReadFile(filepath.Join(d, "core_id"))
		pkg, err2 := os.ReadFile(filepath.Join(d, "physical_package_id"))
		if err1 == nil && err2 == nil {
			cores[fmt.Sprint(strings.TrimSpace(string(pkg)), "/", strings.TrimSpace(string(core)))] = true
		}
	}
	if n := len(cores); n > 0 {
		most = min(most, n)
	}
	return min(most, maxThreads)
}
