package doctor

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/environ"
)

// Reading the clock is in every step that is timed: at slowClock it is a
// thousandth of a step of 1 ms, which a small model takes on a fast GPU.
const slowClock = time.Microsecond

// Clock checks the clock that phases are timed by, by reading it.
func Clock(m environ.Machine) []Line {
	var res unix.Timespec
	err := unix.ClockGetres(unix.CLOCK_MONOTONIC, &res)
	return judgeClock(m, time.Duration(res.Nano()), err, clockCost())
}

func judgeClock(m environ.Machine, resolution time.Duration, err error, cost time.Duration) []Line {
	s := section{name: "clock"}
	told := fmt.Sprintf("resolution %v", resolution)
	if err != nil {
		told = fmt.Sprintf("resolution not told: %v", err)
	}
	s.check(cost >= slowClock, "CLOCK_MONOTONIC", "the kernel answers each read by a system call, which the clocksource decides",
		"%s, a read takes %v", told, cost)
	if m.Clocksource != "" {
		// Other architectures have one clock each, read as cheaply.
		s.check(m.Arch == "amd64" && m.Clocksource != "tsc", "clocksource",
			"see /sys/devices/system/clocksource/clocksource0/available_clocksource; if tsc is in it, write it to current_clocksource as root. Else the kernel found it unstable, and dmesg says why",
			"%s", m.Clocksource)
	}
	return s.lines
}

// clockCost returns what a read of the clock takes at its best: other work only
// adds to it.
func clockCost() time.Duration {
	const rounds, reads = 20, 1000
	best := time.Hour
	for range rounds {
		start := time.Now()
		for range reads {
			runtime.KeepAlive(clock.NowNs())
		}
		best = min(best, time.Since(start)/reads)
	}
	return best
}
