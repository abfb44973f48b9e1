// Greedy sampling inside the backend graph.
//
// The engine can run samplers as part of the compute graph, which spares the
// host a pass over the vocabulary for every token. Its greedy sampler leaves
// the logits in the set of tensors that are copied to the host; a second
// sampler behind it takes them out, since nobody reads them.

#include "engine.h"

namespace {

const char *name(const llama_sampler *) { return "keep-logits-on-device"; }
void apply(llama_sampler *, llama_token_data_array *) {}
bool backend_init(llama_sampler *, ggml_backend_buffer_type_t, uint32_t) { return true; }

void backend_apply(llama_sampler *, ggml_context *, ggml_cgraph *, llama_sampler_data *data) {
    data->logits = nullptr;
    data->probs = nullptr;
    data->candidates = nullptr;
}

llama_sampler *make();
llama_sampler *clone(const llama_sampler *) { return make(); }

llama_sampler_i make_interface() {
    llama_sampler_i i = {};
    i.name = name;
    i.apply = apply;
    i.clone = clone;
    i.backend_init = backend_init;
    i.backend_apply = backend_apply;
    return i;
}

llama_sampler *make() {
    static llama_sampler_i iface = make_interface();
    return llama_sampler_init(&iface, nullptr);
}

} // namespace

llama_sampler *pb::greedy_in_graph() {
    llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_greedy());
    llama_sampler_chain_add(chain, make());
    return chain;
}
