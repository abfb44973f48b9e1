package measure

import (
	"runtime"
	"testing"

	"github.com/phasebench/phasebench/internal/wire"
	"github.com/phasebench/phasebench/llama"
)

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// While a session is open nothing is collected for the little that rows leave,
// but much is; afterwards the collector is as it was.
func TestCollector(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := llama.Init(); err != nil {
		t.Fatal(err)
	}
	s, _, err := Open(wire.Open{ModelPath: model, Engine: wire.Engine{Device: "cpu", Threads: 1, Mmap: true}})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	before := collections()
	for range 5 {
		if _, err := s.Row(*row("cached").Row); err != nil {
			t.Fatal(err)
		}
	}
	if n := collections() - before; n != 0 {
		t.Errorf("%d collections in five rows", n)
	}
	much := make([]byte, enoughGarbage)
	runtime.KeepAlive(much)
	if _, err := s.Row(*row("cached").Row); err != nil {
		t.Fatal(err)
	}
	if n := collections() - before; n != 1 {
		t.Errorf("%d collections after much garbage, want 1", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before = collections()
	for range 64 {
		much = make([]byte, 4<<20)
		runtime.KeepAlive(much)
	}
	if collections() == before {
		t.Error("the collector is still off after Close")
	}
}
