package llama

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
)

// indexes is a table under which f16 writes the quantile numbers themselves.
var indexes = func() *[1 << 16]uint16 {
	var t [1 << 16]uint16
	for i := range t {
		t[i] = uint16(i)
	}
	return &t
}()

// splitmix64 seeded with 0 starts with these outputs (the reference
// implementation by Vigna, https://prng.di.unimi.it/splitmix64.c).
func TestStreamIsSplitmix64(t *testing.T) {
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		if got := stream(0).word(int64(i)); got != want {
			t.Errorf("word %d is %#x, want %#x", i, got, want)
		}
	}
}

func TestStreamInPortions(t *testing.T) {
	s := newStream(42, "blk.0.attn_q.weight")
	whole := make([]byte, 2*1001)
	s.f16(whole, 0, indexes)
	parts := make([]byte, len(whole))
	for from := 0; from < 1001; from += 77 { // 77 is odd: words are cut apart
		s.f16(parts[2*from:min(2*(from+77), len(parts))], int64(from), indexes)
	}
	if !bytes.Equal(whole, parts) {
		t.Error("filling in portions gives other numbers")
	}
}

func TestStreamsDiffer(t *testing.T) {
	draw := func(seed int64, name string) string {
		buf := make([]byte, 64)
		newStream(seed, name).f16(buf, 0, indexes)
		return string(buf)
	}
	a := draw(42, "a")
	if a != draw(42, "a") {
		t.Error("the same stream gave other numbers the second time")
	}
	if a == draw(43, "a") || a == draw(42, "b") || a == draw(-42, "a") {
		t.Error("two streams are equal")
	}
}

// With a million draws the mean is within 5/sqrt(n), the deviation within
// 5/sqrt(2n) and the correlation of neighbors and of rows within 5/sqrt(n)
// unless something is wrong (five standard errors each).
func TestStreamIsNormal(t *testing.T) {
	const n, row = 1 << 20, 128
	const mean, std = 1.5, 0.25
	buf := make([]byte, 4*n)
	newStream(1, "x").f32(buf, 0, mean, std)
	z := make([]float64, n)
	var sum, squares, next, below float64
	for i := range z {
		x := math.Float32frombits(binary.LittleEndian.Uint32(buf[4*i:]))
		z[i] = (float64(x) - mean) / std
		sum += z[i]
		squares += z[i] * z[i]
		if i >= row {
			next += z[i] * z[i-1]
			below += z[i] * z[i-row]
		}
	}
	check := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s is %g, want %g within %g", what, got, want, tolerance)
		}
	}
	check("mean", sum/n, 0, 5/math.Sqrt(n))
	check("deviation", math.Sqrt(squares/n), 1, 5/math.Sqrt(2*n))
	check("correlation of neighbors", next/n, 0, 5/math.Sqrt(n))
	check("correlation of rows", below/n, 0, 5/math.Sqrt(n))
}

func BenchmarkStreamF16(b *testing.B) {
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		newStream(1, "x").f16(buf, 0, indexes)
	}
}
