package econ

// Request is one request of a fixed shape.
type Request struct {
	Name         string
	PromptTokens int // >= 0
	GenTokens    int // >= 0
}

// Packs returns the product request shapes of TR123 11.3.
func Packs() []Request {
	return []Request{
		{"chat", 128, 64},
		{"agent", 64, 256},
		{"codegen", 256, 512},
		{"long-context", 1024, 128},
	}
}

func (r Request) check() error {
	return all(atLeast(0, "PromptTokens", int64(r.PromptTokens)), atLeast(0, "GenTokens", int64(r.GenTokens)))
}

// Seconds returns how long one worker is busy with the request:
//
//	PromptTokens/prefill.TokPerS + GenTokens/decode.TokPerS
//
// Source: TR123 6.6.
func (r Request) Seconds(prefill, decode Phase) (float64, error) {
	if err := all(r.check(), prefill.check(), decode.check()); err != nil {
		return 0, err
	}
	return float64(r.PromptTokens)/prefill.TokPerS + float64(r.GenTokens)/decode.TokPerS, nil
}

// Cost returns what one request costs:
//
//	infra  = Seconds/3600 * USDPerHour
//	energy = (PromptTokens*J_prefill + GenTokens*J_decode)/3.6e6 * USDPerKWh
//
// The energy part is nil unless both phases have it. Source: TR123 6.6.
func (r Request) Cost(prefill, decode Phase, at Prices) (Cost, error) {
	if err := r.check(); err != nil {
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
	return mix(float64(r.PromptTokens)/million, p, float64(r.GenTokens)/million, d), nil
}
