package record

import (
	"errors"
	"time"

	"github.com/phasebench/phasebench/internal/quality"
)

// QualityFile is the name of the file of QualityRecords in a run directory.
const QualityFile = "quality.jsonl"

// QualityRecord is how well a model with one kind of cache predicts a text, on
// one kind of device.
type QualityRecord struct {
	Schema    int       `json:"schema"`
	Timestamp time.Time `json:"timestamp"` // UTC, when it was started
	RunID     string    `json:"run_id"`
	Place

	Model      string `json:"model"`
	Backend    string `json:"backend"` // that it was scored on
	DeviceKind string `json:"device_kind"`
	Device     string `json:"device,omitempty"`
	KVTypeK    string `json:"kv_type_k"`
	KVTypeV    string `json:"kv_type_v"`
	Synthetic  bool   `json:"synthetic"` // of the model or its reference

	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // why it was skipped
	Error  *Error `json:"error,omitempty"`  // how it failed

	Text   string `json:"text"`  // as the matrix names it
	NCtx   int    `json:"n_ctx"` // tokens of a chunk
	Chunks int    `json:"chunks,omitempty"`
	// TokenHash is over the tokens of the text, and Vocabulary over those of the
	// tokenizer: where both, n_ctx and chunks are the same, perplexities can be
	// compared.
	TokenHash  string `json:"token_hash,omitempty"`
	Vocabulary string `json:"vocabulary,omitempty"`

	FileType      string            `json:"file_type,omitempty"` // of the weights, e.g. "Q4_K - Medium"
	EngineVersion string            `json:"engine_version,omitempty"`
	Reference     *QualityReference `json:"reference,omitempty"` // nil when there is none
	Tally         *quality.Tally    `json:"tally,omitempty"`
}

// QualityReference is what a model was held against, on the same device.
type QualityReference struct {
	Model   string `json:"model"`
	KVTypeK string `json:"kv_type_k"`
	KVTypeV string `json:"kv_type_v"`
}

// QualityKey identifies a QualityRecord in its run.
type QualityKey struct{ Pool, Model, DeviceKind, KVTypeK, KVTypeV string }

// Key returns the identity of the record.
func (r *QualityRecord) Key() QualityKey {
	return QualityKey{r.Pool, r.Model, r.DeviceKind, r.KVTypeK, r.KVTypeV}
}

// ReadQuality returns the records of a QualityFile as Read does rows; none when
// there is no such file. Of those with one key the last is kept.
func ReadQuality(path string) (records []QualityRecord, warnings []error, err error) {
	return readLatest(path, func(line []byte, r *QualityRecord) (QualityKey, error) {
		err := decode(line, r, &r.Schema)
		if err == nil && r.Model == "" {
			err = errors.New("quality of no model; left out")
		}
		if err == nil {
			err = wellFormed(r.Status, r.Model, r.Backend, r.Text, r.FileType, r.Reason)
		}
		if err == nil && r.Status == StatusOK {
			if err = errors.New("no tally"); r.Tally != nil {
				err = r.Tally.Check()
			}
			err = wrapf(err, "quality of %s, left out", r.Model)
		}
		return r.Key(), err
	})
}
