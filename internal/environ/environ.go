// Package environ describes the machine and the program that a run's rows come
// from. What the machine does not tell is absent.
package environ

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/phasebench/phasebench/internal/wire"
)

// File is the name of the environment's file in a run directory.
const File = "environment.json"

// Environment is where a run's rows come from.
type Environment struct {
	Machine
	Engine wire.DevicesReply `json:"engine"` // version, features and devices
	Build  Build             `json:"build"`
	GPUs   []GPU             `json:"gpus,omitempty"` // that are sampled

	Models []ModelFile `json:"models,omitempty"` // that were measured

	ConfigPath string `json:"config_path,omitempty"`
	ConfigHash string `json:"config_hash,omitempty"` // SHA-256 of the matrix file's bytes, hex

	Sessions []Session `json:"sessions"` // the run, then each time it was resumed

	// Earlier are the machines that the run was on before it was resumed on this
	// one, oldest first, without sessions.
	Earlier []Environment `json:"earlier,omitempty"`
}

// After returns e as that of a run that was on another machine before, or the
// same: it takes over its sessions, and notes the machine if it is another one.
func (e Environment) After(before Environment) Environment {
	e.Sessions, e.Earlier = before.Sessions, before.Earlier
	before.Sessions, before.Earlier = nil, nil
	if before.Host != e.Host {
		e.Earlier = append(slices.Clip(e.Earlier), before)
	}
	return e
}

// Hosts returns the environments of all machines that runs were on, once for each
// host.
func Hosts(runs []Environment) []Environment {
	var out []Environment
	seen := map[string]bool{}
	for _, e := range runs {
		for _, one := range append(slices.Clip(e.Earlier), e) {
			if one.Host == "" || !seen[one.Host] {
				seen[one.Host] = true
				out = append(out, one)
			}
		}
	}
	return out
}

// GPU is what the driver says about a GPU.
type GPU struct {
	PCIBusID    string   `json:"pci_bus_id"` // lower-case domain:bus:device.function
	Name        string   `json:"name,omitempty"`
	Driver      string   `json:"driver,omitempty"`        // version
	PowerLimitW *float64 `json:"power_limit_w,omitempty"` // in force
}

// ModelFile is a file of weights.
type ModelFile struct {
	Name        string `json:"name"`        // of the model
	Bytes       int64  `json:"bytes"`       // of the file
	Fingerprint string `json:"fingerprint"` // of the file; see models.Fingerprint
}

// Session is one process that worked on a run.
type Session struct {
	CommandLine []string   `json:"command_line"`
	Host        string     `json:"host,omitempty"` // that it ran on
	Started     time.Time  `json:"started"`
	Ended       *time.Time `json:"ended,omitempty"` // absent while it works, and when it was killed
}

