//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"time"
)

const (
	probeWarmups = 2                      // the second is where a CUDA graph is captured
	probeRuns    = 3                      // at least
	probeFor     = 500 * time.Millisecond // and for so long
)

// MeasureRoofline measures what the device does at most of the things that
// bound a model, each by an operation of the engine's own on that device, timed
// from submission to synchronization, the best of several runs after warm-ups:
//
//	CopyBytesPerS   = 2 * copies * CopyBytes / time
//	ReadBytesPerS   = ReadBytes / time
//	MatmulFlopsPerS = 2 * MatmulSize^3 / time
//
// The copy goes from one buffer to another and back, both far larger than any
// cache; its bytes are counted as read and as written. It is the usual measure
// of a memory's bandwidth (STREAM's Copy: J. D. McCalpin, 1995). A decode step
// only reads its weights and cache, which some memory does faster than reading
// and writing in turns: hence the product of a matrix as large with one vector,
// which is what a decode step does with each of its matrices. The
// square product is of an F16 weight matrix, where the engine would put it, with
// F32 activations, as in the layers of a prefill: the conversion of the
// activations is part of it.
//
// Threads are those of the CPU; a GPU needs none. It takes 1 to 3 s and an
// eighth of the device's memory for each of two buffers, at most 1 GiB on a GPU
// and 2 GiB on a CPU. It fails with ErrBadInput for a device that does not
// exist or no threads, and with ErrMemory when the device has no room.
func MeasureRoofline(d Device, threads int) (Roofline, error) {
	const op = "roofline"
	if d.Index < 0 || d.Index >= int(C.pb_device_count()) {
		return Roofline{}, refuse(op, fmt.Sprintf("device %d does not exist; see Devices", d.Index))
	}
	if threads < 1 || threads > 512 {
		return Roofline{}, refuse(op, fmt.Sprintf("threads is %d; want 1 to 512", threads))
	}
	s := probeSizes(d, lastLevelCaches("/sys"))
	r := Roofline{CopyBytes: s.copyBytes, MatmulSize: s.matmul}
	var cerr C.pb_error
	seconds, err := fastest(C.pb_probe_copy(C.int(d.Index), C.int(threads), C.int64_t(s.copyBytes), C.int(s.copies), &cerr), &cerr)
	if err != nil {
		return Roofline{}, err
	}
	r.CopyBytesPerS = 2 * float64(s.copies) * float64(s.copyBytes) / seconds
	const inner, f16 = 8192, 2
	rows := max(s.copyBytes/(inner*f16), 1)
	r.ReadBytes = rows * inner * f16
	seconds, err = fastest(C.pb_probe_matmul(C.int(d.Index), C.int(threads), inner, C.int64_t(rows), 1, &cerr), &cerr)
	if err != nil {
		return Roofline{}, err
	}
	r.ReadBytesPerS = float64(r.ReadBytes) / seconds
	size := C.int64_t(s.matmul)
	seconds, err = fastest(C.pb_probe_matmul(C.int(d.Index), C.int(threads), size, size, size, &cerr), &cerr)
	if err != nil {
		return Roofline{}, err
	}
	n := float64(s.matmul)
	r.MatmulFlopsPerS = 2 * n * n * n / seconds
	return r, nil
}

// fastest runs a probe, which may have failed to be made, and frees it. It
// returns the seconds of its fastest run.
func fastest(p *C.pb_probe, cerr *C.pb_error) (float64, error) {
	const op = "roofline"
	if p == nil {
		return 0, fromC(op, cerr)
	}
	defer C.pb_probe_free(p)
	var best, spent time.Duration
	for i := 0; i < probeWarmups+probeRuns || spent < probeFor; i++ {
		start := time.Now()
		if !C.pb_probe_run(p, cerr) {
			return 0, fromC(op, cerr)
		}
		took := time.Since(start)
		if i < probeWarmups {
			continue
		}
		if spent += took; best == 0 || took < best {
			best = took
		}
	}
	return best.Seconds(), nil
}
