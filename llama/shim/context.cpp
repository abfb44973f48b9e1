// Contexts: evaluating tokens, one synchronized call at a time.

#include "engine.h"

#include "ggml-backend.h"
#include "llama-ext.h" // llama_get_memory_breakdown, llama_model_get_device: exported, but in a header of the engine's own

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

ggml_type type_by_name(const char *name) {
    for (int t = 0; t < GGML_TYPE_COUNT; t++) {
        const char *have = ggml_type_name(static_cast<ggml_type>(t));
        if (have && std::strcmp(have, name) == 0) {
            return static_cast<ggml_type>(t);
        }
    }
    throw pb::failure{PB_BAD_INPUT, std::string("unknown cache type ") + name};
}

const float *last_logits(pb_context *c) {
    const float *logits = llama_get_logits_ith(c->ctx, -1);
    if (!logits) {
        throw pb::failure{PB_ENGINE, "the engine returned no logits"};
    }
    return logits;
}

static_assert(LLAMA_FLASH_ATTN_TYPE_AUTO == -1 && LLAMA_FLASH_ATTN_TYPE_DISABLED == 0 && LLAMA_FLASH_ATTN_TYPE_ENABLED == 1,
              "flash_attn is numbered as the engine does");

} // namespace

void pb::check_decode(int rc) {
    switch (rc) { // the return values documented at llama_decode
    case 0: return;
    case 1: throw pb::failure{PB_KV_FULL, "no room left in the KV cache"};
    case 2: throw pb::failure{PB_ABORTED, "evaluation was aborted"};
    case -1: throw pb::failure{PB_BAD_INPUT, "the engine refused the batch"};
    case -2: throw pb::failure{PB_MEMORY, "the engine could not allocate memory for the batch"};
    default: throw pb::failure{PB_ENGINE, "evaluation failed with code " + std::to_string(rc)};
    }
}

pb_context *pb_context_new(pb_model *model, const pb_context_params *p, pb_error *err) {
    return pb::guarded<pb_context *>(err, nullptr, [&] {
        auto out = std::make_unique<pb_context>();
        out->n_seq = p->n_seq;
        std::vector<llama_sampler_seq_config> samplers;
        llama_context_params cp = llama_context_default_params();
        // A buffer of each sequence is padded by itself; told before, the engine
        // would divide what is not a multiple and round down.
        const int n_ctx = p->unified || p->n_seq == 1 ? p->n_ctx : GGML_PAD(p->n_ctx, 256);
        cp.n_ctx = static_cast<uint32_t>(n_ctx) * static_cast<uint32_t>(p->n_seq);
        cp.kv_unified = p->unified;
        cp.n_batch = static_cast<uint32_t>(p->n_batch);
        cp.n_ubatch = static_cast<uint32_t>(p->n_ubatch);
        cp.n_seq_max = static_cast<uint32_t>(p->n_seq);
        // Only the last token of a call has an output, but for pb_score; saves work buffers.
        cp.n_outputs_max = static_cast<uint32_t>(std::max(p->n_seq, p->n_outputs));
        cp.n_threads = p->threads;
        cp.n_threads_batch = p->threads;
        cp.flash_attn_type = static_cast<llama_flash_attn_type>(p->flash_attn);
        cp.type_k = type_by_name(p->type_k);
        cp.type_v = type_by_name(p->type_v);
        cp.swa_full = false; // as in the engine's server and its llama-bench
        cp.no_perf = true;
        if (p->graph_argmax) {
            out->chains = pb::greedy_in_graph(p->n_seq, p->split_argmax);
            for (const auto &chain : out->chains) {
                samplers.push_back({static_cast<llama_seq_id>(samplers.size()), chain.get()});
            }
            cp.samplers = samplers.data();
            cp.n_samplers = samplers.size();
        }
        std::string deed = "create a context of " + std::to_string(p->n_ctx) + " positions";
        if (p->n_seq > 1) {
            deed += " for each of " + std::to_string(p->n_seq) + " sequences";
        }
        const bool on_gpu = llama_model_n_devices(model->model) > 0;
        out->ctx = pb::made(deed, on_gpu ? llama_model_get_device(model->model, 0) : nullptr,
                            [&] { return llama_init_from_model(model->model, cp); });
        out->n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model->model));
        return out.release();
    });
}

void pb_context_free(pb_context *ctx) { delete ctx; }

int pb_context_n_ctx(const pb_context *ctx) { return static_cast<int>(llama_n_ctx(ctx->ctx)); }
int pb_context_n_batch(const pb_context *ctx) { return static_cast<int>(llama_n_batch(ctx->ctx)); }
int pb_context_n_ubatch(const pb_context *ctx) { return static_cast<int>(llama_n_ubatch(ctx->ctx)); }

bool pb_decode(pb_context *c, const int32_t *tokens, int n, int32_t *next, pb_error *err) {
    return pb::guarded(err, false, [&] {
        const int n_batch = pb_context_n_batch(c);
        c->timer.enter();
        for (int done = 0; done < n;) { // more than n_batch tokens in one call aborts the process
            const int part = n - done < n_batch ? n - done : n_batch;
            // The engine takes a non-const pointer but only reads through it.
            pb::check_decode(llama_decode(c->ctx, llama_batch_get_one(const_cast<int32_t *>(tokens) + done, part)));
            done += part;
        }
        c->timer.leave();
        // Both wait for the device.
        *next = !c->chains.empty() ? llama_get_sampled_token_ith(c->ctx, -1) : pb::argmax(last_logits(c), c->n_vocab);
        if (*next < 0) {
            throw pb::failure{PB_ENGINE, "the engine chose no token, as it does when all logits are NaN"};
        }
        return true;
    });
}

const float *pb_logits(pb_context *c, pb_error *err) {
    return pb::guarded<const float *>(err, nullptr, [&] {
        if (!c->chains.empty()) {
            throw pb::failure{PB_BAD_INPUT, "logits stay on the device in this context: create it with HostArgmax"};
        }
        return last_logits(c);
    });
}

int pb_memory_get(pb_context *c, pb_memory *out, int cap, pb_error *err) {
    return pb::guarded(err, -1, [&] {
        int n = 0;
        for (const auto &[buft, bytes] : llama_get_memory_breakdown(c->ctx)) {
            if (n < cap) {
                pb_memory &m = out[n];
                m = pb_memory{};
                std::snprintf(m.name, sizeof m.name, "%s", ggml_backend_buft_name(buft));
                m.device = -1;
                // Weights repacked for the CPU's matrix units lie in main memory too,
                // although the engine does not call that buffer a host one.
                ggml_backend_dev_t dev = ggml_backend_buft_is_host(buft) ? nullptr : ggml_backend_buft_get_device(buft);
                const bool on_cpu = !dev || ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
                for (size_t i = 0; !on_cpu && i < ggml_backend_dev_count(); i++) {
                    if (ggml_backend_dev_get(i) == dev) {
                        m.device = static_cast<int>(i);
                    }
                }
                m.weights = static_cast<int64_t>(bytes.model);
                m.kv = static_cast<int64_t>(bytes.context);
                m.compute = static_cast<int64_t>(bytes.compute);
            }
            n++;
        }
        return n;
    });
}
