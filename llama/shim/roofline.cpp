// Probes of what a device can do at most: small graphs of one operation each,
// run by the engine's own backends as a model's are.

#include "guard.h"

#include "ggml-alloc.h"
#include "ggml-cpp.h"
#include "ggml.h"

#include <algorithm>
#include <string>
#include <vector>

struct pb_probe {
    // Members are destroyed last to first.
    ggml_backend_ptr backend;
    ggml_context_ptr meta; // tensors and the graph, without their data
    std::vector<ggml_backend_buffer_ptr> buffers;
    ggml_cgraph *graph = nullptr;
};

namespace {

std::unique_ptr<pb_probe> make_probe(int device, int threads, int tensors) {
    auto p = std::make_unique<pb_probe>();
    ggml_backend_dev_t dev = ggml_backend_dev_get(static_cast<size_t>(device));
    p->backend.reset(ggml_backend_dev_init(dev, nullptr));
    const size_t room = tensors * ggml_tensor_overhead() + ggml_graph_overhead();
    p->meta.reset(ggml_init({room, nullptr, /*no_alloc =*/true}));
    if (!p->backend || !p->meta) {
        throw pb::failure{PB_ENGINE, std::string("cannot start the backend of ") + ggml_backend_dev_name(dev)};
    }
    // Only backends that compute on the CPU have it.
    auto set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(dev), "ggml_backend_set_n_threads"));
    if (set_threads) {
        set_threads(p->backend.get(), threads);
    }
    p->graph = ggml_new_graph(p->meta.get());
    return p;
}

void keep(pb_probe &p, ggml_backend_buffer_t buffer) {
    if (!buffer) {
        throw pb::failure{PB_MEMORY, "no room for the buffers of the probe"};
    }
    p.buffers.emplace_back(buffer);
}

// Gives every tensor that has no place yet one in the device's usual memory.
void allocate(pb_probe &p) { keep(p, ggml_backend_alloc_ctx_tensors(p.meta.get(), p.backend.get())); }

void allocate_in(pb_probe &p, ggml_tensor *t, ggml_backend_buffer_type_t type) {
    keep(p, ggml_backend_buft_alloc_buffer(type, ggml_backend_buft_get_alloc_size(type, t)));
    ggml_backend_buffer_t buffer = p.buffers.back().get();
    ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_tensor_alloc(buffer, t, ggml_backend_buffer_get_base(buffer));
}

void run(pb_probe &p) {
    // Waits for the device.
    const ggml_status status = ggml_backend_graph_compute(p.backend.get(), p.graph);
    if (status != GGML_STATUS_SUCCESS) {
        throw pb::failure{status == GGML_STATUS_ALLOC_FAILED ? PB_MEMORY : PB_ENGINE,
                          std::string("the probe failed: ") + ggml_status_to_string(status)};
    }
}

// Random values between -1/2 and 1/2, by a linear congruential generator
// (Knuth's MMIX constants). Zeros would need less power, and some processors
// skip writing them.
std::vector<float> random_block() {
    std::vector<float> out(1 << 20);
    uint64_t state = 1;
    for (float &v : out) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        v = static_cast<float>(state >> 40) / (1 << 24) - 0.5f; // the upper bits are the random ones
    }
    return out;
}

void fill_f32(ggml_tensor *t) {
    const std::vector<float> block = random_block();
    const size_t step = block.size() * sizeof block[0];
    for (size_t at = 0; at < ggml_nbytes(t); at += step) {
        ggml_backend_tensor_set(t, block.data(), at, std::min(step, ggml_nbytes(t) - at));
    }
}

// In one call, since a buffer that reorders weights takes whole matrices only.
void fill_f16(ggml_tensor *t) {
    const std::vector<float> block = random_block();
    std::vector<ggml_fp16_t> all(static_cast<size_t>(ggml_nelements(t)));
    for (size_t at = 0; at < all.size(); at += block.size()) {
        ggml_fp32_to_fp16_row(block.data(), &all[at], static_cast<int64_t>(std::min(block.size(), all.size() - at)));
    }
    ggml_backend_tensor_set(t, all.data(), 0, ggml_nbytes(t));
}

// Where the engine would put a weight that is multiplied with: the first of the
// device's special buffers, like the one for AMX tiles, whose kernel takes it.
// Asked as the engine asks, with an empty buffer.
ggml_backend_buffer_type_t weight_buffer(ggml_backend_dev_t dev, ggml_tensor *weight, const ggml_tensor *op) {
    auto get_extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(dev), "ggml_backend_dev_get_extra_bufts"));
    for (auto *type = get_extra ? get_extra(dev) : nullptr; type && *type; type++) {
        const ggml_backend_buffer_ptr empty(ggml_backend_buft_alloc_buffer(*type, 0));
        weight->buffer = empty.get();
        const bool takes = ggml_backend_dev_supports_op(dev, op);
        weight->buffer = nullptr;
        if (takes) {
            return *type;
        }
    }
    return ggml_backend_dev_buffer_type(dev);
}

} // namespace

pb_probe *pb_probe_copy(int device, int threads, int64_t bytes, int copies, pb_error *err) {
    return pb::guarded<pb_probe *>(err, nullptr, [&] {
        auto p = make_probe(device, threads, 2 + copies);
        ggml_context *meta = p->meta.get();
        ggml_tensor *there = ggml_new_tensor_1d(meta, GGML_TYPE_F32, bytes / sizeof(float));
        ggml_tensor *here = ggml_dup_tensor(meta, there);
        ggml_tensor *from = there, *to = here;
        for (int i = 0; i < copies; i++) {
            ggml_build_forward_expand(p->graph, ggml_cpy(meta, from, to));
            std::swap(from, to);
        }
        allocate(*p);
        // The first run lets each thread touch its own part of both buffers
        // first, which is what places the pages on machines with several nodes.
        run(*p);
        fill_f32(there);
        return p.release();
    });
}

pb_probe *pb_probe_matmul(int device, int threads, int64_t inner, int64_t rows, int64_t columns, pb_error *err) {
    return pb::guarded<pb_probe *>(err, nullptr, [&] {
        auto p = make_probe(device, threads, 3);
        ggml_context *meta = p->meta.get();
        ggml_backend_dev_t dev = ggml_backend_get_device(p->backend.get());
        ggml_tensor *weight = ggml_new_tensor_2d(meta, GGML_TYPE_F16, inner, rows);
        ggml_tensor *input = ggml_new_tensor_2d(meta, GGML_TYPE_F32, inner, columns);
        ggml_tensor *product = ggml_mul_mat(meta, weight, input);
        ggml_build_forward_expand(p->graph, product);
        allocate_in(*p, weight, weight_buffer(dev, weight, product));
        allocate(*p);
        fill_f16(weight);
        fill_f32(input);
        return p.release();
    });
}

bool pb_probe_run(pb_probe *p, pb_error *err) {
    return pb::guarded(err, false, [&] { return run(*p), true; });
}

void pb_probe_free(pb_probe *p) { delete p; }
