//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"
)

// quantizedMetadata is what a quantized file says of itself besides: which type
// was asked for, and who chose the types of its tensors by it.
func quantizedMetadata(typeName string) []metadata {
	return []metadata{{"phasebench.synth.type", typeName}, {"phasebench.synth.quantizer", Version()}}
}

// quantized has the weights written in F16 to a file that is removed again, and
// writes them to f with the given type.
func quantized(ctx context.Context, op string, f *os.File, typeName string, inF16 func(*os.File) error) error {
	whole, err := os.CreateTemp(filepath.Dir(f.Name()), filepath.Base(f.Name())+".f16.*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(whole.Name())
	if err := errors.Join(inF16(whole), whole.Close()); err != nil {
		return err
	}
	return quantize(ctx, op, whole.Name(), f.Name(), typeName)
}

func quantize(ctx context.Context, op, from, to, typeName string) error {
	cfrom := C.CString(from)
	defer C.free(unsafe.Pointer(cfrom))
	cto := C.CString(to)
	defer C.free(unsafe.Pointer(cto))
	ctype := C.CString(typeName)
	defer C.free(unsafe.Pointer(ctype))
	var cerr C.pb_error
	if !C.pb_quantize(cfrom, cto, ctype, C.int(PhysicalCores()), &cerr) {
		return fromC(op, &cerr)
	}
	return ctx.Err() // the engine cannot be stopped meanwhile
}

// Quantize writes the model in the file from, whose weights are F16 or wider,
// to the file to, with its matrices in the given type: one of SynthTypes but
// "f16". It is written whole or not at all. A file that is there already is an
// error that wraps fs.ErrExist, unless force is given. The engine's quantizer
// does it on all physical cores, and ends only when it is done.
func Quantize(ctx context.Context, from, to, typeName string, force bool) error {
	op := "quantize " + from
	if types := SynthTypes()[1:]; !slices.Contains(types, typeName) {
		return refuse(op, fmt.Sprintf("no type of quantized weights is called %q; known are %s", typeName, strings.Join(types, ", ")))
	}
	if _, err := os.Stat(from); err != nil {
		return refuse(op, err.Error())
	}
	if _, err := os.Lstat(to); err == nil && !force {
		return fmt.Errorf("llama: %s: %s: %w: remove it, or use --force", op, to, fs.ErrExist)
	}
	return replaceFile(to, func(f *os.File) error { return quantize(ctx, op, from, f.Name(), typeName) })
}

// quantizedAt reports whether the file at path is what quantizing one with this
// header gives. Another file is an error.
func (h *header) quantizedAt(op, path string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var cerr C.pb_error
	var same C.bool
	if !bool(C.pb_gguf_same(h.c, cpath, &same, &cerr)) || !bool(same) {
		return false, somethingElse(path)
	}
	return true, nil
}

// describe reads from the file what the quantizer made of it.
func (r *SynthResult) describe(op, typeName string) error {
	info, err := os.Stat(r.Path)
	if err != nil {
		return err
	}
	r.Bytes = info.Size()
	path := C.CString(r.Path)
	defer C.free(unsafe.Pointer(path))
	list := make([]C.pb_gguf_tensor, r.Tensors)
	var cerr C.pb_error
	n := C.pb_gguf_tensors(path, &list[0], C.int(len(list)), &cerr)
	if n < 0 {
		return fromC(op, &cerr)
	}
	for _, t := range list[:min(int(n), len(list))] {
		name := C.GoString(&t._type[0])
		i := slices.IndexFunc(r.Types, func(x SynthTensors) bool { return x.Type == name })
		if i < 0 {
			i = len(r.Types)
			r.Types = append(r.Types, SynthTensors{Type: name})
		}
		r.Types[i].Tensors++
		r.Types[i].Bytes += int64(t.bytes)
		if name != "f32" && int64(t.columns)%blockOf(typeName) != 0 {
			r.Types[i].Fallback++
		}
	}
	return nil
}

// blockOf is how many values of a row have to lie together in the types that a
// quantizer's type stands for.
func blockOf(typeName string) int64 {
	switch {
	case strings.Contains(typeName, "_k") || typeName == "iq4_xs":
		return 256
	case typeName == "bf16":
		return 1
	}
	return 32
}
