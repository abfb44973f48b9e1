/* The C face of the shim: the only thing Go sees of llama.cpp.
 *
 * Every function that can fail takes a pb_error and returns false (or NULL)
 * when it did; the message then ends with the engine's own last lines. No C++
 * exception and no engine assertion leaves the shim as anything else, as long
 * as it is raised on the calling thread; on one of the engine's threads it ends
 * the process, with its text on stderr. After PB_ASSERT the context that was in
 * use can only be freed, and when it was evaluating, the engine's threads may
 * be left behind in that call: the process should end.
 */
#ifndef PHASEBENCH_SHIM_H
#define PHASEBENCH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    PB_OK = 0,
    PB_BAD_INPUT, /* refused by the engine or by the shim: nothing was changed */
    PB_KV_FULL,   /* no room left in the KV cache */
    PB_ABORTED,   /* stopped by the caller */
    PB_MEMORY,    /* an allocation failed */
    PB_ENGINE,    /* any other failure the engine reported */
    PB_ASSERT     /* an assertion inside the engine */
} pb_code;

typedef struct {
    pb_code code;
    char message[2048];
} pb_error;

/* ---- backends and devices (backend.cpp) ---- */

typedef enum { PB_CPU, PB_GPU, PB_INTEGRATED_GPU, PB_ACCELERATOR } pb_device_kind; /* enum ggml_backend_dev_type */

typedef struct {
    char name[64];
    char description[128];
    char backend[64];
    char pci_bus_id[64];
    pb_device_kind kind;
    int64_t free_bytes;
    int64_t total_bytes;
} pb_device;

/* Loads every backend module that lies beside this library. Call once. */
bool pb_init(pb_error *err);
int pb_device_count(void);
bool pb_device_get(int index, pb_device *out, pb_error *err);
const char *pb_version(void);
const char *pb_system_info(void);

/* ---- models (model.cpp) ---- */

typedef struct pb_model pb_model;

typedef struct {
    const char *path;
    int device;     /* index of the device to offload to, -1 for the CPU alone */
    int gpu_layers; /* -1 for all */
    bool mmap;
    bool dry_run;       /* no weights: sizes and metadata only */
    bool check_tensors; /* read every weight and refuse NaN and infinities */
    bool (*progress)(float done, uintptr_t handle); /* NULL for none; false stops loading: PB_ABORTED */
    uintptr_t progress_handle;
} pb_model_params;

typedef struct {
    char arch[64];
    char name[256];
    char file_type[64];
    int layers, embd, heads, kv_heads, head_dim_k, head_dim_v, vocab, ctx_train;
    bool has_vocab; /* the file has a tokenizer */
    bool synthetic; /* the file says its weights are random */
    int64_t params;
    int64_t weights_bytes;
    int64_t read_bytes, body_params, head_params; /* per token; 0 when the tensors do not tell */
    char cost_unknown[64]; /* why those do not tell; empty when they do */
    char kv_irregular[64]; /* why its cache is not layers x positions x kv_heads x head_dim; empty when it is */
} pb_model_info;

pb_model *pb_model_load(const pb_model_params *params, pb_error *err);
void pb_model_free(pb_model *model);
bool pb_model_info_get(const pb_model *model, pb_model_info *out, pb_error *err);
/* Length of the value, or -1 when the key is missing. */
int pb_model_meta(const pb_model *model, const char *key, char *buf, size_t size);
/* Number of tokens, or minus the number there would be when cap is too small. */
int pb_tokenize(const pb_model *model, const char *text, int len, int32_t *out, int cap, bool special, pb_error *err);
int pb_detokenize(const pb_model *model, const int32_t *tokens, int n, char *out, int cap, pb_error *err);

typedef struct {
    uint64_t hash; /* of the kind of tokenizer and every token: equal for models whose tokens mean the same */
    int32_t bos;   /* put in front of a text; -1 for none */
    bool adds_eos; /* a token is put after a text */
} pb_vocab;

bool pb_vocab_get(const pb_model *model, pb_vocab *out, pb_error *err);

/* ---- contexts (context.cpp, score.cpp, batch.cpp, sampler.cpp) ---- */

typedef struct pb_context pb_context;

enum { PB_MAX_SEQ = 256 }; /* the engine's LLAMA_MAX_SEQ */

