/* Headers of GGUF files with random weights; included by shim.h.
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

/* Appends an F16 or F32 tensor; rows is 0 for a vector. */
void pb_gguf_add_tensor(pb_gguf *gguf, const char *name, int64_t columns, int64_t rows, bool f16);

/* The header's bytes, which live until the next call or pb_gguf_free. */
const void *pb_gguf_header(pb_gguf *gguf, size_t *size, pb_error *err);

/* Rounds n values to half precision. */
void pb_to_f16(const float *from, uint16_t *to, int64_t n);
