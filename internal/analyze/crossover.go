package analyze

import "github.com/phasebench/phasebench/econ"

// Crossover is where the cache of one sequence outgrows the weights of its
// model, and where the device's memory ends it.
type Crossover struct {
	Model            *Model // with Info and WeightsBytes
	KVTypeK, KVTypeV string
	BytesPerTok      int64 // of cache
	econ.Crossover

	// DeviceBytes is the memory of Model.Device, and Longest the tokens of the
	// longest context that fits beside weights and work buffers, or that the
	// model has positions for; nil when the memory, or for Longest the work
	// buffers, are not known.
	DeviceBytes, Longest *int64
	LimitedBy            econ.Limit // of Longest
}

// Crossovers returns one for each model and cache type whose formula and
// weights are known, in order of the models.
func (a *Analysis) Crossovers() ([]Crossover, error) {
	var out []Crossover
	err := a.eachCache(func(m *Model, typeK, typeV string, per int64) error {
		if m.WeightsBytes == nil {
			return nil
		}
		x := Crossover{Model: m, KVTypeK: typeK, KVTypeV: typeV, BytesPerTok: per}
		var err error
		if x.Crossover, err = econ.KVCrossover(*m.WeightsBytes, per, m.Info.CtxTrain); err != nil {
			return err
		}
		if total := a.deviceBytes[m.Device]; total > 0 {
			x.DeviceBytes = &total
		}
		x.Longest, x.LimitedBy, err = a.longest(m, m.Device, per, 1)
		out = append(out, x)
		return err
	})
	return out, err
}

// longest returns the tokens of the longest context of each of batch sequences on
// a device, and what ends it; nil when its memory, the weights or the work buffers
// are not known.
func (a *Analysis) longest(m *Model, device string, perToken int64, batch int) (*int64, econ.Limit, error) {
	total := a.deviceBytes[device]
	if total <= 0 || m.Workspace == nil || m.WeightsBytes == nil {
		return nil, "", nil
	}
	tokens, by, err := econ.LongestContext(econ.Budget{TotalBytes: total, WeightsBytes: *m.WeightsBytes, WorkspaceBytes: *m.Workspace}, perToken, batch, m.Info.CtxTrain)
	return &tokens, by, err
}
