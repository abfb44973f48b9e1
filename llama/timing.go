//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

// TimeOnDevice asks for device-side times of the next calls, at most that many,
// of Prefill and DecodeStep, from events on the engine's own compute stream. It
// returns false when the context computes on no CUDA device; nothing is timed
// then. The first call and the end of the last are timed, which is what the
// spans of a prefill and the decode steps after it need and costs nothing that
// can be measured; with every set each call is, which slows short steps down by
// some percent.
func (h *handle) TimeOnDevice(calls int, every bool) bool {
	return calls >= 0 && h.usable("time") == nil && bool(C.pb_timing_start(h.c, C.int(calls), C.bool(every)))
}

// BusyMs returns the time from the first kernel of a call to the end of its work in
// milliseconds, counting calls from 0 after TimeOnDevice, and whether it is
// known.
func (h *handle) BusyMs(call int) (float64, bool) {
	if h.c == nil {
		return 0, false
	}
	ms := float64(C.pb_timing_busy_ms(h.c, C.int(call)))
	return ms, ms >= 0
}

// SpanMs returns the time from the submission of one call to the end of
// another's work in milliseconds, and whether it is known. Only calls 0 and 1, where
// the phases of a row begin, can be the first.
func (h *handle) SpanMs(from, to int) (float64, bool) {
	if h.c == nil {
		return 0, false
	}
	ms := float64(C.pb_timing_span_ms(h.c, C.int(from), C.int(to)))
	return ms, ms >= 0
}
