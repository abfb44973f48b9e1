/* Headers of GGUF files with random weights, and the engine's quantizer;
 * included by shim.h.
 *
 * The caller writes the header and then the data of the tensors in the same
 * order, each padded to a multiple of 32 bytes. The setters keep the first
 * failure for pb_gguf_header to report. Works without pb_init.
 */
typedef struct pb_gguf pb_gguf;

/* A header with the tokenizer of the vocabulary file at vocab_path, padded with
 * unused tokens to n_vocab; pre names another pre-tokenizer unless it is empty. */
pb_gguf *pb_gguf_new(const char *vocab_path, const char *pre, int64_t n_vocab, pb_error *err);
void pb_gguf_free(pb_gguf *gguf);

void pb_gguf_set_str(pb_gguf *gguf, const char *key, const char *value);
void pb_gguf_set_u32(pb_gguf *gguf, const char *key, uint32_t value);
void pb_gguf_set_i64(pb_gguf *gguf, const char *key, int64_t value);
void pb_gguf_set_f32(pb_gguf *gguf, const char *key, float value);
void pb_gguf_set_bool(pb_gguf *gguf, const char *key, bool value);

/* Appends an F16 or F32 tensor: of so many matrices where experts is not 0, and a
   vector where rows is 0. */
void pb_gguf_add_tensor(pb_gguf *gguf, const char *name, int64_t columns, int64_t rows, int64_t experts, bool f16);

/* The header's bytes, which live until the next call or pb_gguf_free. */
const void *pb_gguf_header(pb_gguf *gguf, size_t *size, pb_error *err);

/* Rounds n values to half precision. */
void pb_to_f16(const float *from, uint16_t *to, int64_t n);

/* Whether the file at path has the keys and values of gguf and all of its data;
 * those that the quantizer writes by itself do not count. */
bool pb_gguf_same(const pb_gguf *gguf, const char *path, bool *same, pb_error *err);

typedef struct {
    char name[64];
    char type[32];
    int64_t columns; /* elements of a row */
    int64_t bytes;
} pb_gguf_tensor;

/* Fills at most cap entries with the tensors of the file at path; returns how
 * many there are, or -1. */
int pb_gguf_tensors(const char *path, pb_gguf_tensor *out, int cap, pb_error *err);

/* Writes the model at from with quantized weights to the file to. The type is a
 * name of the engine's quantize tool, in lower case. */
bool pb_quantize(const char *from, const char *to, const char *type, int threads, pb_error *err);
