package record

import "errors"

// KVFile is the name of the file of KVRecords in a run directory.
const KVFile = "kv_measurements.jsonl"

// KVRecord is what the cache of one model held at one length.
type KVRecord struct {
	Schema    int    `json:"schema"`
	Model     string `json:"model"`
	Backend   string `json:"backend"` // that it was inspected on
	Synthetic bool   `json:"synthetic"`
	Device    string `json:"device,omitempty"`
	Place
	KVTypeK string `json:"kv_type_k"`
	KVTypeV string `json:"kv_type_v"`

	Asked            int   `json:"asked"`          // tokens
	Tokens           int   `json:"tokens"`         // less than Asked when the model has fewer positions
	PrefillTokens    int   `json:"prefill_tokens"` // of Tokens, by prefill; the others by decode
	PrefillUsedBytes int64 `json:"prefill_used_bytes"`
	UsedBytes        int64 `json:"used_bytes"`         // payload at Tokens
	ClearedUsedBytes int64 `json:"cleared_used_bytes"` // payload after clearing
	AllocBytes       int64 `json:"alloc_bytes"`        // reserved for K and V
	NCtx             int   `json:"n_ctx"`              // positions reserved

	// Memory in use with the cache filled, and after its context was freed: of
	// the whole GPU, all processes; and of the worker on the host.
	GPUUsedBytes      *int64 `json:"gpu_used_bytes,omitempty"`
	GPUUsedAfterBytes *int64 `json:"gpu_used_after_bytes,omitempty"`
	HostRSSBytes      *int64 `json:"host_rss_bytes,omitempty"`
	HostRSSAfterBytes *int64 `json:"host_rss_after_bytes,omitempty"`

	WeightsBytes int64      `json:"weights_bytes"`
	ModelInfo    *ModelInfo `json:"model_info,omitempty"`
}

// ReadKV returns the points of a KVFile as Read does rows; none when there is
// no such file. Of points measured twice the last is kept.
func ReadKV(path string) (points []KVRecord, warnings []error, err error) {
	type key struct {
		pool, model, k, v string
		asked             int
	}
	return readLatest(path, func(line []byte, r *KVRecord) (key, error) {
		err := decode(line, r, &r.Schema)
		if err == nil && (r.Model == "" || r.Tokens < 1) {
			err = errors.New("KV point without model or tokens; left out")
		}
		return key{r.Pool, r.Model, r.KVTypeK, r.KVTypeV, r.Asked}, err
	})
}
