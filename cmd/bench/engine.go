package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/phasebench/phasebench/internal/wire"
)

// engineOn returns the engine settings for a device and model files that were
// named on the command line, and refuses those that are not there.
func engineOn(device string, files ...string) (wire.Engine, error) {
	e := wire.Engine{Device: device, FlashAttn: "auto", Mmap: true}
	switch device {
	case "cpu":
	case "cuda":
		e.GPULayers = -1
	default:
		return e, usagef("--device %s: need cpu or cuda", device)
	}
	for _, f := range files {
		var pathErr *fs.PathError
		if _, err := os.Stat(f); errors.As(err, &pathErr) {
			return e, usagef("%s: %w", f, pathErr.Err)
		}
	}
	return e, nil
}
