// Looking into the KV cache.
//
// This file sees two private headers of the engine: llama-memory.h, for the
// serializer interface of a context's memory, and llama-io.h, for the writer it
// takes. The engine's own serializer walks exactly the cells a sequence
// occupies, for every kind of cache it has; our writer keeps none of the bytes
// and counts those of the tensors, so the payload is what the engine itself
// would save, without any knowledge of layouts here.

#include "engine.h"

#include "llama-io.h"
#include "llama-memory.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace {

class payload_counter : public llama_io_write_i {
public:
    struct entry {
        const ggml_tensor *tensor;
        int64_t bytes;
    };
    std::vector<entry> entries;

    void write(const void *, size_t size) override { framing += size; }

    void write_tensor(ggml_tensor *t, size_t, size_t size) override {
        if (entries.empty() || entries.back().tensor != t) {
            entries.push_back({t, 0});
        }
        entries.back().bytes += static_cast<int64_t>(size);
        payload += size;
    }

    size_t n_bytes() override { return framing + payload; }

private:
    size_t framing = 0, payload = 0;
};

} // namespace

bool pb_kv_clear(pb_context *c, pb_error *err) {
    return pb::guarded(err, false, [&] {
        llama_memory_clear(llama_get_memory(c->ctx), false);
        return true;
    });
}

// A cache of sliding windows keeps little more than the window, and the engine
// would go on without what is gone of it.
static void check_window(pb_context *c, int from_pos) {
    const int window = llama_model_n_swa(llama_get_model(c->ctx));
    for (llama_seq_id seq = 0; window > 0 && from_pos > 0 && seq < c->n_seq; seq++) {
        if (llama_memory_seq_pos_min(llama_get_memory(c->ctx), seq) > std::max(0, from_pos - window)) {
            throw pb::failure{PB_BAD_INPUT, "of the window of " + std::to_string(window) + " positions before position " + std::to_string(from_pos) +
                                                " some are not in the cache any more; clear it and evaluate them again"};
        }
    }
}

bool pb_kv_remove(pb_context *c, int from_pos, pb_error *err) {
    return pb::guarded(err, false, [&] {
        check_window(c, from_pos);
        if (!llama_memory_seq_rm(llama_get_memory(c->ctx), c->n_seq > 1 ? -1 : 0, from_pos, -1)) {
            throw pb::failure{PB_BAD_INPUT, "this model's cache can only be cleared as a whole"};
        }
        return true;
    });
}

int pb_kv_used(pb_context *c, pb_kv_tensor *out, int cap, pb_error *err) {
    return pb::guarded(err, -1, [&] {
        payload_counter counter;
        for (llama_seq_id seq = 0; seq < c->n_seq; seq++) {
            llama_get_memory(c->ctx)->state_write(counter, seq, 0);
        }
        int n = 0;
        for (const auto &e : counter.entries) {
            if (n < cap) {
                pb_kv_tensor &k = out[n];
                k = pb_kv_tensor{};
                std::snprintf(k.name, sizeof k.name, "%s", e.tensor->name);
                std::snprintf(k.type, sizeof k.type, "%s", ggml_type_name(e.tensor->type));
                k.row_bytes = static_cast<int64_t>(ggml_row_size(e.tensor->type, e.tensor->ne[0]));
                k.used_bytes = e.bytes;
            }
            n++;
        }
        return n;
    });
}
