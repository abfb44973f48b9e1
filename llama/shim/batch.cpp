// Evaluating several sequences in lockstep, one call of the engine a step.
//
// This file sees one private header of the engine, llama-context.h: the public
// getters of what was sampled wait for the device again for each sequence, its
// own do not.

#include "engine.h"

#include "llama-context.h"

#include <algorithm>

static_assert(PB_MAX_SEQ == LLAMA_MAX_SEQ, "as many sequences as the engine allows");

namespace {

// Lists n tokens of each sequence, one sequence after the other, and asks for
// what follows the last of each.
void fill(pb_context *c, const int32_t *tokens, int n, int pos) {
    const size_t total = static_cast<size_t>(n) * c->n_seq;
    pb::sequences &b = c->batch;
    b.token.resize(total);
    b.pos.resize(total);
    b.n_seq_id.assign(total, 1);
    b.id.resize(total);
    b.seq_id.resize(total);
    b.logits.resize(total);
    size_t k = 0;
    for (int seq = 0; seq < c->n_seq; seq++) {
        for (int i = 0; i < n; i++, k++) {
            b.token[k] = tokens[static_cast<size_t>(i) * c->n_seq + seq];
            b.pos[k] = pos + i;
            b.id[k] = seq;
            b.seq_id[k] = &b.id[k];
            b.logits[k] = i == n - 1;
        }
    }
}

// What follows a token of the last call; the device must be idle.
int32_t chosen(pb_context *c, int index) {
    if (!c->chains.empty()) {
        return c->ctx->get_sampled_token_ith(index);
    }
    const float *logits = c->ctx->get_logits_ith(index);
    return logits ? pb::argmax(logits, c->n_vocab) : -1;
}

} // namespace

bool pb_decode_batch(pb_context *c, const int32_t *tokens, int n, int pos, int32_t *next, pb_error *err) {
    return pb::guarded(err, false, [&] {
        c->batch.last = 0;
        fill(c, tokens, n, pos);
        pb::sequences &b = c->batch;
        const int total = n * c->n_seq;
        const int n_batch = pb_context_n_batch(c);
        c->timer.enter();
        for (int done = 0, part; done < total; done += part) { // more than n_batch tokens in one call aborts the process
            part = std::min(total - done, n_batch);
            llama_batch batch = {part, &b.token[done], nullptr, &b.pos[done], &b.n_seq_id[done], &b.seq_id[done], &b.logits[done]};
            pb::check_decode(llama_decode(c->ctx, batch));
            if (done + part == total) {
                c->timer.leave();
            }
            // The next call would overwrite what this one says.
            llama_synchronize(c->ctx);
            for (int i = 0; i < part; i++) {
                if (!b.logits[done + i]) {
                    continue;
                }
                int32_t &token = next[b.id[done + i]];
                token = chosen(c, i);
                if (token < 0) {
                    throw pb::failure{PB_ENGINE, "the engine chose no token, as it does when all logits are NaN"};
                }
            }
        }
        if (total <= n_batch) {
            b.last = n;
        }
        return true;
    });
}

const float *pb_batch_logits(pb_context *c, int seq, pb_error *err) {
    return pb::guarded<const float *>(err, nullptr, [&] {
        if (!c->chains.empty()) {
            throw pb::failure{PB_BAD_INPUT, "logits stay on the device in this context: create it with HostArgmax"};
        }
        if (c->batch.last == 0) {
            throw pb::failure{PB_BAD_INPUT, "the tokens took more than one call of the engine, which leaves the logits of the last only: raise n_batch"};
        }
        const float *logits = llama_get_logits_ith(c->ctx, seq * c->batch.last + c->batch.last - 1);
        if (!logits) {
            throw pb::failure{PB_ENGINE, "the engine returned no logits"};
        }
        return logits;
    });
}
