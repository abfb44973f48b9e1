//go:build cgo

package llama

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Tokenize turns text into token ids by the model's own tokenizer, with the
// tokens the model wants at the start of a text (such as BOS) in front. It
// fails with ErrBadInput when the model file has no tokenizer, and with
// ErrEngine when the text has a code point past U+10FFFF; other bytes that are
// not UTF-8 become what the tokenizer makes of them.
func (m *Model) Tokenize(text string) ([]int32, error) {
	const op = "tokenize"
	if err := m.tokenizer(op); err != nil {
		return nil, err
	}
	if len(text) > math.MaxInt32 {
		return nil, refuse(op, "text is longer than 2 GiB")
	}
	ctext := C.CString(text)
	defer C.free(unsafe.Pointer(ctext))
	out := make([]int32, len(text)+8)
	for {
		var cerr C.pb_error
		n := C.pb_tokenize(m.c, ctext, C.int(len(text)), (*C.int32_t)(&out[0]), C.int(len(out)), true, &cerr)
		switch {
		case n == math.MinInt32:
			return nil, fromC(op, &cerr)
		case n < 0:
			out = make([]int32, -n)
		default:
			return out[:n], nil
		}
	}
}

// Detokenize turns token ids back into text; special tokens are written out.
func (m *Model) Detokenize(tokens []int32) (string, error) {
	const op = "detokenize"
	if err := m.tokenizer(op); err != nil {
		return "", err
	}
	if err := m.valid(op, tokens); err != nil {
		return "", err
	}
	if len(tokens) == 0 {
		return "", nil
	}
	buf := make([]byte, 8*len(tokens)+16)
	for {
		var cerr C.pb_error
		n := C.pb_detokenize(m.c, (*C.int32_t)(&tokens[0]), C.int(len(tokens)), (*C.char)(unsafe.Pointer(&buf[0])), C.int(len(buf)), &cerr)
		switch {
		case n == math.MinInt32:
			return "", fromC(op, &cerr)
		case n < 0:
			buf = make([]byte, -n)
		default:
			return string(buf[:n]), nil
		}
	}
}

// Vocabulary says what the tokenizer of the model is and does. It fails with
// ErrBadInput when the model file has no tokenizer.
func (m *Model) Vocabulary() (Vocabulary, error) {
	const op = "vocabulary"
	if err := m.tokenizer(op); err != nil {
		return Vocabulary{}, err
	}
	var v C.pb_vocab
	var cerr C.pb_error
	if !C.pb_vocab_get(m.c, &v, &cerr) {
		return Vocabulary{}, fromC(op, &cerr)
	}
	out := Vocabulary{Hash: fmt.Sprintf("%016x", uint64(v.hash)), AddsEOS: bool(v.adds_eos)}
	if bos := int32(v.bos); bos >= 0 {
		out.BOS = &bos
	}
	return out, nil
}

func (m *Model) tokenizer(op string) error {
	if m.c == nil {
		return &Error{Op: op, Kind: ErrClosed, Msg: "the model is closed"}
	}
	if !m.info.HasVocab {
		return refuse(op, "the model file has no tokenizer")
	}
	return nil
}

func (m *Model) valid(op string, tokens []int32) error {
	for i, t := range tokens {
		if t < 0 || int(t) >= m.info.Vocab {
			return refuse(op, fmt.Sprintf("token %d at position %d is outside the vocabulary of %d", t, i, m.info.Vocab))
		}
	}
	return nil
}
