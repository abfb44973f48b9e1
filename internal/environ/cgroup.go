package environ

import (
	"path"
	"strconv"
	"strings"
)

// cpuLimit returns how many CPUs the process may use at a time on average: the
// least that its control group or one above it allows, in either version of
// cgroups; nil where none has a limit. A container may see its own groups as
// the topmost, whatever path it is told, so that the top always counts.
func (t tree) cpuLimit() *float64 {
	var least *float64
	for line := range strings.Lines("0::/\n" + t.text("proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(f) != 3 {
			continue
		}
		for _, dir := range upward(f[2]) {
			limit := t.cpuMax(path.Join("sys/fs/cgroup", dir))
			if f[1] != "" {
				limit = t.cfsQuota(path.Join("sys/fs/cgroup", f[1], dir))
			}
			if limit != nil && (least == nil || *limit < *least) {
				least = limit
			}
		}
	}
	return least
}

// upward lists a folder and all above it, with the root last.
func upward(dir string) []string {
	dir = path.Clean("/" + dir)
	all := []string{dir}
	for dir != "/" {
		dir = path.Dir(dir)
		all = append(all, dir)
	}
	return all
}

// cpuMax reads version 2's "quota period" in microseconds, or "max period".
func (t tree) cpuMax(dir string) *float64 {
	quota, period, _ := strings.Cut(t.line(path.Join(dir, "cpu.max")), " ")
	return quotient(quota, period)
}

// cfsQuota reads version 1's two files; a quota of -1 is none.
func (t tree) cfsQuota(dir string) *float64 {
	return quotient(t.line(path.Join(dir, "cpu.cfs_quota_us")), t.line(path.Join(dir, "cpu.cfs_period_us")))
}

func quotient(quota, period string) *float64 {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return nil
	}
	cpus := q / p
	return &cpus
}
