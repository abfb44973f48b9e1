package llama

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"sync"
)

// synthGenerator names the way weights are drawn. It is part of a file's
// header: change it when the same seed would give other weights.
const synthGenerator = 1

// stream is the random numbers of one tensor. Element i depends on the seed,
// the tensor's name and i alone, so it does not matter in which order or in
// what portions a tensor is filled.
//
// Each element is one of 65,536 equally likely quantiles of the normal
// distribution, chosen by 16 bits of the i/4-th output of splitmix64 (Steele,
// Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
type stream uint64

func newStream(seed int64, tensor string) stream {
	h := fnv.New64a()
	h.Write([]byte(tensor))
	return stream(mix64(h.Sum64() ^ mix64(uint64(seed))))
}

func (s stream) word(i int64) uint64 {
	const golden = 0x9e3779b97f4a7c15
	return mix64(uint64(s) + uint64(i+1)*golden)
}

func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// f16 fills buf with half-precision elements from number first on; table holds
// the bits for each quantile.
func (s stream) f16(buf []byte, first int64, table *[1 << 16]uint16) {
	var w uint64
	for i := range int64(len(buf) / 2) {
		at := first + i
		if i == 0 || at%4 == 0 {
			w = s.word(at / 4)
		}
		binary.LittleEndian.PutUint16(buf[2*i:], table[uint16(w>>(at%4*16))])
	}
}

// f32 fills buf with single-precision elements from number first on.
func (s stream) f32(buf []byte, first int64, mean, std float64) {
	z := normalQuantiles()
	for i := range int64(len(buf) / 4) {
		at := first + i
		x := mean + std*float64(z[uint16(s.word(at/4)>>(at%4*16))])
		binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(float32(x)))
	}
}

// normalQuantiles holds the standard normal quantile of (k+1/2)/65536 for each
// k, in [-4.4, 4.4]; their mean is 0 and their deviation 1 to four digits.
var normalQuantiles = sync.OnceValue(func() *[1 << 16]float32 {
	var z [1 << 16]float32
	for k := range z {
		z[k] = float32(math.Sqrt2 * math.Erfinv((2*float64(k)+1)/float64(len(z))-1))
	}
	return &z
})
