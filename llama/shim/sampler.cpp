// Greedy sampling inside the backend graph.
//
// The engine can run samplers as part of the compute graph, which spares a GPU
// from sending the logits to the host for every token. This one chooses the
// largest logit and hands on nothing else, so that the logits stay where they
// are. On a GPU it is the engine's own argmax; on a CPU the engine's takes one
// thread some 100 us for a large vocabulary, so ours is put into the graph.

#include "engine.h"

#include "ggml-backend.h"

#include <limits>

int32_t pb::argmax(const float *x, int64_t n) {
    // Independent maxima keep the vector units busy; the value is then looked
    // up, which finds the first of equals as a plain loop would.
    constexpr int64_t lanes = 32;
    float best[lanes];
    for (float &b : best) {
        b = -std::numeric_limits<float>::infinity();
    }
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (int64_t j = 0; j < lanes; j++) {
            best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
        }
    }
    float top = best[0];
    for (float b : best) {
        top = b > top ? b : top;
    }
    for (; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    for (int64_t k = 0; k < n; k++) {
        if (x[k] == top) {
            return static_cast<int32_t>(k);
        }
    }
    return -1; // nothing but NaN
}

namespace {

struct greedy {
    bool on_cpu = false;
};

void argmax_op(ggml_tensor *dst, int ith, int, void *) {
    if (ith == 0) {
        const ggml_tensor *logits = dst->src[0];
        *static_cast<int32_t *>(dst->data) = pb::argmax(static_cast<const float *>(logits->data), ggml_nelements(logits));
    }
}

const char *name(const llama_sampler *) { return "greedy-in-graph"; }

void apply(llama_sampler *, llama_token_data_array *all) {
    all->selected = 0;
    for (size_t i = 1; i < all->size; i++) {
        if (all->data[i].logit > all->data[all->selected].logit) {
            all->selected = static_cast<int64_t>(i);
        }
    }
}

bool backend_init(llama_sampler *s, ggml_backend_buffer_type_t buft, uint32_t) {
    ggml_backend_dev_t dev = ggml_backend_buft_get_device(buft);
    static_cast<greedy *>(s->ctx)->on_cpu = !dev || ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
    return true;
}

// The engine hands over a view of the logits with one row of padding added,
// which takes a copy of them all (200 us a token on a CPU). When they are the
// one row that is asked for, they are taken from before the copy, and the copy,
// having no reader, is not part of the graph.
ggml_tensor *unpadded(ggml_tensor *logits) {
    ggml_tensor *padded = logits->view_src;
    if (padded && padded->op == GGML_OP_PAD && logits->view_offs == 0 && padded->src[0]->ne[1] == 1) {
        return padded->src[0];
    }
    return logits;
}

void backend_apply(llama_sampler *s, ggml_context *ctx, ggml_cgraph *, llama_sampler_data *data) {
    ggml_tensor *logits = unpadded(data->logits);
    logits = ggml_reshape_1d(ctx, logits, ggml_nelements(logits));
    if (static_cast<greedy *>(s->ctx)->on_cpu) {
        data->sampled = ggml_custom_4d(ctx, GGML_TYPE_I32, 1, 1, 1, 1, &logits, 1, argmax_op, 1, nullptr);
    } else {
        data->sampled = ggml_argmax(ctx, logits);
    }
    data->logits = data->probs = data->candidates = nullptr;
}

void release(llama_sampler *s) { delete static_cast<greedy *>(s->ctx); }

llama_sampler *make(const greedy &state);
llama_sampler *clone(const llama_sampler *s) { return make(*static_cast<const greedy *>(s->ctx)); }

llama_sampler_i make_interface() {
    llama_sampler_i i = {};
    i.name = name;
    i.apply = apply;
    i.clone = clone;
    i.free = release;
    i.backend_init = backend_init;
    i.backend_apply = backend_apply;
    return i;
}

llama_sampler *make(const greedy &state) {
    static llama_sampler_i iface = make_interface();
    return llama_sampler_init(&iface, new greedy(state));
}

} // namespace

llama_sampler *pb::greedy_in_graph() {
    // The engine takes chains only.
    llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, make({}));
    return chain;
}
