package econ

// Blend is a share of input (prefill) and output (decode) tokens in a
// workload. The output share is what Input leaves of 1.
type Blend struct {
	Name  string
	Input float64 // share of tokens that are prompt, in [0,1]
}

// Profiles returns the five workload profiles of TR123 (Blend Cost).
func Profiles() []Blend {
	return []Blend{
		{"rag-heavy", 0.95},
		{"summarization", 0.85},
		{"chat", 0.67},
		{"balanced", 0.50},
		{"codegen", 0.25},
	}
}

// Output returns the share of generated tokens, 1 - Input.
func (b Blend) Output() float64 { return 1 - b.Input }

// Mix returns the blended value of a per-token quantity:
//
//	Input*prefill + Output*decode
//
// with both >= 0; it lies between the two. Source: TR123 2.3.
func (b Blend) Mix(prefill, decode float64) (float64, error) {
	if err := all(fraction("Input", b.Input), nonNegative("prefill", prefill), nonNegative("decode", decode)); err != nil {
		return 0, err
	}
	return b.Input*prefill + b.Output()*decode, nil
}

// CostPerM returns what a million tokens of this blend cost. The energy part
// is nil unless both phases have it. Source: TR123 2.3.
func (b Blend) CostPerM(prefill, decode Phase, at Prices) (Cost, error) {
	if err := fraction("Input", b.Input); err != nil {
		return Cost{}, err
	}
	p, err := prefill.CostPerM(at)
	if err != nil {
		return Cost{}, err
	}
	d, err := decode.CostPerM(at)
	if err != nil {
		return Cost{}, err
	}
	return mix(b.Input, p, b.Output(), d), nil
}

// JPerTok returns joules per token of this blend; ok is false unless both
// phases have energy.
func (b Blend) JPerTok(prefill, decode Phase) (j float64, ok bool, err error) {
	if err := all(prefill.check(), decode.check()); err != nil {
		return 0, false, err
	}
	if prefill.JPerTok == nil || decode.JPerTok == nil {
		return 0, false, nil
	}
	j, err = b.Mix(*prefill.JPerTok, *decode.JPerTok)
	return j, err == nil, err
}
