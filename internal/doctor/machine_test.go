package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/phasebench/phasebench/internal/environ"
	"github.com/phasebench/phasebench/internal/power"
)

// A server as it should be, and a laptop's virtual machine in a container.
const (
	server = `
-- proc/cpuinfo --
processor	: 0
model name	: Xeon
processor	: 1
model name	: Xeon
processor	: 2
model name	: Xeon
processor	: 3
model name	: Xeon
-- sys/devices/system/cpu/cpu0/topology/thread_siblings_list --
0,2
-- sys/devices/system/cpu/cpu1/topology/thread_siblings_list --
1,3
-- sys/devices/system/cpu/cpu2/topology/thread_siblings_list --
0,2
-- sys/devices/system/cpu/cpu3/topology/thread_siblings_list --
1,3
-- sys/devices/system/cpu/cpu0/cpufreq/scaling_governor --
performance
-- sys/devices/system/cpu/intel_pstate/no_turbo --
1
-- proc/self/status --
Cpus_allowed_list:	0-3
-- proc/loadavg --
0.99 0.30 0.20 1/500 1234
-- proc/meminfo --
MemTotal: 8388608 kB
SwapTotal: 1024 kB
SwapFree: 1024 kB
`
	laptop = `
-- proc/cpuinfo --
processor	: 0
model name	: Core
flags		: hypervisor
processor	: 1
model name	: Core
-- .dockerenv --
-- sys/devices/system/cpu/cpu0/cpufreq/scaling_governor --
powersave
-- sys/devices/system/cpu/cpufreq/boost --
1
-- proc/self/status --
Cpus_allowed_list:	1
-- proc/self/cgroup --
2:cpu:/
-- sys/fs/cgroup/cpu/cpu.cfs_quota_us --
75000
-- sys/fs/cgroup/cpu/cpu.cfs_period_us --
100000
-- proc/loadavg --
1.01 0.30 0.20 1/500 1234
-- proc/meminfo --
MemTotal: 8388608 kB
SwapTotal: 4096 kB
SwapFree: 1024 kB
-- sys/fs/cgroup/memory.max --
1073741824
`
)

func TestCPU(t *testing.T) {
	check(t, CPU(environ.Collect(tree(t, server)), nil),
		want{"cores", OK, `^Xeon, 2 physical, 4 logical \(SMT is on`, ""},
		want{"affinity", OK, "4 of 4 logical cores", ""},
		want{"governor", OK, "^performance$", ""},
		want{"turbo", OK, "^off$", ""},
		want{"load", OK, "^0.99 .* on 2 cores", ""},
	)
	check(t, CPU(environ.Collect(tree(t, laptop)), []string{"OMP_NUM_THREADS"}),
		want{"cores", OK, "^Core, 2 logical, how many physical is not told", ""},
		want{"affinity", Warn, "1 of 2 logical cores", "taskset"},
		want{"quota", Warn, "allows 0.75 CPUs", "lift the limit"},
		want{"governor", Warn, "^powersave: ", "cpupower"},
		want{"turbo", OK, "^on: ", ""},
		want{"load", Warn, "^1.01 over the last minute, on 2 cores", "stop what else runs"},
		want{"virtualization", OK, "^container, hypervisor", ""},
		want{"environment", Warn, "^OMP_NUM_THREADS: ", "unset"},
	)
	check(t, CPU(environ.Collect(t.TempDir()), nil), want{"cores", OK, "^unknown model, 0 logical", ""})
}

// A quota is no limit where the affinity mask leaves less.
func TestQuotaAboveTheMask(t *testing.T) {
	m := environ.Machine{PhysicalCores: 8, LogicalCores: 8, CPUsAllowed: 2, CPULimit: ptr(2.0)}
	if l := named(CPU(m, nil), "quota"); len(l) != 1 || l[0].Level != OK {
		t.Errorf("%+v", l)
	}
	m.CPULimit = ptr(1.9)
	if l := named(CPU(m, nil), "quota"); len(l) != 1 || l[0].Level != Warn || !strings.Contains(l[0].Fix, "lift the limit") {
		t.Errorf("%+v", l)
	}
}

func TestMemory(t *testing.T) {
	check(t, Memory(environ.Collect(tree(t, server)), 4<<30),
		want{"main", OK, "^4096 of 8192 MiB available$", ""}, want{"swap", OK, "^0 MiB", ""})
	check(t, Memory(environ.Collect(tree(t, laptop)), 1<<29),
		want{"main", OK, "^512 MiB available; the control group allows 1024 of the machine's 8192 MiB$", ""},
		want{"swap", Warn, "^3 MiB in use", "swapoff"})
	check(t, Memory(environ.Collect(t.TempDir()), 0), want{"main", OK, "not told", ""})
}

func TestClock(t *testing.T) {
	amd64 := environ.Machine{Arch: "amd64", Clocksource: "tsc"}
	check(t, judgeClock(amd64, 1, nil, 30),
		want{"CLOCK_MONOTONIC", OK, "^resolution 1ns, a read takes 30ns$", ""}, want{"clocksource", OK, "^tsc$", ""})
	amd64.Clocksource = "hpet"
	check(t, judgeClock(amd64, 1, errors.New("refused"), 2*time.Microsecond),
		want{"CLOCK_MONOTONIC", Warn, "^resolution not told: refused, a read takes 2µs$", "clocksource"},
		want{"clocksource", Warn, "^hpet$", "available_clocksource"})
	check(t, judgeClock(environ.Machine{Arch: "arm64", Clocksource: "arch_sys_counter"}, 1, nil, 30),
		want{"CLOCK_MONOTONIC", OK, "", ""}, want{"clocksource", OK, "^arch_sys_counter$", ""})
	if cost := clockCost(); cost <= 0 || cost > 100*time.Microsecond {
		t.Errorf("a read of the clock takes %v", cost)
	}
	if lines := Clock(environ.Machine{}); len(lines) != 1 || !strings.HasPrefix(lines[0].Seen, "resolution 1ns") {
		t.Errorf("%+v", lines) // Linux has told time in nanoseconds for long
	}
}

func TestPower(t *testing.T) {
	check(t, Power([]power.SourceReport{
		{Name: "works", OK: true, Detail: "400 W"},
		{Name: "forbidden", Detail: "permission denied", Fix: "sudo chmod"},
		{Name: "absent", Detail: "this GPU does not tell it"},
	}),
		want{"works", OK, "^400 W$", ""},
		want{"forbidden", Warn, "^permission denied$", "sudo chmod"},
		want{"absent", OK, "^not measured: this GPU", ""})
}
