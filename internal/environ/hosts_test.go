package environ

import (
	"strings"
	"testing"
)

func on(host, cpu string) Environment {
	return Environment{Machine: Machine{Host: host, CPUModel: cpu}}
}

// A run that is resumed on another machine keeps what it was on before.
func TestAfter(t *testing.T) {
	first := on("n1", "x")
	first.Sessions = []Session{{Host: "n1"}}
	same := on("n1", "x").After(first)
	if len(same.Sessions) != 1 || same.Earlier != nil {
		t.Errorf("on the same machine: %+v", same)
	}
	moved := on("n2", "y").After(same)
	if len(moved.Sessions) != 1 || len(moved.Earlier) != 1 || moved.Earlier[0].CPUModel != "x" || moved.Earlier[0].Sessions != nil {
		t.Errorf("on another: %+v", moved)
	}
	back := on("n1", "x").After(moved)
	if len(back.Earlier) != 2 || back.Earlier[1].Host != "n2" || len(moved.Earlier) != 1 {
		t.Errorf("back again: %+v", back)
	}

	var hosts []string
	for _, e := range Hosts([]Environment{back, on("n3", "z"), on("n2", "y"), on("", "u"), on("", "v")}) {
		hosts = append(hosts, e.Host+e.CPUModel)
	}
	if got := strings.Join(hosts, " "); got != "n1x n2y n3z u v" {
		t.Errorf("hosts %s", got)
	}
}

func TestHostIsTheNode(t *testing.T) {
	t.Setenv("SLURMD_NODENAME", "node7")
	if got := Collect(t.TempDir()).Host; got != "node7" {
		t.Errorf("host %q", got)
	}
}
