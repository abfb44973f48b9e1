package power

import (
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// strangers returns the processes that compute on the GPU besides the worker
// pid, in any of the samples. In a container the worker may be listed under an
// id of the host or not at all: then one process is taken to be the worker, and
// with more of them each may be a stranger. Without a worker, pid 0, all are.
func strangers(samples []Sample, pid int) []process {
	var others []process
	known, most := pid == 0, 0
	for _, s := range samples {
		most = max(most, len(s.procs))
		for _, p := range s.procs {
			is := func(o process) bool { return o.pid == p.pid }
			if p.pid == pid {
				known = true
			} else if !slices.ContainsFunc(others, is) {
				others = append(others, p)
			}
		}
	}
	if !known && most < 2 {
		return nil
	}
	return others
}

// Foreign names the processes that compute on the GPU now besides pid, each
// with its memory where that is known; nothing if there is no GPU to ask.
func (t *Telemetry) Foreign(pid int) []string {
	if t.gpu == nil {
		return nil
	}
	now, ok := t.gpuSampler.look()
	if !ok {
		return nil
	}
	var names []string
	for _, p := range strangers([]Sample{now}, pid) {
		name, ret := t.lib.SystemGetProcessName(p.pid)
		if ret != nvml.SUCCESS || name == "" { // of another user, or of another container
			name = "a process"
		}
		memory := ""
		if p.usedMB != nil {
			memory = fmt.Sprintf(", %.0f MB", *p.usedMB)
		}
		names = append(names, fmt.Sprintf("%s (pid %d%s)", name, p.pid, memory))
	}
	return names
}
