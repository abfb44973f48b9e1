//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"
)

const (
	maxSynthLayers = 512     // the engine's LLAMA_MAX_LAYERS
	synthChunk     = 4 << 20 // bytes drawn and written at a time
)

// Synth writes a GGUF file with the shape called archName (see SynthArchs), the
// real tokenizer of that model and random weights. Such a file runs as fast and
// takes as much memory as the real one, and its text is noise; the key
// phasebench.synthetic and the name in it say so.
//
// Matrices are normal with mean 0 and the standard deviation that the
// published configurations give for initialization, which is not that of the
// trained weights. Norms scatter around 1, biases and the last norm around 0.
// The same arguments give the same bytes, on any machine.
//
// The file appears under its name only when it is complete. A file that is
// already there is kept if it is the one asked for; any other is an error that
// wraps fs.ErrExist, unless opt.Force is set. A canceled ctx removes what was
// written and returns its error.
func Synth(ctx context.Context, archName, out string, opt SynthOptions) (SynthResult, error) {
	arch, err := synthArch(archName)
	if err != nil {
		return SynthResult{}, err
	}
	op := "synth " + archName
	layers := cmp.Or(opt.Layers, arch.Layers)
	if layers < 1 || layers > maxSynthLayers {
		return SynthResult{}, refuse(op, fmt.Sprintf("%d layers; give 1 to %d", layers, maxSynthLayers))
	}
	tensors := arch.tensors(layers)
	header, err := synthHeader(op, arch, tensors, layers, opt)
	if err != nil {
		return SynthResult{}, err
	}
	r := SynthResult{
		Path:    out,
		Bytes:   int64(len(header)) + arch.WeightBytes(layers),
		Params:  arch.Params(layers),
		Tensors: len(tensors),
	}
	if !opt.Force {
		r.Reused, err = holds(out, header, r.Bytes)
	}
	if err == nil && !r.Reused {
		err = replaceFile(out, func(f *os.File) error {
			w := &synthWriter{ctx: ctx, file: f, total: r.Bytes, progress: opt.Progress}
			return w.all(header, tensors, opt.Seed)
		})
	}
	if err != nil {
		return SynthResult{}, fmt.Errorf("llama: %s: %w", op, err)
	}
	return r, nil
}

// holds reports whether the file at path starts with header and has the given
// size. The header has the shape, the seed and the generator in it, so this is
// the file that would be written. Another file is an error.
func holds(path string, header []byte, size int64) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	start := make([]byte, len(header))
	if info.Size() == size {
		if _, err := io.ReadFull(f, start); err != nil {
			return false, err
		}
	}
	if !bytes.Equal(start, header) {
		return false, fmt.Errorf("%s: %w and holds something else: remove it, or use --force", path, fs.ErrExist)
	}
	return true, nil
}

// replaceFile puts what fill writes at path, whole or not at all.
func replaceFile(path string, fill func(*os.File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// synthWriter draws tensors chunk by chunk into a file.
type synthWriter struct {
	ctx         context.Context
	file        *os.File
	done, total int64
	progress    func(done, total int64)

	table *[1 << 16]uint16 // the normal quantiles times std, in half precision
	std   float64
}

// all writes the header and the tensors, which follow each other without
// padding: in every shape they are multiples of GGUF's alignment, 32 bytes.
func (w *synthWriter) all(header []byte, tensors []tensor, seed int64) error {
	if err := w.write(header); err != nil {
		return err
	}
	chunk := make([]byte, synthChunk)
	for _, t := range tensors {
		s := newStream(seed, t.name)
		if t.f16 {
			w.scale(t.std)
		}
		for from, size := int64(0), t.bytes(); from < size; from += synthChunk {
			buf := chunk[:min(size-from, synthChunk)]
			switch {
			case t.values != nil:
				_, err := binary.Encode(buf, binary.LittleEndian, t.values)
				if err != nil {
					return err
				}
			case t.f16:
				s.f16(buf, from/2, w.table)
			default:
				s.f32(buf, from/4, t.mean, t.std)
			}
			if err := w.write(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *synthWriter) write(p []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if _, err := w.file.Write(p); err != nil {
		return err
	}
	w.done += int64(len(p))
	if w.progress != nil {
		w.progress(w.done, w.total)
	}
	return nil
}

// scale sets the table for a deviation; most neighbors share one.
func (w *synthWriter) scale(std float64) {
	if w.table != nil && w.std == std {
		return
	}
	w.std, w.table = std, new([1 << 16]uint16)
	scaled := make([]float32, len(w.table))
	for i, z := range normalQuantiles() {
		scaled[i] = float32(std * float64(z))
	}
	C.pb_to_f16((*C.float)(&scaled[0]), (*C.uint16_t)(&w.table[0]), C.int64_t(len(scaled)))
}

// synthHeader is all of the file before the tensors' data.
func synthHeader(op string, arch SynthArch, tensors []tensor, layers int, opt SynthOptions) ([]byte, error) {
	vocab := filepath.Join(opt.VocabDir, arch.vocabFile)
	if _, err := os.Stat(vocab); err != nil {
		return nil, refuse(op, err.Error()+": this tokenizer is part of llama.cpp's source, see scripts/fetch-llama.sh")
	}
	cvocab := C.CString(vocab)
	defer C.free(unsafe.Pointer(cvocab))
	cpre := C.CString(arch.pre)
	defer C.free(unsafe.Pointer(cpre))

	var cerr C.pb_error
	g := C.pb_gguf_new(cvocab, cpre, C.int64_t(arch.vocab), &cerr)
	if g == nil {
		return nil, fromC(op+" with "+vocab, &cerr)
	}
	defer C.pb_gguf_free(g)
	for _, m := range arch.metadata(layers, opt.Seed) {
		setMetadata(g, m)
	}
	for _, t := range tensors {
		addTensor(g, t)
	}
	var size C.size_t
	header := C.pb_gguf_header(g, &size, &cerr)
	if header == nil {
		return nil, fromC(op, &cerr)
	}
	return C.GoBytes(header, C.int(size)), nil
}

func setMetadata(g *C.pb_gguf, m metadata) {
	key := C.CString(m.key)
	defer C.free(unsafe.Pointer(key))
	switch v := m.value.(type) {
	case string:
		value := C.CString(v)
		defer C.free(unsafe.Pointer(value))
		C.pb_gguf_set_str(g, key, value)
	case uint32:
		C.pb_gguf_set_u32(g, key, C.uint32_t(v))
	case int64:
		C.pb_gguf_set_i64(g, key, C.int64_t(v))
	case float32:
		C.pb_gguf_set_f32(g, key, C.float(v))
	case bool:
		C.pb_gguf_set_bool(g, key, C.bool(v))
	default:
		panic(fmt.Sprintf("llama: metadata %s of type %T", m.key, v))
	}
}

func addTensor(g *C.pb_gguf, t tensor) {
	name := C.CString(t.name)
	defer C.free(unsafe.Pointer(name))
	C.pb_gguf_add_tensor(g, name, C.int64_t(t.columns), C.int64_t(t.rows), C.bool(t.f16))
}
