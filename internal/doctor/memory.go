package doctor

import (
	"github.com/phasebench/phasebench/internal/environ"
)

// Memory checks main memory. freeBytes is what a new process can take; 0 if
// that is not known.
func Memory(m environ.Machine, freeBytes int64) []Line {
	s := section{name: "memory"}
	switch {
	case freeBytes == 0:
		s.ok("main", "%d MiB; how much is free is not told", m.MemTotalBytes/mib)
	case m.MemLimitBytes > 0:
		s.ok("main", "%d MiB available; the control group allows %d of the machine's %d MiB", freeBytes/mib, m.MemLimitBytes/mib, m.MemTotalBytes/mib)
	default:
		s.ok("main", "%d of %d MiB available", freeBytes/mib, m.MemTotalBytes/mib)
	}
	if m.SwapUsedBytes != nil {
		s.check(*m.SwapUsedBytes > 0, "swap", "close what is not needed, then sudo swapoff -a && sudo swapon -a: pages of the model that go there make steps stall",
			"%d MiB in use", *m.SwapUsedBytes/mib)
	}
	return s.lines
}
