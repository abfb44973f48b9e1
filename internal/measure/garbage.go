package measure

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// enoughGarbage is how large the heap gets before it is worth a collection: a
// row leaves some kilobytes behind, a window at most a few megabytes.
const enoughGarbage = 64 << 20

// noCollector turns the collector off until restore: a collection in the middle
// of a phase would be time the model did not take.
func noCollector() (restore func()) {
	percent := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(percent) }
}

// collect collects garbage if there is enough of it. It is called after
// something was measured and never right before, when it would leave the
// processor's caches to the next phase emptier than a phase finds them in use.
func collect() {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	if heap[0].Value.Uint64() > enoughGarbage {
		runtime.GC()
	}
}
