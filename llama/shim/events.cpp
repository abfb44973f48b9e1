// Device-side times from events on the engine's own compute stream.
//
// The engine computes on streams of its own that are not ordered with the
// default one, so an event recorded anywhere else would measure nothing. This
// file sees two private headers: llama-context.h, for the scheduler of a
// context and through it the GPU backend in use, and ggml-backend-impl.h, for
// the backend's event_record, which records on the stream it computes on, and
// its graph_compute, which is wrapped to mark where the kernels of a call begin.
// The events are the CUDA driver's, created with timing, and the
// driver is opened at run time: on a machine without it there is no timing.

#include "engine.h"
#include "events.h"

#include "ggml-backend-impl.h"
#include "llama-context.h"

#include <dlfcn.h>

namespace {

using cu_event = void *;

struct driver {
    int (*create)(cu_event *, unsigned) = nullptr;
    int (*destroy)(cu_event) = nullptr;
    int (*elapsed)(float *, cu_event, cu_event) = nullptr;
    bool usable = false;

    driver() {
        void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!lib) {
            return;
        }
        create = reinterpret_cast<decltype(create)>(dlsym(lib, "cuEventCreate"));
        destroy = reinterpret_cast<decltype(destroy)>(dlsym(lib, "cuEventDestroy_v2"));
        elapsed = reinterpret_cast<decltype(elapsed)>(dlsym(lib, "cuEventElapsedTime_v2"));
        if (!elapsed) {
            elapsed = reinterpret_cast<decltype(elapsed)>(dlsym(lib, "cuEventElapsedTime"));
        }
        usable = create && destroy && elapsed;
    }
};

const driver &cuda() {
    static const driver d;
    return d;
}

ggml_backend_t gpu_backend_of(llama_context *ctx) {
    ggml_backend_sched_t sched = ctx->get_sched();
    for (int i = 0; i < ggml_backend_sched_get_n_backends(sched); i++) {
        ggml_backend_t backend = ggml_backend_sched_get_backend(sched, i);
        ggml_backend_dev_t dev = ggml_backend_get_device(backend);
        if (dev && std::string(ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev))) == "CUDA") {
            return backend;
        }
    }
    return nullptr;
}

} // namespace

namespace pb {

// The timer whose call is being evaluated on this thread: graph_compute has no
// room for a pointer of ours.
static thread_local event_timer *active = nullptr;

struct event_timer::state {
    ggml_backend_t backend = nullptr;
    ggml_status (*compute)(ggml_backend_t, ggml_cgraph *) = nullptr;
    struct call {
        cu_event entry = nullptr, first = nullptr, last = nullptr;
        bool started = false, ended = false;

        // 0 asks for timing, which the engine's own events leave out.
        bool create() { return !cuda().create(&entry, 0) && !cuda().create(&first, 0) && !cuda().create(&last, 0); }
        void destroy() const {
            for (cu_event e : {entry, first, last}) {
                if (e) {
                    cuda().destroy(e);
                }
            }
        }
    };
    std::vector<call> calls;
    size_t limit = 0; // calls that were asked for; there may be room for more
    size_t begun = 0; // calls since start()
    bool every = false; // also the calls in the middle

    bool timing() const { return begun > 0 && begun <= limit; }
    // Whether a call is timed from its first kernel on.
    bool bounded(size_t call) const { return every || call == 0; }
    // Whether the end of a call is wanted: it ends a phase, or all are.
    bool ends(size_t call) const { return every || call == 0 || call + 1 == limit; }

    void record(cu_event e) {
        ggml_backend_event event = {ggml_backend_get_device(backend), e};
        backend->iface.event_record(backend, &event);
    }
};

static ggml_status timed_compute(ggml_backend_t backend, ggml_cgraph *graph) {
    event_timer *timer = active;
    return timer->compute(backend, graph);
}

event_timer::event_timer() = default;

event_timer::~event_timer() {
    if (s) {
        for (const auto &c : s->calls) {
            c.destroy();
        }
    }
}

ggml_status event_timer::compute(ggml_backend_t backend, ggml_cgraph *graph) {
    if (s->timing() && s->bounded(s->begun - 1)) {
        auto &c = s->calls[s->begun - 1];
        if (!c.started) { // a call may be several graphs
            s->record(c.first);
            c.started = true;
        }
    }
    return s->compute(backend, graph);
}

bool event_timer::start(llama_context *ctx, size_t calls, bool every) {
    if (!s && calls == 0) {
        return false;
    }
    if (!s) {
        ggml_backend_t backend = cuda().usable ? gpu_backend_of(ctx) : nullptr;
        if (!backend || !backend->iface.event_record) {
            return false;
        }
        s = std::make_unique<state>();
        s->backend = backend;
        s->compute = backend->iface.graph_compute;
        backend->iface.graph_compute = timed_compute;
    }
    s->limit = 0; // nothing is timed unless there is room for all
    while (s->calls.size() < calls) {
        state::call c;
        if (!c.create()) {
            c.destroy();
            return false;
        }
        s->calls.push_back(c);
    }
    for (auto &c : s->calls) {
        c.started = c.ended = false;
    }
    s->every = every;
    s->limit = calls;
    s->begun = 0;
    return calls > 0;
}

void event_timer::enter() {
    active = this;
    if (!s) {
        return;
    }
    s->begun++;
    // The entry is only needed where a phase begins: prefill is the first call
    // after start(), decode begins with the second.
    if (s->begun <= 2 && s->timing()) {
        s->record(s->calls[s->begun - 1].entry);
    }
}

void event_timer::leave() {
    if (s && s->timing() && s->ends(s->begun - 1)) {
        s->record(s->calls[s->begun - 1].last);
        s->calls[s->begun - 1].ended = true;
    }
}

double event_timer::busy_ms(size_t call) const {
    float ms = -1;
    if (!s || call >= s->begun || call >= s->limit || !s->calls[call].started || !s->calls[call].ended ||
        cuda().elapsed(&ms, s->calls[call].first, s->calls[call].last)) {
        return -1;
    }
    return ms;
}

double event_timer::span_ms(size_t from, size_t to) const {
    float ms = -1;
    if (!s || from > 1 || to < from || to >= s->begun || to >= s->limit || !s->calls[to].ended ||
        cuda().elapsed(&ms, s->calls[from].entry, s->calls[to].last)) {
        return -1;
    }
    return ms;
}

} // namespace pb

bool pb_timing_start(pb_context *c, int calls, bool every) {
    try {
        return c->timer.start(c->ctx, static_cast<size_t>(calls), every);
    } catch (...) {
        return false;
    }
}

double pb_timing_busy_ms(const pb_context *c, int call) { return c->timer.busy_ms(static_cast<size_t>(call)); }

double pb_timing_span_ms(const pb_context *c, int from, int to) {
    return c->timer.span_ms(static_cast<size_t>(from), static_cast<size_t>(to));
}
