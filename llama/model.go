//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
bool pb_go_progress(float done, uintptr_t handle);
*/
import "C"

import (
	"fmt"
	"math"
	"os"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"
)

// Model is a loaded model. It is safe for concurrent use, except for Close.
type Model struct {
	c        *C.pb_model
	info     ModelInfo
	params   ModelParams
	contexts atomic.Int32 // open ones, which read the weights
}

// Load reads a GGUF file. Init must have been called. It fails with
// ErrBadInput when there is no such file or device, with ErrAborted when
// Progress stopped it, and with ErrEngine or ErrAssert when the engine cannot
// make a model of the file. A file mapped by Mmap must not be changed while the
// model is open: reading what was cut off ends the process.
func Load(p ModelParams) (*Model, error) {
	const op = "load"
	if st, err := os.Stat(p.Path); err != nil {
		return nil, refuse(op, err.Error())
	} else if !st.Mode().IsRegular() {
		return nil, refuse(op, p.Path+" is not a file")
	}
	if p.Device != nil && (p.Device.Index < 0 || p.Device.Index >= int(C.pb_device_count())) {
		return nil, refuse(op, fmt.Sprintf("device %d does not exist; see Devices", p.Device.Index))
	}
	path := C.CString(p.Path)
	defer C.free(unsafe.Pointer(path))
	cp := C.pb_model_params{
		path:          path,
		device:        -1,
		gpu_layers:    C.int(min(max(p.GPULayers, -1), math.MaxInt32)),
		mmap:          C.bool(p.Mmap),
		dry_run:       C.bool(p.DryRun),
		check_tensors: C.bool(p.CheckTensors),
	}
	if p.Device != nil {
		cp.device = C.int(p.Device.Index)
	}
	if p.Progress != nil {
		h := cgo.NewHandle(p.Progress)
		defer h.Delete()
		cp.progress = (*[0]byte)(C.pb_go_progress)
		cp.progress_handle = C.uintptr_t(h)
	}
	var cerr C.pb_error
	m := &Model{c: C.pb_model_load(&cp, &cerr), params: p}
	if m.c == nil {
		return nil, fromC(op, &cerr)
	}
	var i C.pb_model_info
	if !C.pb_model_info_get(m.c, &i, &cerr) {
		C.pb_model_free(m.c)
		return nil, fromC(op, &cerr)
	}
	m.info = modelInfo(&i)
	return m, nil
}

func modelInfo(i *C.pb_model_info) ModelInfo {
	return ModelInfo{
		Arch:         C.GoString(&i.arch[0]),
		Name:         C.GoString(&i.name[0]),
		FileType:     C.GoString(&i.file_type[0]),
		Synthetic:    bool(i.synthetic),
		HasVocab:     bool(i.has_vocab),
		Layers:       int(i.layers),
		Embd:         int(i.embd),
		Heads:        int(i.heads),
		KVHeads:      int(i.kv_heads),
		HeadDimK:     int(i.head_dim_k),
		HeadDimV:     int(i.head_dim_v),
		Vocab:        int(i.vocab),
		CtxTrain:     int(i.ctx_train),
		Params:       int64(i.params),
		WeightsBytes: int64(i.weights_bytes),
		ReadBytes:    int64(i.read_bytes),
		BodyParams:   int64(i.body_params),
		HeadParams:   int64(i.head_params),
		CostUnknown:  C.GoString(&i.cost_unknown[0]),
		KVIrregular:  C.GoString(&i.kv_irregular[0]),
	}
}

// Close frees the model. Closing twice does nothing. While a Context made from
// it is open, it fails with ErrBadInput and the model stays.
func (m *Model) Close() error {
	if n := m.contexts.Load(); n > 0 {
		return refuse("close model", fmt.Sprintf("%d of its contexts are still open: close them first", n))
	}
	C.pb_model_free(m.c)
	m.c = nil
	return nil
}

// Info returns what the file says about the model.
func (m *Model) Info() ModelInfo { return m.info }

// Meta returns a scalar metadata value of the file as text, and whether the
// file has that key.
func (m *Model) Meta(key string) (string, bool) {
	if m.c == nil {
		return "", false
	}
	k := C.CString(key)
	defer C.free(unsafe.Pointer(k))
	buf := make([]byte, 256)
	for {
		n := int(C.pb_model_meta(m.c, k, (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf))))
		if n < 0 {
			return "", false
		}
		if n < len(buf) {
			return string(buf[:n]), true
		}
		buf = make([]byte, n+1)
	}
}
