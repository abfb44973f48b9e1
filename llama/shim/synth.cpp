// Headers of GGUF files with random weights, written by the engine's own code.

#include "guard.h"

#include "ggml.h"
#include "gguf.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

namespace {

constexpr int32_t token_unused = 5; // LLAMA_TOKEN_TYPE_UNUSED

struct gguf_deleter {
    void operator()(gguf_context *g) const { gguf_free(g); }
};

struct ggml_deleter {
    void operator()(ggml_context *c) const { ggml_free(c); }
};

using gguf_ptr = std::unique_ptr<gguf_context, gguf_deleter>;

} // namespace

struct pb_gguf {
    gguf_ptr meta;
    std::unique_ptr<ggml_context, ggml_deleter> scratch; // room for one tensor without data
    std::vector<char> header;
    pb_error first = {};
};

namespace {

gguf_ptr read_header(const char *path) {
    gguf_ptr g(gguf_init_from_file(path, {/*no_alloc =*/true, /*ctx =*/nullptr}));
    if (!g) {
        throw pb::failure{PB_BAD_INPUT, "not a readable GGUF file"};
    }
    return g;
}

int64_t find_array(const gguf_context *meta, const char *key, gguf_type type) {
    const int64_t id = gguf_find_key(meta, key);
    if (id < 0 || gguf_get_kv_type(meta, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(meta, id) != type) {
        throw pb::failure{PB_BAD_INPUT, std::string("no vocabulary: it lacks the array ") + key};
    }
    return id;
}

void keep_tokenizer_only(gguf_context *meta) {
    for (int64_t i = gguf_get_n_kv(meta) - 1; i >= 0; i--) {
        const std::string key = gguf_get_key(meta, i);
        if (key.rfind("tokenizer.", 0) != 0) {
            gguf_remove_key(meta, key.c_str());
        }
    }
}

void pad_vocabulary(gguf_context *meta, size_t n_vocab) {
    const char *tokens_key = "tokenizer.ggml.tokens";
    const char *types_key = "tokenizer.ggml.token_type";
    const int64_t tokens_id = find_array(meta, tokens_key, GGUF_TYPE_STRING);
    const int64_t types_id = find_array(meta, types_key, GGUF_TYPE_INT32);
    const size_t n = gguf_get_arr_n(meta, tokens_id);
    if (n > n_vocab || gguf_get_arr_n(meta, types_id) != n) {
        throw pb::failure{PB_BAD_INPUT, "vocabulary of " + std::to_string(n) + " tokens does not fit a model of " +
                                            std::to_string(n_vocab)};
    }
    if (n == n_vocab) {
        return;
    }
    // Copies, because setting an array drops the one of the same key first.
    std::vector<std::string> tokens;
    for (size_t i = 0; i < n; i++) {
        tokens.emplace_back(gguf_get_arr_str(meta, tokens_id, i));
    }
    const auto *old_types = static_cast<const int32_t *>(gguf_get_arr_data(meta, types_id));
    std::vector<int32_t> types(old_types, old_types + n);
    for (size_t i = n; i < n_vocab; i++) {
        tokens.push_back("[PAD" + std::to_string(i) + "]");
        types.push_back(token_unused);
    }
    std::vector<const char *> views;
    for (const auto &t : tokens) {
        views.push_back(t.c_str());
    }
    gguf_set_arr_str(meta, tokens_key, views.data(), views.size());
    gguf_set_arr_data(meta, types_key, GGUF_TYPE_INT32, types.data(), types.size());
}

// The keys and values as they would be written, without those that the quantizer
// sets.
std::vector<char> keys_and_values(const gguf_context *meta) {
    const gguf_ptr copy(gguf_init_empty());
    gguf_set_kv(copy.get(), meta);
    gguf_remove_key(copy.get(), "general.file_type");
    gguf_remove_key(copy.get(), "general.quantization_version");
    std::vector<char> bytes(gguf_get_meta_size(copy.get()));
    gguf_get_meta_data(copy.get(), bytes.data());
    return bytes;
}

// Where the file ends that this is the header of.
int64_t file_bytes(const gguf_context *meta) {
    size_t data = 0;
    if (const int64_t n = gguf_get_n_tensors(meta); n > 0) {
        data = gguf_get_tensor_offset(meta, n - 1) + GGML_PAD(gguf_get_tensor_size(meta, n - 1), gguf_get_alignment(meta));
    }
    return static_cast<int64_t>(gguf_get_data_offset(meta) + data);
}

// Runs body unless an earlier one failed.
template <typename F> void step(pb_gguf *g, F body) {
    if (g->first.code == PB_OK) {
        pb::guarded(&g->first, false, [&] { return body(), true; });
    }
}

} // namespace

pb_gguf *pb_gguf_new(const char *vocab_path, const char *pre, int64_t n_vocab, pb_error *err) {
    pb::install_hooks();
    return pb::guarded(err, static_cast<pb_gguf *>(nullptr), [&] {
        auto g = std::make_unique<pb_gguf>();
        g->meta = read_header(vocab_path);
        g->scratch.reset(ggml_init({ggml_tensor_overhead(), nullptr, /*no_alloc =*/true}));
        if (!g->scratch) {
            throw pb::failure{PB_MEMORY, "no memory for a tensor"};
        }
        keep_tokenizer_only(g->meta.get());
        pad_vocabulary(g->meta.get(), static_cast<size_t>(n_vocab));
        if (*pre) {
            gguf_set_val_str(g->meta.get(), "tokenizer.ggml.pre", pre);
        }
        return g.release();
    });
}

void pb_gguf_free(pb_gguf *g) { delete g; }

void pb_gguf_set_str(pb_gguf *g, const char *key, const char *value) {
    step(g, [&] { gguf_set_val_str(g->meta.get(), key, value); });
}

void pb_gguf_set_u32(pb_gguf *g, const char *key, uint32_t value) {
    step(g, [&] { gguf_set_val_u32(g->meta.get(), key, value); });
}

void pb_gguf_set_i64(pb_gguf *g, const char *key, int64_t value) {
    step(g, [&] { gguf_set_val_i64(g->meta.get(), key, value); });
}

void pb_gguf_set_f32(pb_gguf *g, const char *key, float value) {
    step(g, [&] { gguf_set_val_f32(g->meta.get(), key, value); });
}

void pb_gguf_set_bool(pb_gguf *g, const char *key, bool value) {
    step(g, [&] { gguf_set_val_bool(g->meta.get(), key, value); });
}

void pb_gguf_add_tensor(pb_gguf *g, const char *name, int64_t columns, int64_t rows, int64_t experts, bool f16) {
    step(g, [&] {
        const int64_t shape[] = {columns, rows, experts};
        ggml_reset(g->scratch.get());
        ggml_tensor *t = ggml_new_tensor(g->scratch.get(), f16 ? GGML_TYPE_F16 : GGML_TYPE_F32, experts ? 3 : rows ? 2 : 1, shape);
        ggml_set_name(t, name);
        gguf_add_tensor(g->meta.get(), t);
    });
}

const void *pb_gguf_header(pb_gguf *g, size_t *size, pb_error *err) {
    step(g, [&] {
        g->header.resize(gguf_get_meta_size(g->meta.get()));
        gguf_get_meta_data(g->meta.get(), g->header.data());
    });
    if (g->first.code != PB_OK) {
        *err = g->first;
        return nullptr;
    }
    *size = g->header.size();
    return g->header.data();
}

void pb_to_f16(const float *from, uint16_t *to, int64_t n) {
    static_assert(sizeof(ggml_fp16_t) == sizeof *to, "half precision is 16 bits");
    ggml_fp32_to_fp16_row(from, to, n);
}

bool pb_gguf_same(const pb_gguf *g, const char *path, bool *same, pb_error *err) {
    return pb::guarded(err, false, [&] {
        const gguf_ptr there = read_header(path);
        std::error_code ignored;
        *same = static_cast<int64_t>(std::filesystem::file_size(path, ignored)) == file_bytes(there.get()) &&
                keys_and_values(there.get()) == keys_and_values(g->meta.get());
        return true;
    });
}

int pb_gguf_tensors(const char *path, pb_gguf_tensor *out, int cap, pb_error *err) {
    return pb::guarded(err, -1, [&] {
        const gguf_ptr g = read_header(path);
        const int n = static_cast<int>(gguf_get_n_tensors(g.get()));
        for (int i = 0; i < n && i < cap; i++) {
            pb_gguf_tensor &t = out[i];
            t = pb_gguf_tensor{};
            std::snprintf(t.name, sizeof t.name, "%s", gguf_get_tensor_name(g.get(), i));
            std::snprintf(t.type, sizeof t.type, "%s", ggml_type_name(gguf_get_tensor_type(g.get(), i)));
            t.columns = gguf_get_tensor_ne(g.get(), i)[0];
            t.bytes = static_cast<int64_t>(gguf_get_tensor_size(g.get(), i));
        }
        return n;
    });
}
