package runner

import (
	"fmt"
	"testing"

	"github.com/phasebench/phasebench/internal/matrix"
)

func TestCPULast(t *testing.T) {
	var groups []GroupCheck
	for _, m := range []string{"a", "b"} {
		for _, d := range []string{"cpu", "cuda"} {
			groups = append(groups, GroupCheck{Model: matrix.Model{Name: m}, Backend: matrix.Backend{Name: d, Device: d}})
		}
	}
	cpuLast(groups)
	var got []string
	for i := range groups {
		got = append(got, groups[i].Name())
	}
	if want := "[a on cuda b on cuda a on cpu b on cpu]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
