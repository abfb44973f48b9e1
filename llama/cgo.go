//go:build cgo

package llama

// The shim and the engine lie in build/lib: beside the executable's folder for
// ./bench, and found by its own path for test binaries. The shim's C headers lie
// in this folder, where go sees that they changed.

/*
#cgo LDFLAGS: -L${SRCDIR}/../build/lib -lphasebench_shim -Wl,-rpath,$ORIGIN/build/lib -Wl,-rpath,${SRCDIR}/../build/lib
#include "shim.h"
*/
import "C"
