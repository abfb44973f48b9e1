// Models: loading, metadata, tokenizer.

#include "engine.h"

#include "ggml-backend.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct loading {
    const pb_model_params *params;
    bool stopped;
};

bool on_progress(float done, void *data) {
    auto *l = static_cast<loading *>(data);
    l->stopped = !l->params->progress(done, l->params->progress_handle);
    return !l->stopped;
}

std::string meta(const llama_model *model, const std::string &key) {
    char buf[512];
    const int n = llama_model_meta_val_str(model, key.c_str(), buf, sizeof buf);
    return n < 0 ? "" : buf;
}

// Head sizes are optional in the file; without them a head is its share of
// the embedding.
int head_dim(const llama_model *model, const std::string &arch, const char *key) {
    const std::string text = meta(model, arch + ".attention." + key);
    if (!text.empty()) {
        return std::atoi(text.c_str());
    }
    const int heads = llama_model_n_head(model);
    return heads > 0 ? llama_model_n_embd(model) / heads : 0;
}

// FNV-1a, 64 bits, of what is added one after the other.
struct hasher {
    uint64_t value = 14695981039346656037u;
    void add(const void *data, size_t size) {
        for (size_t i = 0; i < size; i++) {
            value = (value ^ static_cast<const unsigned char *>(data)[i]) * 1099511628211u;
        }
    }
    void add(const std::string &text) { add(text.c_str(), text.size() + 1); } // the end counts too
};

} // namespace

pb_model *pb_model_load(const pb_model_params *p, pb_error *err) {
    return pb::guarded<pb_model *>(err, nullptr, [&] {
        // A list of our own, even when empty: otherwise the engine takes every
        // GPU it finds, and a "CPU" model would offload large batches.
        ggml_backend_dev_t devices[2] = {nullptr, nullptr};
        if (p->device >= 0) {
            devices[0] = ggml_backend_dev_get(static_cast<size_t>(p->device));
        }
        llama_model_params mp = llama_model_default_params();
        mp.devices = devices;
        mp.n_gpu_layers = p->device < 0 ? 0 : p->gpu_layers;
        mp.split_mode = LLAMA_SPLIT_MODE_NONE;
        mp.main_gpu = p->device < 0 ? -1 : 0;
        mp.load_mode = p->mmap && !p->dry_run ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
        mp.no_alloc = p->dry_run;
        mp.check_tensors = p->check_tensors;
        loading state = {p, false};
        if (p->progress) {
            mp.progress_callback = on_progress;
            mp.progress_callback_user_data = &state;
        }
        auto out = std::make_unique<pb_model>();
        out->model = pb::made(std::string("load ") + p->path, devices[0], [&] {
            llama_model *model = llama_model_load_from_file(p->path, mp);
            if (state.stopped) {
                throw pb::failure{PB_ABORTED, std::string("loading ") + p->path + " was stopped"};
            }
            return model;
        });
        if (!llama_model_has_decoder(out->model) || llama_model_has_encoder(out->model)) {
            throw pb::failure{PB_BAD_INPUT, std::string(p->path) + " is not a decoder-only model"};
        }
        return out.release();
    });
}

void pb_model_free(pb_model *model) { delete model; }

bool pb_model_info_get(const pb_model *m, pb_model_info *out, pb_error *err) {
    return pb::guarded(err, false, [&] {
        const llama_model *model = m->model;
        *out = pb_model_info{};
        const std::string arch = meta(model, "general.architecture");
        std::snprintf(out->arch, sizeof out->arch, "%s", arch.c_str());
        std::snprintf(out->name, sizeof out->name, "%s", meta(model, "general.name").c_str());
        std::snprintf(out->file_type, sizeof out->file_type, "%s", llama_ftype_name(llama_model_ftype(model)));
        out->layers = llama_model_n_layer(model);
        out->embd = llama_model_n_embd(model);
        out->heads = llama_model_n_head(model);
        out->kv_heads = llama_model_n_head_kv(model);
        out->head_dim_k = head_dim(model, arch, "key_length");
        out->head_dim_v = head_dim(model, arch, "value_length");
        const llama_vocab *vocab = llama_model_get_vocab(model);
        out->vocab = llama_vocab_n_tokens(vocab);
        out->has_vocab = llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_NONE;
        out->ctx_train = llama_model_n_ctx_train(model);
        out->synthetic = meta(model, "phasebench.synthetic") == "true";
        out->params = static_cast<int64_t>(llama_model_n_params(model));
        out->weights_bytes = static_cast<int64_t>(llama_model_size(model));
        const pb::token_cost cost = pb::cost_of(model);
        out->read_bytes = cost.read_bytes;
        out->body_params = cost.body_params;
        out->head_params = cost.head_params;
        std::snprintf(out->cost_unknown, sizeof out->cost_unknown, "%s", cost.unknown);
        std::snprintf(out->kv_irregular, sizeof out->kv_irregular, "%s", pb::kv_irregular(model).c_str());
        return true;
    });
}

int pb_model_meta(const pb_model *model, const char *key, char *buf, size_t size) {
    return llama_model_meta_val_str(model->model, key, buf, size);
}

int pb_tokenize(const pb_model *model, const char *text, int len, int32_t *out, int cap, bool special, pb_error *err) {
    return pb::guarded(err, INT32_MIN, [&] {
        return llama_tokenize(llama_model_get_vocab(model->model), text, len, out, cap, special, false);
    });
}

int pb_detokenize(const pb_model *model, const int32_t *tokens, int n, char *out, int cap, pb_error *err) {
    return pb::guarded(err, INT32_MIN, [&] {
        return llama_detokenize(llama_model_get_vocab(model->model), tokens, n, out, cap, false, true);
    });
}

bool pb_vocab_get(const pb_model *m, pb_vocab *out, pb_error *err) {
    return pb::guarded(err, false, [&] {
        const llama_vocab *vocab = llama_model_get_vocab(m->model);
        hasher all;
        for (const char *key : {"tokenizer.ggml.model", "tokenizer.ggml.pre"}) {
            all.add(meta(m->model, key));
        }
        for (llama_token t = 0; t < llama_vocab_n_tokens(vocab); t++) {
            const char *text = llama_vocab_get_text(vocab, t);
            const int attr = llama_vocab_get_attr(vocab, t);
            all.add(text ? text : "");
            all.add(&attr, sizeof attr);
        }
        *out = {all.value, llama_vocab_get_add_bos(vocab) ? llama_vocab_bos(vocab) : -1, llama_vocab_get_add_eos(vocab)};
        return true;
    });
}
