// Greedy sampling inside the backend graph.
//
// The engine can run samplers as part of the compute graph, which spares a GPU
// from sending the logits to the host for every token. This one chooses the
// largest logit and hands on nothing else, so that the logits stay where they
// are. On a GPU it is the engine's own argmax; on a CPU the engine's takes one
// thread some 100 us for a large vocabulary, so ours is put into the graph.
//
// The engine calls the sampler of each sequence for its row of the logits. Those
// of a context with several share one argmax over all rows, so that a GPU runs
// one kernel for a step instead of one after the other for each sequence.
//
// The engine's argmax on a GPU has one block of threads for a row, and so one of
// its many processors. The split choice looks for the largest in each of many
// parts of a row, and then for the part that has the largest of these. A CPU has
// no need of it, and the engine's argmax there passes over NaN.

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

// The choice for all rows of the graph that is being built, once there is one.
struct all_rows {
    const ggml_tensor *logits = nullptr;
    ggml_tensor *chosen = nullptr;
};

struct greedy {
    bool split = false;
    bool on_cpu = false;
    std::shared_ptr<all_rows> shared; // with the samplers of the other sequences; none for one alone
};

void argmax_op(ggml_tensor *dst, int ith, int nth, void *) {
    const ggml_tensor *logits = dst->src[0];
    for (int64_t row = ith; row < logits->ne[1]; row += nth) {
        const auto *x = static_cast<const float *>(logits->data) + row * logits->ne[0];
        static_cast<int32_t *>(dst->data)[row] = pb::argmax(x, logits->ne[0]);
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

// Into how many parts of equal size a row of n is split: the most that are no
// more than what each then has. 1 for a prime number.
int64_t parts_of(int64_t n) {
    int64_t parts = 1;
    for (int64_t k = 2; k * k <= n; k++) {
        if (n % k == 0) {
            parts = k;
        }
    }
    return parts;
}

// The index of the largest of each row, in two passes. Floats hold every index
// of less than 2^24 exactly, and the engine adds no others.
ggml_tensor *split_argmax(ggml_context *ctx, ggml_tensor *logits) {
    const int64_t n = logits->ne[0], rows = logits->ne[1], parts = parts_of(n), size = n / parts;
    ggml_tensor *in_part = ggml_argmax(ctx, ggml_reshape_2d(ctx, logits, size, parts * rows));
    ggml_tensor *largest = ggml_get_rows(ctx, ggml_reshape_3d(ctx, logits, 1, size, parts * rows), ggml_reshape_2d(ctx, in_part, 1, parts * rows));
    ggml_tensor *part = ggml_argmax(ctx, ggml_reshape_2d(ctx, largest, parts, rows));
    ggml_tensor *of_it = ggml_get_rows(ctx, ggml_reshape_3d(ctx, in_part, 1, parts, rows), ggml_reshape_2d(ctx, part, 1, rows));
    ggml_tensor *before = ggml_scale(ctx, ggml_cast(ctx, part, GGML_TYPE_F32), static_cast<float>(size));
    ggml_tensor *index = ggml_add(ctx, before, ggml_cast(ctx, ggml_reshape_1d(ctx, of_it, rows), GGML_TYPE_F32));
    return ggml_cast(ctx, index, GGML_TYPE_I32);
}

ggml_tensor *argmax_of(const greedy &g, ggml_context *ctx, ggml_tensor *logits) {
    if (!g.on_cpu) {
        return g.split && logits->ne[0] < 1 << 24 ? split_argmax(ctx, logits) : ggml_argmax(ctx, logits);
    }
    const int tasks = logits->ne[1] > 1 ? GGML_N_TASKS_MAX : 1;
    return ggml_custom_4d(ctx, GGML_TYPE_I32, logits->ne[1], 1, 1, 1, &logits, 1, argmax_op, tasks, nullptr);
}

// The rows that the engine has padded and of which it hands over one, and which
// one; none when it does not look like that, or the row is of the padding.
ggml_tensor *rows_of(const ggml_tensor *logits, int64_t &row) {
    const ggml_tensor *padded = logits->view_src;
    if (!padded || padded->op != GGML_OP_PAD) {
        return nullptr;
    }
    row = static_cast<int64_t>(logits->view_offs / padded->nb[1]);
    return row < padded->src[0]->ne[1] ? padded->src[0] : nullptr;
}

void backend_apply(llama_sampler *s, ggml_context *ctx, ggml_cgraph *, llama_sampler_data *data) {
    const auto &g = *static_cast<greedy *>(s->ctx);
    int64_t row = 0;
    ggml_tensor *rows = g.shared ? rows_of(data->logits, row) : nullptr;
    if (rows) {
        if (g.shared->logits != rows) {
            *g.shared = {rows, argmax_of(g, ctx, rows)};
            ggml_set_output(g.shared->chosen); // what is read later are views of it
        }
        data->sampled = ggml_view_1d(ctx, g.shared->chosen, 1, row * ggml_element_size(g.shared->chosen));
    } else {
        ggml_tensor *logits = unpadded(data->logits);
        data->sampled = argmax_of(g, ctx, ggml_reshape_1d(ctx, logits, ggml_nelements(logits)));
    }
    data->logits = data->probs = data->candidates = nullptr;
}

// Comes before each graph, whose tensors may lie where those of the last did.
void backend_reset(llama_sampler *s) {
    if (const auto &shared = static_cast<greedy *>(s->ctx)->shared) {
        *shared = {};
    }
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
    i.backend_reset = backend_reset;
    return i;
}

llama_sampler *make(const greedy &state) {
    static llama_sampler_i iface = make_interface();
    return llama_sampler_init(&iface, new greedy(state));
}

} // namespace

std::vector<std::unique_ptr<llama_sampler, sampler_free>> pb::greedy_in_graph(int n, bool split) {
    greedy state;
    state.split = split;
    if (n > 1) {
        state.shared = std::make_shared<all_rows>();
    }
    std::vector<std::unique_ptr<llama_sampler, sampler_free>> chains;
    for (int i = 0; i < n; i++) {
        // The engine takes chains only.
        chains.emplace_back(llama_sampler_chain_init(llama_sampler_chain_default_params()));
        llama_sampler_chain_add(chains.back().get(), make(state));
    }
    return chains;
}
