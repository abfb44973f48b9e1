package llama

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// PhysicalCores returns the number of distinct physical cores this process may
// use, the best default for compute threads: the engine's own default of 4 is
// wrong on most machines. It falls back to the number of logical CPUs.
func PhysicalCores() int { return physicalCores("/sys", runtime.NumCPU()) }

func physicalCores(sys string, logical int) int {
	dirs, _ := filepath.Glob(filepath.Join(sys, "devices/system/cpu/cpu[0-9]*/topology"))
	cores := map[string]bool{}
	for _, d := range dirs {
		core, err1 := os.ReadFile(filepath.Join(d, "core_id"))
		pkg, err2 := os.ReadFile(filepath.Join(d, "physical_package_id"))
		if err1 == nil && err2 == nil {
			cores[fmt.Sprint(strings.TrimSpace(string(pkg)), "/", strings.TrimSpace(string(core)))] = true
		}
	}
	// A container or an affinity mask may leave fewer CPUs than the host has.
	if n := len(cores); n > 0 {
		return min(n, logical)
	}
	return logical
}
