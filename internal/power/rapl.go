package power

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/phasebench/phasebench/internal/clock"
	"github.com/phasebench/phasebench/internal/environ"
)

// rapl reads the energy counters of the CPU's packages and of their memory from
// the kernel's powercap tree, which Intel's and AMD's CPUs have under the same
// names. It belongs to one goroutine at a time.
//
// https://docs.kernel.org/power/powercap/powercap.html
type rapl struct{ zones []*zone }

// zone is a counter. It counts from 0 to rangeUJ and begins anew, which takes a
// busy package a minute at least.
type zone struct {
	path    string
	file    *os.File // kept open: reading at 0 asks the kernel for the value now
	dram    bool
	rangeUJ uint64
	lastUJ  uint64
	sumUJ   uint64 // since it was opened
}

// unmeasured says why a source tells nothing, and what to do about it.
type unmeasured struct {
	why, fix string
	err      error // that it explains; errNoRAPL if there is no counter
}

func (u *unmeasured) Error() string { return u.why }
func (u *unmeasured) Unwrap() error { return u.err }

// errNoRAPL means that a machine shows no energy counter of its CPU.
var errNoRAPL = errors.New("no RAPL")

// opener opens a file for reading.
type opener func(path string) (*os.File, error)

// openRAPL finds the counters below sysRoot, "/sys" on this machine. The error
// is an *unmeasured, and fs.ErrPermission if they are there but kept from this
// user.
//
// A package holds its cores and uncore, so these are not counted again; nor is
// psys, the whole platform, which holds the packages. Memory is beside its
// package and is added.
func openRAPL(sysRoot string, open opener) (*rapl, error) {
	folders, err := filepath.Glob(filepath.Join(sysRoot, "class/powercap/intel-rapl:*"))
	if err != nil { // sysRoot is no pattern
		return nil, &unmeasured{why: err.Error(), err: err}
	}
	r := &rapl{}
	for _, folder := range folders {
		name, err := os.ReadFile(filepath.Join(folder, "name"))
		isPackage, isDRAM := bytes.HasPrefix(name, []byte("package")), string(bytes.TrimSpace(name)) == "dram"
		if err != nil || !isPackage && !isDRAM {
			continue
		}
		z, err := openZone(folder, open)
		if err != nil {
			return nil, errors.Join(denied(err), r.close())
		}
		z.dram = isDRAM
		r.zones = append(r.zones, z)
	}
	if r.packages() == 0 {
		return nil, errors.Join(absent(filepath.Dir(sysRoot)), r.close())
	}
	return r, nil
}

func openZone(folder string, open opener) (*zone, error) {
	z := &zone{path: filepath.Join(folder, "energy_uj")}
	text, err := os.ReadFile(filepath.Join(folder, "max_energy_range_uj"))
	if err == nil {
		z.rangeUJ, err = parseUJ(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	if z.file, err = open(z.path); err != nil {
		return nil, err
	}
	if z.lastUJ, err = z.read(); err != nil {
		return nil, errors.Join(err, z.file.Close())
	}
	return z, nil
}

// denied explains why a counter that is there cannot be read.
func denied(err error) error {
	u := &unmeasured{why: err.Error(), err: err}
	if errors.Is(err, fs.ErrPermission) {
		u.why += " (the kernel lets only root read it)"
		u.fix = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj until the next boot, or the same by a udev rule; or sudo setcap cap_dac_read_search+ep on bench; or run as root"
	}
	return u
}

// absent explains why the machine whose file system is at root shows no
// counter.
func absent(root string) error {
	m := environ.Collect(root)
	u := &unmeasured{err: errNoRAPL}
	switch {
	case m.Arch != "amd64":
		u.why = "RAPL counts the energy of x86 CPUs, this one is " + m.Arch
	case slices.Equal(m.Virtualization, []string{"container"}):
		u.why = "the container shows no energy counter"
		u.fix = "run on the host, or with docker run --security-opt systempaths=unconfined"
	case len(m.Virtualization) > 0:
		u.why = "a virtual machine (" + strings.Join(m.Virtualization, ", ") + ") shows no energy counter of its host"
		u.fix = "run on the host"
	default:
		u.why = "no CPU package in " + filepath.Join(root, "sys/class/powercap")
		u.fix = "sudo modprobe intel_rapl_msr"
	}
	return u
}

// Read takes one sample. A package without its counter makes the sum wrong, so
// that it is an error.
func (r *rapl) Read(want) (Sample, error) {
	s := Sample{Source: sourceRAPL}
	before := clock.NowNs()
	var all, dram uint64
	hasDRAM := false
	for _, z := range r.zones {
		now, err := z.read()
		if err != nil {
			return s, err
		}
		z.sumUJ += z.since(now)
		z.lastUJ = now
		all += z.sumUJ
		if z.dram {
			hasDRAM = true
			dram += z.sumUJ
		}
	}
	s.TimeNs = before + (clock.NowNs()-before)/2
	joules := float64(all) / 1e6
	s.EnergyJ = &joules
	if hasDRAM {
		joules := float64(dram) / 1e6
		s.DRAMJ = &joules
	}
	return s, nil
}

// packages returns how many of the zones are CPU packages.
func (r *rapl) packages() int {
	n := 0
	for _, z := range r.zones {
		if !z.dram {
			n++
		}
	}
	return n
}

// since returns what was counted from the last value to now.
func (z *zone) since(now uint64) uint64 {
	if now >= z.lastUJ {
		return now - z.lastUJ
	}
	return z.rangeUJ - z.lastUJ + now
}

func (z *zone) read() (uint64, error) {
	var buf [32]byte
	n, err := z.file.ReadAt(buf[:], 0)
	if n == 0 {
		return 0, fmt.Errorf("%s: %w", z.path, err)
	}
	uj, err := parseUJ(buf[:n])
	if err != nil {
		return 0, fmt.Errorf("%s: %w", z.path, err)
	}
	return uj, nil
}

func parseUJ(text []byte) (uint64, error) {
	return strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
}

func (r *rapl) close() error {
	var err error
	for _, z := range r.zones {
		err = errors.Join(err, z.file.Close())
	}
	return err
}
