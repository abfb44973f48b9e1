// Evaluating a given text for what the model expects at each of its tokens.

#include "engine.h"

#include <algorithm>
#include <vector>

bool pb_score(pb_context *c, const int32_t *tokens, int n, int outputs, const float **logits, pb_error *err) {
    return pb::guarded(err, false, [&] {
        std::vector<int8_t> wanted(n);
        std::fill(wanted.end() - outputs, wanted.end(), 1);
        // The engine takes a non-const pointer but only reads through it; it
        // goes on from the cache's last position of sequence 0 by itself.
        llama_batch batch = {n, const_cast<int32_t *>(tokens), nullptr, nullptr, nullptr, nullptr, wanted.data()};
        pb::check_decode(llama_decode(c->ctx, batch));
        // Waits for the device. Without outputs there is nothing to read.
        llama_synchronize(c->ctx);
        *logits = outputs > 0 ? llama_get_logits(c->ctx) : nullptr;
        if (outputs > 0 && !*logits) {
            throw pb::failure{PB_ENGINE, "the engine returned no logits"};
        }
        return true;
    });
}
