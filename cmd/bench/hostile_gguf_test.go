package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/phasebench/phasebench/internal/promise"
	"github.com/phasebench/phasebench/internal/record"
)

// gguf is a file in the making: the format is that of ggml/docs/gguf.md, all
// numbers little-endian.
type gguf struct{ bytes.Buffer }

func (g *gguf) u32(v uint32) *gguf { binary.Write(g, binary.LittleEndian, v); return g }
func (g *gguf) u64(v uint64) *gguf { binary.Write(g, binary.LittleEndian, v); return g }

func (g *gguf) text(s string) *gguf {
	g.u64(uint64(len(s)))
	g.WriteString(s)
	return g
}

// Types of metadata values and of tensors.
const (
	ggufU32, ggufString, ggufArray = 4, 8, 9
	ggufF16                        = 1
)

// head begins a file that says how many tensors and metadata values follow.
func head(version uint32, tensors, values uint64) *gguf {
	g := &gguf{}
	g.WriteString("GGUF")
	return g.u32(version).u64(tensors).u64(values)
}

// architecture is the metadata value that every file begins with.
func (g *gguf) architecture(name string) *gguf {
	return g.text("general.architecture").u32(ggufString).text(name)
}

// tensor describes a tensor that begins at offset bytes of the data.
func (g *gguf) tensor(name string, kind uint32, offset uint64, dims ...uint64) *gguf {
	g.text(name).u32(uint32(len(dims)))
	for _, d := range dims {
		g.u64(d)
	}
	return g.u32(kind).u64(offset)
}

// data ends the header and adds n bytes of weights.
func (g *gguf) data(n int) []byte {
	g.Write(make([]byte, -g.Len()&31))
	g.Write(make([]byte, n))
	return g.Bytes()
}

// invented returns files that were never models, by what is wrong with them.
func invented() map[string][]byte {
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(8, 8))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	one := func() *gguf { return head(3, 0, 1) }
	weights := func() *gguf { return head(3, 1, 1).architecture("llama") }
	const most = 1<<64 - 1
	nested := one().text("a").u32(ggufArray)
	for range 10_000 {
		nested.u32(ggufArray).u64(1)
	}
	return map[string][]byte{
		"empty":                     {},
		"random-bytes":              noise,
		"random-after-the-head":     append(head(3, 5, 5).Bytes(), noise...),
		"other-magic":               append([]byte("GGML"), head(3, 0, 0).Bytes()[4:]...),
		"other-byte-order":          append([]byte("GGUF\x00\x00\x00\x03"), make([]byte, 64)...),
		"version-0":                 head(0, 0, 0).data(64),
		"version-1":                 head(1, 0, 0).data(64),
		"version-most":              head(1<<32-1, 0, 0).data(64),
		"tensors-most":              head(3, most, 1).architecture("llama").data(64),
		"tensors-many":              head(3, 1<<40, 1).architecture("llama").data(64),
		"values-most":               head(3, 0, most).architecture("llama").data(64),
		"values-many":               head(3, 0, 1<<40).architecture("llama").data(64),
		"no-values":                 head(3, 0, 0).data(64),
		"architecture-unknown":      one().architecture("frobnicator").data(64),
		"architecture-is-number":    one().text("general.architecture").u32(ggufU32).u32(7).data(64),
		"architecture-alone":        one().architecture("llama").data(64),
		"value-of-unknown-type":     one().text("a").u32(99).data(64),
		"key-twice":                 head(3, 0, 2).architecture("llama").architecture("gpt2").data(64),
		"key-without-end":           one().u64(most).data(64),
		"key-past-the-end":          one().u64(1 << 30).data(64),
		"text-without-end":          one().text("a").u32(ggufString).u64(most).data(64),
		"text-past-the-end":         one().text("a").u32(ggufString).u64(1 << 33).data(64),
		"texts-over-each-other":     one().text("a").u32(ggufArray).u32(ggufString).u64(1 << 40).u64(0).data(1 << 10),
		"list-without-end":          one().text("a").u32(ggufArray).u32(ggufU32).u64(most).data(64),
		"list-past-the-end":         one().text("a").u32(ggufArray).u32(ggufU32).u64(1 << 33).data(64),
		"lists-in-lists":            nested.data(64),
		"alignment-0":               head(3, 0, 2).architecture("llama").text("general.alignment").u32(ggufU32).u32(0).data(64),
		"alignment-odd":             head(3, 0, 2).architecture("llama").text("general.alignment").u32(ggufU32).u32(33).data(64),
		"tensor-of-five-dims":       weights().tensor("w", ggufF16, 0, 1, 1, 1, 1, 1).data(64),
		"tensor-of-many-dims":       weights().text("w").u32(1<<32 - 1).data(64),
		"dims-overflow":             weights().tensor("w", ggufF16, 0, 1<<32, 1<<32).data(64),
		"dims-most":                 weights().tensor("w", ggufF16, 0, most).data(64),
		"dims-0":                    weights().tensor("w", ggufF16, 0, 0, 4).data(64),
		"dims-past-the-end":         weights().tensor("w", ggufF16, 0, 1<<40).data(64),
		"offset-past-the-end":       weights().tensor("w", ggufF16, 1<<40, 32).data(64),
		"offset-most":               weights().tensor("w", ggufF16, most&^31, 32).data(64),
		"offset-unaligned":          weights().tensor("w", ggufF16, 1, 32).data(128),
		"tensor-of-unknown-type":    weights().tensor("w", 4096, 0, 32).data(64),
		"tensor-twice":              head(3, 2, 1).architecture("llama").tensor("w", ggufF16, 0, 32).tensor("w", ggufF16, 64, 32).data(128),
		"tensor-without-name":       weights().tensor("", ggufF16, 0, 32).data(64),
		"tensor-of-a-long-name":     weights().tensor(strings.Repeat("w", 1<<16), ggufF16, 0, 32).data(64),
		"tensors-over-each-other":   head(3, 2, 1).architecture("llama").tensor("v", ggufF16, 0, 32).tensor("w", ggufF16, 0, 32).data(128),
		"shape-without-its-tensors": shapeOnly(),
		"layers-most":               shapeOnly("llama.block_count", "4294967295"),
		"heads-0":                   shapeOnly("llama.attention.head_count", "0"),
		"embedding-most":            shapeOnly("llama.embedding_length", "4294967295"),
	}
}

