package runner

import (
	"os"
	"slices"
	"strings"
)

// passed names what a worker keeps of the parent's environment: what finds
// programs, libraries and devices. Everything else stays out, so that a row
// depends on nothing it does not record.
var passed = []string{
	"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
	"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_CACHE_PATH",
}

// workerEnv returns the whole environment of a worker. The engine's backtrace
// is off since it forks a debugger, which takes half a second and says nothing
// that the last lines on stderr do not.
func workerEnv(engine map[string]string) []string {
	env := []string{"GGML_NO_BACKTRACE=1"}
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for name, v := range engine {
		env = append(env, name+"="+v) // of two settings of a name, os/exec takes the last
	}
	return env
}

// HeldBack names the engine's switches that are set in this process's
// environment and are not passed to workers: a matrix file sets them under a
// backend's env, where they are recorded.
func HeldBack() []string {
	var names []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		for _, prefix := range []string{"GGML_", "LLAMA_", "OMP_", "GOMP_"} {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
