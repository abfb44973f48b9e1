package econ

// DecodeBytesPerTok returns the bytes a device reads for one decoded token:
//
//	readBytes/batch + kvPerTok * (promptTokens + (genTokens+1)/2)
//
// A step reads the weights once for all sequences of the batch, and for each
// sequence the keys and values of its positions: step i = 1..genTokens feeds
// one token and attends to promptTokens+i positions, its own among them, which
// is promptTokens + (genTokens+1)/2 on average. readBytes is what a step reads
// of the weights, so without tables that are only looked up, and kvPerTok the
// cache's bytes for one position of one sequence ([KVBytesPerToken]).
// Activations and what is written are left out, as is that a cache padded to
// whole blocks may be read with its padding; both are small against weights.
// readBytes, batch, promptTokens and genTokens >= 1, kvPerTok >= 0. Source:
// Williams et al., Roofline, CACM 52 (2009), with the traffic of a decoder.
func DecodeBytesPerTok(readBytes, kvPerTok int64, batch, promptTokens, genTokens int) (float64, error) {
	if err := all(
		atLeast(1, "readBytes", readBytes), atLeast(0, "kvPerTok", kvPerTok), atLeast(1, "batch", int64(batch)),
		atLeast(1, "promptTokens", int64(promptTokens)), atLeast(1, "genTokens", int64(genTokens)),
	); err != nil {
		return 0, err
	}
	positions := float64(promptTokens) + float64(genTokens+1)/2
	return float64(readBytes)/float64(batch) + float64(kvPerTok)*positions, nil
}

// MBU returns the model bandwidth utilisation of decode, the share of the
// device's memory bandwidth that the bytes a token needs take:
//
//	bytesPerTok * tokPerS / bytesPerS
//
// with all three > 0. The usual ceiling bytesPerS is the rate of a copy, which
// counts bytes read plus bytes written. Decode almost only reads, so where a
// device reads faster than it writes the share can come out over 1; against the
// rate of reading alone it cannot, but by noise.
func MBU(bytesPerTok, tokPerS, bytesPerS float64) (float64, error) {
	if err := all(positive("bytesPerTok", bytesPerTok), positive("TokPerS", tokPerS), positive("bytesPerS", bytesPerS)); err != nil {
		return 0, err
	}
	return bytesPerTok * tokPerS / bytesPerS, nil
}

// DenseShape is what the arithmetic of a dense decoder depends on.
type DenseShape struct {
	BodyParams int64 // weights in the layers that every token is multiplied with, > 0
	HeadParams int64 // weights of the output matrix, > 0
	Layers     int   // > 0
	Heads      int   // query heads, > 0
	HeadDimK   int   // > 0
	HeadDimV   int   // > 0
}

func (s DenseShape) check() error {
	return all(
		atLeast(1, "BodyParams", s.BodyParams), atLeast(1, "HeadParams", s.HeadParams),
		atLeast(1, "Layers", int64(s.Layers)), atLeast(1, "Heads", int64(s.Heads)),
		atLeast(1, "HeadDimK", int64(s.HeadDimK)), atLeast(1, "HeadDimV", int64(s.HeadDimV)),
	)
}

// PrefillFLOPs returns the floating-point operations that evaluating a prompt
// of T tokens of one sequence needs, a multiplication and an addition counted
// as two:
//
//	2*BodyParams*T + 2*HeadParams + 2*Layers*Heads*(HeadDimK+HeadDimV) * T*(T+1)/2
//
// Every token passes the layers, the last one alone has logits, and token t
// attends to t positions, each a product with a key and one with a value: for
// equal head sizes 4*Layers*Heads*HeadDim a pair. Norms, softmax and the like
// are left out, and attention is causal over all positions, without a window.
// T >= 1. Source: Kaplan et al., Scaling Laws (2020), 2.1, with the causal half
// of attention.
func PrefillFLOPs(s DenseShape, tokens int) (float64, error) {
	if err := all(s.check(), atLeast(1, "tokens", int64(tokens))); err != nil {
		return 0, err
	}
	t := float64(tokens)
	pairs := t * (t + 1) / 2
	attention := 2 * float64(s.Layers) * float64(s.Heads) * float64(s.HeadDimK+s.HeadDimV) * pairs
	return 2*float64(s.BodyParams)*t + 2*float64(s.HeadParams) + attention, nil
}

// DecodeFLOPsPerTok returns the floating-point operations of one decoded token,
// on average over genTokens steps after a prompt of promptTokens:
//
//	2*(BodyParams + HeadParams) + 2*Layers*Heads*(HeadDimK+HeadDimV) * (promptTokens + (genTokens+1)/2)
//
// Every token passes the layers and the output matrix; step i attends to
// promptTokens+i positions, its own among them. It does not depend on the batch,
// which is why a device is used better by more sequences: bytes per token fall,
// operations do not. promptTokens and genTokens >= 1. Source: as [PrefillFLOPs].
func DecodeFLOPsPerTok(s DenseShape, promptTokens, genTokens int) (float64, error) {
	if err := all(s.check(), atLeast(1, "promptTokens", int64(promptTokens)), atLeast(1, "genTokens", int64(genTokens))); err != nil {
		return 0, err
	}
	positions := float64(promptTokens) + float64(genTokens+1)/2
	attention := 2 * float64(s.Layers) * float64(s.Heads) * float64(s.HeadDimK+s.HeadDimV) * positions
	return 2*float64(s.BodyParams+s.HeadParams) + attention, nil
}

// MFU returns the model FLOP utilisation, the share of the device's arithmetic
// rate that the operations a phase needs take:
//
//	flops / seconds / flopsPerS
//
// with all three > 0. Source: Chowdhery et al., PaLM (2022), 4.1.
func MFU(flops, seconds, flopsPerS float64) (float64, error) {
	if err := all(positive("flops", flops), positive("seconds", seconds), positive("flopsPerS", flopsPerS)); err != nil {
		return 0, err
	}
	return flops / seconds / flopsPerS, nil
}
