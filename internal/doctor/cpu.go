package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/phasebench/phasebench/internal/environ"
)

// CPU checks what decides how fast and how evenly the CPU computes. held names
// the switches of the environment that are kept from the engine.
func CPU(m environ.Machine, held []string) []Line {
	s := section{name: "cpu"}
	cores := cmp.Or(m.PhysicalCores, m.LogicalCores)
	text := fmt.Sprintf("%d physical", m.PhysicalCores)
	switch {
	case m.PhysicalCores == 0:
		text = fmt.Sprintf("%d logical, how many physical is not told", m.LogicalCores)
	case m.LogicalCores > m.PhysicalCores:
		text += fmt.Sprintf(", %d logical (SMT is on; the engine takes one thread a physical core)", m.LogicalCores)
	}
	s.ok("cores", "%s, %s", cmp.Or(m.CPUModel, "unknown model"), text)
	if m.CPUsAllowed > 0 {
		s.check(m.CPUsAllowed < m.LogicalCores, "affinity", "start without taskset, numactl --physcpubind or the cpuset of a container; or take it as the machine and say so beside the figures",
			"this process may use %d of %d logical cores", m.CPUsAllowed, m.LogicalCores)
	}
	if m.CPULimit != nil {
		s.check(*m.CPULimit < float64(min(cores, cmp.Or(m.CPUsAllowed, cores))), "quota",
			"lift the limit (docker --cpus, CPUQuota=); or take it as the machine and say so beside the figures",
			"the control group allows %.2g CPUs of %d cores; the engine takes about as many threads, which are stopped when they used that up", *m.CPULimit, cores)
	}
	if m.Governor != "" {
		s.check(m.Governor != "performance", "governor", "sudo cpupower frequency-set -g performance, until the next boot",
			"%s", m.Governor+governorEffect(m.Governor))
	}
	if m.Turbo != nil {
		s.ok("turbo", "%s", map[bool]string{true: "on: clocks depend on temperature and on how many cores work", false: "off"}[*m.Turbo])
	}
	if m.LoadAverage != nil {
		s.check(m.Loaded() != "", "load", "stop what else runs (top shows it) and look again after a minute; times will be slower and scatter",
			"%.2f over the last minute, on %d cores", *m.LoadAverage, cores)
	}
	if len(m.Virtualization) > 0 {
		s.ok("virtualization", "%s: neighbours that are not seen from here can take time away", strings.Join(m.Virtualization, ", "))
	}
	if len(held) > 0 {
		s.warn("environment", "unset them, or set them under a backend's env in the matrix, so that rows show them",
			"%s: set here, kept from the engine", strings.Join(held, ", "))
	}
	return s.lines
}

func governorEffect(governor string) string {
	if governor == "performance" {
		return ""
	}
	return ": clocks follow the load, and rise only after a phase has begun"
}