typedef struct {
    int n_ctx;           /* positions of each sequence */
    int n_seq;           /* sequences, 1 to PB_MAX_SEQ */
    bool unified;        /* all sequences share one buffer of cells instead of having one each */
    int n_batch, n_ubatch, threads;
    int flash_attn;      /* enum llama_flash_attn_type: -1 auto, 0 off, 1 on */
    const char *type_k;  /* ggml type names */
    const char *type_v;
    bool graph_argmax;   /* the greedy token is chosen on the device; logits stay there */
    bool split_argmax;   /* in two passes, if in the graph */
    int n_outputs;       /* most tokens of one pb_score that have logits; 0 without pb_score */
} pb_context_params;

pb_context *pb_context_new(pb_model *model, const pb_context_params *params, pb_error *err);
void pb_context_free(pb_context *ctx);
int pb_context_n_ctx(const pb_context *ctx);
int pb_context_n_batch(const pb_context *ctx);
int pb_context_n_ubatch(const pb_context *ctx);

/* Evaluates tokens after what the cache holds and returns, once the device is
 * idle, the greedy choice for the token that follows them. */
bool pb_decode(pb_context *ctx, const int32_t *tokens, int n, int32_t *next, pb_error *err);
/* The logits after the last token of the last pb_decode. */
const float *pb_logits(pb_context *ctx, pb_error *err);

/* Evaluates at most n_batch tokens after what the cache holds, in one call of the
 * engine, and sets logits to those after each of the last outputs of them, a row
 * of the vocabulary's size for each. */
bool pb_score(pb_context *ctx, const int32_t *tokens, int n, int outputs, const float **logits, pb_error *err);

/* pb_decode for all sequences of the context at once: n tokens of each at the
 * positions from pos on. Tokens and next are by position, then by sequence. */
bool pb_decode_batch(pb_context *ctx, const int32_t *tokens, int n, int pos, int32_t *next, pb_error *err);
/* The logits of a sequence after the last pb_decode_batch. */
const float *pb_batch_logits(pb_context *ctx, int seq, pb_error *err);

/* ---- device-side times (events.cpp) ---- */

/* Times the next calls of pb_decode, at most this many, by events on the GPU's
 * compute stream: the first call and the end of the last, and with every set
 * each of them. False when there is no such stream. */
bool pb_timing_start(pb_context *ctx, int calls, bool every);
/* Call 0 is the first after the start. From the first kernel of a call to the
 * end of its work, or -1. */
double pb_timing_busy_ms(const pb_context *ctx, int call);
/* From the submission of call from, 0 or 1, to the end of call to's work, or -1. */
double pb_timing_span_ms(const pb_context *ctx, int from, int to);

/* ---- KV cache (kv.cpp) ---- */

bool pb_kv_clear(pb_context *ctx, pb_error *err);
/* Forgets positions >= from_pos of all sequences; PB_BAD_INPUT when this kind of cache cannot. */
bool pb_kv_remove(pb_context *ctx, int from_pos, pb_error *err);

typedef struct {
    char name[64]; /* the engine's name of the tensor, e.g. cache_k_l0 */
    char type[32];
    int64_t row_bytes; /* one cell of this tensor */
    int64_t used_bytes;
} pb_kv_tensor;

/* Fills at most cap entries; returns how many there are, or -1. Payload only:
 * what the engine would write to save each sequence in turn, less its framing. */
int pb_kv_used(pb_context *ctx, pb_kv_tensor *out, int cap, pb_error *err);

typedef struct {
    char name[64];
    int device; /* index of the device, -1 for host memory */
    int64_t weights, kv, compute;
} pb_memory;

/* Fills at most cap entries; returns how many there are, or -1. */
int pb_memory_get(pb_context *ctx, pb_memory *out, int cap, pb_error *err);

/* ---- what a device can do at most (roofline.cpp) ---- */

typedef struct pb_probe pb_probe;

/* A run copies a buffer of so many bytes to another and back, copies times in
 * all. Threads count on the CPU only, here and below. */
pb_probe *pb_probe_copy(int device, int threads, int64_t bytes, int copies, pb_error *err);
/* A run multiplies rows x inner F16 weights with columns of inner F32 activations. */
pb_probe *pb_probe_matmul(int device, int threads, int64_t inner, int64_t rows, int64_t columns, pb_error *err);
/* Returns when the device is idle. */
bool pb_probe_run(pb_probe *probe, pb_error *err);
void pb_probe_free(pb_probe *probe);

/* ---- synthetic models (synth.cpp) ---- */
#include "synth.h"

#ifdef __cplusplus
}
#endif
#endif
