//go:build cgo

package llama

/*
#include <stdbool.h>
#include <stdint.h>
*/
import "C"

import "runtime/cgo"

// pb_go_progress is what the shim calls while a model loads. It stands in a
// file of its own because a file that exports to C may not define anything in C.
//
//export pb_go_progress
func pb_go_progress(done C.float, handle C.uintptr_t) C.bool {
	return C.bool(cgo.Handle(handle).Value().(func(float32) bool)(float32(done)))
}
