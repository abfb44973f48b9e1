package environ

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCPULimit(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  *float64
	}{
		{"nothing is known", nil, nil},
		{"version 2, none", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, nil},
		{"version 2, a group above", map[string]string{
			"proc/self/cgroup":                     "0::/user.slice/job\n",
			"sys/fs/cgroup/user.slice/cpu.max":     "250000 100000\n",
			"sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
		}, ptr(2.5)},
		{"version 2, the lowest of two", map[string]string{
			"proc/self/cgroup":          "0::/a/b\n",
			"sys/fs/cgroup/a/cpu.max":   "400000 100000\n",
			"sys/fs/cgroup/a/b/cpu.max": "50000 100000\n",
		}, ptr(0.5)},
		{"version 2, a path outside the container's view", map[string]string{
			"proc/self/cgroup": "0::/../../elsewhere\n", "sys/fs/cgroup/cpu.max": "150000 100000\n",
		}, ptr(1.5)},
		{"version 1", map[string]string{
			"proc/self/cgroup":                                "4:memory:/box\n2:cpu,cpuacct:/box\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":      "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":     "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us":  "300000\n",
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
		}, ptr(3.0)},
		{"version 1, none", map[string]string{
			"proc/self/cgroup":                    "2:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tc.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := tree(root).cpuLimit()
			if (got == nil) != (tc.want == nil) || got != nil && *got != *tc.want {
				t.Errorf("got %v, want %v", show(got), show(tc.want))
			}
		})
	}
}

func show(v *float64) any {
	if v == nil {
		return "none"
	}
	return *v
}

func TestListed(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3": 4, "0-1,4,6-7": 5, "": 0, "3-1": 0, "x": 0} {
		if got := listed(list); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}
