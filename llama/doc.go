// Package llama runs GGUF models through llama.cpp with the two phases of
// inference kept apart: Prefill evaluates a prompt and yields the first token,
// DecodeStep evaluates one token against the KV cache and yields the next.
//
// The greedy choice is made inside the engine's compute graph, each call
// returns when the device is idle, and each step costs one cgo call, so a clock
// read around a call times the phase and nothing else.
//
// Call Init once. A Model may be shared by contexts; a Context, and the calls
// on it, belong to one goroutine at a time, which should be locked to its
// thread (runtime.LockOSThread): the engine keeps a team of worker threads for
// each calling thread.
//
// The engine aborts the process on some misuse. Every such input that can be
// recognised is refused here with an error first; assertions that remain come
// back as ErrAssert when they happen on the calling thread, and after one the
// Context must be closed. Work on files nobody vouches for in a process of its
// own.
package llama
