package environ

import (
	"runtime/debug"
	"strings"
)

// revision is the git commit of the source, with "-dirty" appended when the
// tree had changes. A build without git's metadata can set it by
// -ldflags "-X github.com/phasebench/phasebench/internal/environ.revision=…".
var revision string

// Build says which program measured.
type Build struct {
	Go       string `json:"go"`                 // version of the Go toolchain
	Version  string `json:"version,omitempty"`  // of the module, when it was installed as one
	Revision string `json:"revision,omitempty"` // git commit, "-dirty" appended when the tree had changes
}

func (b Build) String() string {
	return strings.Join(strings.Fields(b.Version+" "+b.Revision+" "+b.Go), " ")
}

// ReadBuild describes the running program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Revision: revision}
	}
	b := Build{Go: info.GoVersion, Revision: revision}
	if v := info.Main.Version; v != "(devel)" {
		b.Version = v
	}
	if b.Revision != "" {
		return b
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if b.Revision = set["vcs.revision"]; b.Revision != "" && set["vcs.modified"] == "true" {
		b.Revision += "-dirty"
	}
	return b
}
