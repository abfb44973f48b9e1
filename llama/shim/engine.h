// The handles behind shim.h, shared by the files that work on them.
#pragma once

#include "events.h"
#include "guard.h"

#include "ggml-backend.h"
#include "llama.h"

#include <memory>
#include <string>
#include <vector>

struct pb_model {
    llama_model *model = nullptr;
    ~pb_model() { llama_model_free(model); }
};

struct sampler_free {
    void operator()(llama_sampler *s) const { llama_sampler_free(s); }
};

namespace pb {

// What one call for several sequences hands to the engine; kept between calls,
// so that a decode step allocates nothing.
struct sequences {
    std::vector<llama_token> token;
    std::vector<llama_pos> pos;
    std::vector<int32_t> n_seq_id;
    std::vector<llama_seq_id> id;
    std::vector<llama_seq_id *> seq_id;
    std::vector<int8_t> logits;
    int last = 0; // tokens of each sequence in the call before; 0 when the logits are gone
};

} // namespace pb

struct pb_context {
    // The chains, one for each sequence or none, must outlive the context:
    // members are destroyed last to first.
    std::vector<std::unique_ptr<llama_sampler, sampler_free>> chains;
    pb::event_timer timer;
    llama_context *ctx = nullptr;
    int n_vocab = 0;
    int n_seq = 1;
    pb::sequences batch;
    ~pb_context() { llama_free(ctx); } // runs before the chains are freed
};

namespace pb {

// The index of the largest of n values, the first of equals; -1 if all are NaN.
int32_t argmax(const float *x, int64_t n);

// Chains, one for each of n sequences, that put the greedy choice into the
// compute graph, split or in one pass, and keep the logits on the device.
std::vector<std::unique_ptr<llama_sampler, sampler_free>> greedy_in_graph(int n, bool split);

// Throws what a return value of llama_decode says, unless it is success.
void check_decode(int rc);

// What memory a device has now, to end a message about memory that was not to
// be had: ": N MiB of M MiB are free on NAME". Nothing for no device: what the
// engine says of main memory is its size.
std::string free_on(ggml_backend_dev_t device);

// Returns what make returns. If that is NULL, or an allocation fails in it, it
// throws "no memory to <deed>" or "cannot <deed>".
template <typename F> auto made(const std::string &deed, ggml_backend_dev_t device, F make) {
    decltype(make()) out = nullptr;
    try {
        out = make();
    } catch (const assertion &) {
        if (!told_of_no_memory()) {
            throw;
        }
    }
    if (!out && told_of_no_memory()) {
        throw failure{PB_MEMORY, "no memory to " + deed + free_on(device)};
    }
    if (!out) {
        throw failure{PB_ENGINE, "cannot " + deed};
    }
    return out;
}

// What the weights cost a token: bytes read, and elements of the matrices that
// are multiplied with, in the layers and at the output. All 0 when the tensors
// do not tell, because a token does not pass through each of them once; unknown
// says why then.
struct token_cost {
    int64_t read_bytes = 0, body_params = 0, head_params = 0;
    const char *unknown = "";
};
token_cost cost_of(const llama_model *model);

// What keeps a model's cache from being keys and values of every head, layer and
// position alike; empty when it is that.
std::string kv_irregular(const llama_model *model);

} // namespace pb
