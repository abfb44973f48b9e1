package environ

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// tree is the root of a file system that holds proc, sys and etc. A file that
// cannot be read is a fact that is not known.
type tree string

func (t tree) text(name string) string {
	data, _ := os.ReadFile(filepath.Join(string(t), name))
	return string(data)
}

// host returns the name of the machine: as Slurm knows the node, where it started
// us, since one machine may be several nodes.
func (t tree) host() string {
	return cmp.Or(os.Getenv("SLURMD_NODENAME"), t.line("proc/sys/kernel/hostname"))
}

// line returns the first line of a file.
func (t tree) line(name string) string {
	first, _, _ := strings.Cut(t.text(name), "\n")
	return strings.TrimSpace(first)
}

// number returns a file's only number, 0 if there is none (cgroup files say
// "max" for no limit).
func (t tree) number(name string) int64 {
	n, _ := strconv.ParseInt(t.line(name), 10, 64)
	return n
}

// MemAvailableBytes returns how much memory a new process can take without
// swapping: what the kernel estimates (proc_meminfo(5), MemAvailable), or less
// when a container's limit leaves less. It returns 0 if that is not known.
func MemAvailableBytes(root string) int64 {
	t := tree(root)
	avail := t.meminfo("MemAvailable")
	if limit := t.number("sys/fs/cgroup/memory.max"); limit > 0 {
		// Pages of files that were not used lately count as used, but the
		// kernel gives them up first.
		used := t.number("sys/fs/cgroup/memory.current") - field(t.text("sys/fs/cgroup/memory.stat"), "inactive_file")
		if left := max(limit-used, 0); avail == 0 || left < avail {
			avail = left
		}
	}
	return avail
}

// meminfo returns a value of /proc/meminfo in bytes.
func (t tree) meminfo(key string) int64 { return field(t.text("proc/meminfo"), key+":") << 10 }

// field returns the number that follows key at the start of a line.
func field(text, key string) int64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// cpu returns the name of the CPU and how many logical and physical cores
// there are.
func (t tree) cpu() (model string, logical, physical int) {
	siblings := map[string]bool{}
	for line := range strings.Lines(t.text("proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "processor":
			logical++
			// All logical cores of a physical one name the same list.
			if list := t.line("sys/devices/system/cpu/cpu" + value + "/topology/thread_siblings_list"); list != "" {
				siblings[list] = true
			}
		case "model name":
			model = value
		}
	}
	return model, logical, len(siblings)
}

// turbo reads Intel's switch, which says off, or else the general one, which
// says on.
func (t tree) turbo() *bool {
	off := t.line("sys/devices/system/cpu/intel_pstate/no_turbo")
	boost := t.line("sys/devices/system/cpu/cpufreq/boost")
	if off == "" && boost == "" {
		return nil
	}
	on := off == "0" || off == "" && boost == "1"
	return &on
}

// cpusAllowed counts the CPUs in the affinity mask of this process; 0 if that
// is not known.
func (t tree) cpusAllowed() int {
	for line := range strings.Lines(t.text("proc/self/status")) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return listed(strings.TrimSpace(list))
		}
	}
	return 0
}

// listed counts the members of a list of the kernel's, like "0-3,8".
func listed(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || to < from {
			return 0
		}
		n += to - from + 1
	}
	return n
}

// swapUsed returns nil where nothing is said about swap.
func (t tree) swapUsed() *int64 {
	if !strings.Contains(t.text("proc/meminfo"), "SwapTotal:") {
		return nil
	}
	used := t.meminfo("SwapTotal") - t.meminfo("SwapFree")
	return &used
}

func (t tree) loadAverage() *float64 {
	first, _, _ := strings.Cut(t.line("proc/loadavg"), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return nil
	}
	return &load
}

func (t tree) osName() string {
	for line := range strings.Lines(t.text("etc/os-release")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

var driverVersion = regexp.MustCompile(`^NVRM version: .*?\s(\d+\.\d+(?:\.\d+)*)\s`)

func (t tree) nvidiaDriver() string {
	if m := driverVersion.FindStringSubmatch(t.line("proc/driver/nvidia/version") + " "); m != nil {
		return m[1]
	}
	return ""
}

func (t tree) virtualization() []string {
	var out []string
	for _, mark := range []string{".dockerenv", "run/.containerenv"} {
		if _, err := os.Stat(filepath.Join(string(t), mark)); err == nil {
			out = append(out, "container")
			break
		}
	}
	flags := regexp.MustCompile(`(?m)^flags\s*:.*\bhypervisor\b`)
	if flags.MatchString(t.text("proc/cpuinfo")) {
		product := strings.TrimSpace(t.line("sys/class/dmi/id/sys_vendor") + " " + t.line("sys/class/dmi/id/product_name"))
		if product == "" {
			product = "hypervisor"
		}
		out = append(out, product)
	}
	return out
}