// Machine is the hardware and its operating system.
type Machine struct {
	Host          string `json:"host,omitempty"` // its name in the cluster or else the network
	CPUModel      string `json:"cpu_model,omitempty"`
	PhysicalCores int    `json:"physical_cores,omitempty"`
	LogicalCores  int    `json:"logical_cores,omitempty"`
	Governor      string `json:"governor,omitempty"`     // frequency governor of CPU 0
	Turbo         *bool  `json:"turbo,omitempty"`        // whether clocks above the base are allowed
	CPUsAllowed   int    `json:"cpus_allowed,omitempty"` // logical cores in the affinity mask of this process
	Clocksource   string `json:"clocksource,omitempty"`  // what the kernel tells time by
	Arch          string `json:"arch"`                   // as Go names it

	MemTotalBytes int64    `json:"mem_total_bytes,omitempty"`
	MemLimitBytes int64    `json:"mem_limit_bytes,omitempty"` // of the container
	CPULimit      *float64 `json:"cpu_limit,omitempty"`       // CPUs the process may use, by the quotas of its control groups
	SwapUsedBytes *int64   `json:"swap_used_bytes,omitempty"`
	LoadAverage   *float64 `json:"load_average,omitempty"` // over the minute before the run

	OS     string `json:"os,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	// Virtualization is a hint at what stands between the system and the
	// hardware: "container", the product's name or "hypervisor".
	Virtualization []string `json:"virtualization,omitempty"`
	NvidiaDriver   string   `json:"nvidia_driver,omitempty"`
}

// Loaded says what load there was in the minute before m was collected, if that
// is more than half its cores can do, so that it shows in the times; "" if not, or
// if it is not known.
func (m *Machine) Loaded() string {
	cores := cmp.Or(m.PhysicalCores, m.LogicalCores)
	if m.LoadAverage == nil || cores == 0 || *m.LoadAverage <= float64(cores)/2 {
		return ""
	}
	return fmt.Sprintf("load %.2g on %d cores", *m.LoadAverage, cores)
}

// Collect describes the machine whose file system is rooted at root, "/" for
// this one.
func Collect(root string) Machine {
	t := tree(root)
	m := Machine{
		Host:           t.host(),
		Arch:           runtime.GOARCH,
		Governor:       t.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Turbo:          t.turbo(),
		CPUsAllowed:    t.cpusAllowed(),
		Clocksource:    t.line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
		MemTotalBytes:  t.meminfo("MemTotal"),
		MemLimitBytes:  t.number("sys/fs/cgroup/memory.max"),
		CPULimit:       t.cpuLimit(),
		SwapUsedBytes:  t.swapUsed(),
		LoadAverage:    t.loadAverage(),
		OS:             t.osName(),
		Kernel:         t.line("proc/sys/kernel/osrelease"),
		Virtualization: t.virtualization(),
		NvidiaDriver:   t.nvidiaDriver(),
	}
	m.CPUModel, m.LogicalCores, m.PhysicalCores = t.cpu()
	return m
}

// Differences lists, in words, what changed from a to b that can change what
// is measured: rows of one run should come from one machine and one program.
func Differences(a, b Environment) []string {
	var out []string
	note := func(what, was, is string) {
		if was != is {
			out = append(out, fmt.Sprintf("%s was %q, is %q", what, was, is))
		}
	}
	gpus := func(e Environment) string {
		var names []string
		for _, d := range e.Engine.Devices {
			if d.Kind == "gpu" {
				names = append(names, d.Description)
			}
		}
		return strings.Join(names, ", ")
	}
	note("host", a.Host, b.Host)
	note("CPU", a.CPUModel, b.CPUModel)
	note("physical cores", fmt.Sprint(a.PhysicalCores), fmt.Sprint(b.PhysicalCores))
	note("governor", a.Governor, b.Governor)
	note("kernel", a.Kernel, b.Kernel)
	note("NVIDIA driver", a.NvidiaDriver, b.NvidiaDriver)
	note("GPU", gpus(a), gpus(b))
	note("GPU power limit", powerLimits(a), powerLimits(b))
	note("engine", a.Engine.Version, b.Engine.Version)
	note("engine features", a.Engine.Features, b.Engine.Features)
	note("program", a.Build.String(), b.Build.String())
	note("configuration", a.ConfigHash, b.ConfigHash)
	return out
}

func powerLimits(e Environment) string {
	var limits []string
	for _, g := range e.GPUs {
		if g.PowerLimitW != nil {
			limits = append(limits, fmt.Sprintf("%g W", *g.PowerLimitW))
		}
	}
	return strings.Join(limits, ", ")
}

// Read reads the environment of the run in dir.
func Read(dir string) (Environment, error) {
	var e Environment
	path := filepath.Join(dir, File)
	data, err := os.ReadFile(path)
	if err == nil {
		if err = json.Unmarshal(data, &e); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	return e, err
}

// Write stores e in dir, in place of what is there. A reader sees the old file
// or the new one, never a part.
func (e Environment) Write(dir string) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, File+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, File))
	}
	if err != nil {
		if rm := os.Remove(f.Name()); !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}
