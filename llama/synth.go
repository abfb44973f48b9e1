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
	"slices"
	"strings"
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
// With opt.Type the file is then quantized by the engine's own quantizer, which
// chooses the type of each tensor; it keeps another beside it meanwhile, with the
// weights in F16.
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
	if opt.Type = cmp.Or(opt.Type, "f16"); !slices.Contains(SynthTypes(), opt.Type) {
		return SynthResult{}, refuse(op, fmt.Sprintf("no type of weights is called %q; known are %s", opt.Type, strings.Join(SynthTypes(), ", ")))
	}
	tensors := arch.tensors(layers)
	metadata := arch.metadata(layers, opt.Seed)
	if opt.Type != "f16" {
		metadata = append(metadata, quantizedMetadata(opt.Type)...)
	}
	h, err := newHeader(op, filepath.Join(opt.VocabDir, arch.vocabFile), arch.pre, arch.vocab, metadata, tensors)
	if err != nil {
		return SynthResult{}, err
	}
	defer h.close()
	r := SynthResult{
		Path:    out,
		Bytes:   int64(len(h.bytes)) + arch.WeightBytes(layers),
		Params:  arch.Params(layers),
		Tensors: len(tensors),
	}
	fill := func(f *os.File) error {
		w := &synthWriter{ctx: ctx, file: f, total: r.Bytes, progress: opt.Progress}
		return w.all(h.bytes, tensors, opt.Seed)
	}
	holds := func() (bool, error) { return holds(out, h.bytes, r.Bytes) }
	if opt.Type != "f16" {
		inF16 := fill
		fill = func(f *os.File) error { return quantized(ctx, op, f, opt.Type, inF16) }
		holds = func() (bool, error) { return h.quantizedAt(op, out) }
	}
	if !opt.Force {
		r.Reused, err = holds()
	}
	if err == nil && !r.Reused {
		err = replaceFile(out, fill)
	}
	if err == nil && opt.Type != "f16" {
		err = r.describe(op, opt.Type)
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
		return false, somethingElse(path)
	}
	return true, nil
}

func somethingElse(path string) error {
	return fmt.Errorf("%s: %w and holds something else: remove it, or use --force", path, fs.ErrExist)
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

// header is all of a file before the tensors' data.
type header struct {
	c     *C.pb_gguf
	bytes []byte
}

// newHeader makes the header of a file with the tokenizer of another, which is
// padded to so many tokens, and the pre-tokenizer pre unless that is empty.
func newHeader(op, vocabFile, pre string, vocab int64, list []metadata, tensors []tensor) (*header, error) {
	if _, err := os.Stat(vocabFile); err != nil {
		return nil, refuse(op, err.Error()+": this tokenizer is part of llama.cpp's source, see scripts/fetch-llama.sh")
	}
	cvocab := C.CString(vocabFile)
	defer C.free(unsafe.Pointer(cvocab))
	cpre := C.CString(pre)
	defer C.free(unsafe.Pointer(cpre))

	var cerr C.pb_error
	h := &header{c: C.pb_gguf_new(cvocab, cpre, C.int64_t(vocab), &cerr)}
	if h.c == nil {
		return nil, fromC(op+" with "+vocabFile, &cerr)
	}
	for _, m := range list {
		setMetadata(h.c, m)
	}
	for _, t := range tensors {
		addTensor(h.c, t)
	}
	var size C.size_t
	bytes := C.pb_gguf_header(h.c, &size, &cerr)
	if bytes == nil {
		h.close()
		return nil, fromC(op, &cerr)
	}
	h.bytes = C.GoBytes(bytes, C.int(size))
	return h, nil
}

func (h *header) close() { C.pb_gguf_free(h.c) }

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
	C.pb_gguf_add_tensor(g, name, C.int64_t(t.columns), C.int64_t(t.rows), C.int64_t(t.experts), C.bool(t.f16))
}
