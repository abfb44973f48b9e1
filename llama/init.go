//go:build cgo

package llama

/*
#include "shim.h"
*/
import "C"

import (
	"os"
	"sync"
)

var initOnce struct {
	sync.Mutex
	done bool
}

// Init loads the engine's backend modules. It must come before every other
// call; calls after the first successful one do nothing. The engine reads its
// switches from the environment once per process, for example
// GGML_CUDA_DISABLE_GRAPHS: set them before Init.
func Init() error {
	initOnce.Lock()
	defer initOnce.Unlock()
	if initOnce.done {
		return nil
	}
	// A failed assertion would otherwise start a debugger to print a trace.
	if err := os.Setenv("GGML_NO_BACKTRACE", "1"); err != nil {
		return err
	}
	var cerr C.pb_error
	if !C.pb_init(&cerr) {
		return fromC("init", &cerr)
	}
	initOnce.done = true
	return nil
}

// Version returns the engine's version.
func Version() string { return C.GoString(C.pb_version()) }

// SystemInfo returns the engine's line of backend features, e.g. the vector
// units in use.
func SystemInfo() string { return C.GoString(C.pb_system_info()) }

// Devices lists the devices of the loaded backends with their free memory now.
func Devices() ([]Device, error) {
	kinds := map[C.pb_device_kind]DeviceKind{C.PB_CPU: CPU, C.PB_GPU: GPU, C.PB_INTEGRATED_GPU: IntegratedGPU, C.PB_ACCELERATOR: Accelerator}
	var out []Device
	for i := range int(C.pb_device_count()) {
		var d C.pb_device
		var cerr C.pb_error
		if !C.pb_device_get(C.int(i), &d, &cerr) {
			return nil, fromC("devices", &cerr)
		}
		out = append(out, Device{
			Index:       i,
			Name:        C.GoString(&d.name[0]),
			Description: C.GoString(&d.description[0]),
			Backend:     C.GoString(&d.backend[0]),
			PCIBusID:    C.GoString(&d.pci_bus_id[0]),
			Kind:        kinds[d.kind],
			FreeBytes:   int64(d.free_bytes),
			TotalBytes:  int64(d.total_bytes),
		})
	}
	return out, nil
}

func fromC(op string, e *C.pb_error) error {
	kind := ErrEngine
	switch e.code {
	case C.PB_BAD_INPUT:
		kind = ErrBadInput
	case C.PB_KV_FULL:
		kind = ErrKVFull
	case C.PB_ABORTED:
		kind = ErrAborted
	case C.PB_MEMORY:
		kind = ErrMemory
	case C.PB_ASSERT:
		kind = ErrAssert
	}
	return &Error{Op: op, Kind: kind, Msg: C.GoString(&e.message[0])}
}