// shapeOnly returns a model of a shape without any weights; name and value
// replace one of its numbers.
func shapeOnly(replaced ...string) []byte {
	names := []string{"llama.context_length", "llama.embedding_length", "llama.block_count", "llama.feed_forward_length", "llama.attention.head_count", "llama.rope.dimension_count"}
	numbers := []uint32{64, 64, 1, 64, 1, 64}
	g := head(3, 0, uint64(1+len(names))).architecture("llama")
	for i, name := range names {
		if len(replaced) > 0 && replaced[0] == name {
			fmt.Sscan(replaced[1], &numbers[i])
		}
		g.text(name).u32(ggufU32).u32(numbers[i])
	}
	return g.data(64)
}

// sections returns where each part of a GGUF file begins, in bytes: magic,
// version, both counts, every metadata value and tensor, and the weights.
func sections(t *testing.T, file []byte) []int {
	t.Helper()
	at := 4
	starts := []int{0, 4, 8, 16, 24}
	u32 := func() uint32 { at += 4; return binary.LittleEndian.Uint32(file[at-4:]) }
	u64 := func() int { at += 8; return int(binary.LittleEndian.Uint64(file[at-8:])) }
	text := func() { n := u64(); at += n }
	u32()
	tensors, values := u64(), u64()
	sizes := map[uint32]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
	var value func(kind uint32)
	value = func(kind uint32) {
		switch kind {
		case ggufString:
			text()
		case ggufArray:
			of := u32()
			for range u64() {
				value(of)
			}
		default:
			at += sizes[kind]
		}
	}
	for range values {
		text()
		value(u32())
		starts = append(starts, at)
	}
	for range tensors {
		text()
		at += 8 * int(u32()) // dimensions
		at += 4 + 8          // type and offset
		starts = append(starts, at)
	}
	starts = append(starts, (at+31)&^31)
	if tensors == 0 || at > len(file) {
		t.Fatalf("not read as a GGUF file: %d tensors, header up to %d of %d bytes", tensors, at, len(file))
	}
	return starts
}

