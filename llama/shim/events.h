// Timing of a context's calls by events on its GPU stream; see events.cpp.
#pragma once

#include "ggml-backend.h"
#include "llama.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace pb {

class event_timer {
public:
    event_timer();
    ~event_timer();

    // Makes room for this many calls and forgets those before. The first call
    // and the ends of the first and the last are timed; with every set, all
    // calls are. False when there is no CUDA device to time.
    bool start(llama_context *ctx, size_t calls, bool every);
    // To be called at the start of each evaluating call, and when all of its
    // work is submitted.
    void enter();
    void leave();

    // From the first kernel of a call to the end of its work, or -1.
    double busy_ms(size_t call) const;
    // From the entry of call from, which must be 0 or 1, to the end of the work
    // of call to, or -1.
    double span_ms(size_t from, size_t to) const;

    ggml_status compute(ggml_backend_t backend, ggml_cgraph *graph);

private:
    struct state;
    std::unique_ptr<state> s;
};

} // namespace pb