// damaged returns files that a model was turned into, by what was done.
func damaged(t *testing.T) map[string][]byte {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(home, "models", "synthetic", "tiny-gpt2-seed42-f16.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	starts := sections(t, whole)
	data := starts[len(starts)-1]
	out := map[string][]byte{"cut-in-the-weights": whole[:(data+len(whole))/2], "cut-by-a-byte": whole[:len(whole)-1]}
	step := 1
	if !promise.InFull() {
		step = 7
	}
	for i := 0; i < len(starts); i += step {
		out[fmt.Sprintf("cut-at-%d", starts[i])] = whole[:starts[i]]
		if i+1 < len(starts) {
			middle := (starts[i] + starts[i+1]) / 2
			out[fmt.Sprintf("cut-at-%d", middle)] = whole[:middle]
		}
	}
	nan := bytes.Clone(whole)
	for i := data; i < len(nan); i++ {
		nan[i] = 0x7f // 0x7f7f is NaN in half precision
	}
	out["weights-are-NaN"] = nan
	rng := rand.New(rand.NewPCG(8, 9))
	flips := 3
	if promise.InFull() {
		flips = 100
	}
	for i := range flips {
		flipped := bytes.Clone(whole)
		for range 20 {
			flipped[rng.IntN(data)] ^= 1 << rng.IntN(8)
		}
		out[fmt.Sprintf("flipped-%d", i)] = flipped
	}
	return out
}

// Whatever a model file holds, the run goes on to the next one. A file with
// flipped bits may still be a model.
func TestFaultModelFiles(t *testing.T) {
	uninterrupted(t) // which makes the models
	files := invented()
	for name, content := range damaged(t) {
		files[name] = content
	}
	promise.Of(t, "a model file is hostile or damaged", "GGUF files with absurd counts, lengths, dimensions, offsets, types and nesting, of unknown architecture, cut at and between all sections, with flipped bits, with weights that are NaN, a split one that lacks a part",
		"an error row for each says what is wrong with it; no hang, and the run goes on to a good model after them and ends with code 1")
	dir := workspace(t)
	const split = "split-00001-of-00002"
	g := head(3, 0, 4).architecture("gpt2")
	binary.Write(g.text("split.no").u32(2), binary.LittleEndian, uint16(0))
	binary.Write(g.text("split.count").u32(2), binary.LittleEndian, uint16(2))
	g.text("split.tensors.count").u32(5).u32(1)
	files[split] = g.data(64)

	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var models strings.Builder
	for _, name := range names {
		write(t, filepath.Join(dir, name+".gguf"), files[name])
		fmt.Fprintf(&models, "  - {name: %s, path: %s.gguf}\n", name, name)
	}
	write(t, filepath.Join(dir, "hostile.yaml"), []byte(`
name: hostile
repetitions: 1
models:
`+models.String()+`  - {name: good, synth: tiny-gpt2}
backends: [{name: cpu, device: cpu, threads: 1, warmup: 0}]
scenarios: [{name: s, prompt_tokens: 8, gen_tokens: 4}]
energy: {windows: 0, idle_s: 0, roofline: false}
`))
	promise.Tries(t, len(names))
	bench(t, dir, []string{"-matrix", "hostile.yaml", "-o", "out", "--no-kv", "-q"}, 1, "bench --resume out")
	noOrphans(t, dir)
	last := map[string]record.Record{}
	all, _ := record.Latest(rows(t, filepath.Join(dir, "out")))
	for _, r := range all {
		last[r.Model] = r
	}
	if good := last["good"]; good.Status != record.StatusOK {
		t.Errorf("the good model after them: %+v", good.Error)
	}
	// What only a crash or a limit of time would leave.
	crash := regexp.MustCompile(`0x[0-9a-f]{6}|core dumped`)
	for _, name := range names {
		r, ok := last[name]
		switch e := r.Error; {
		case strings.HasPrefix(name, "flipped-") && r.Status == record.StatusOK:
		case !ok || r.Status != record.StatusError || e == nil || e.Message == "":
			t.Errorf("%s: no error row: %+v", name, r)
		case e.Kind == "timeout" || crash.MatchString(e.Message):
			t.Errorf("%s: not told: %+v", name, e)
		default:
			t.Logf("%s: %s: %s", name, e.Kind, e.Message)
		}
	}
}
