// What one token costs a model, by the tensors it was loaded with, and whether
// its cache grows by the same with each.
//
// This file sees a private header of the engine, llama-model.h, for the list of
// a model's tensors and for what it knows of each layer: the public calls tell
// sums only, and reading the file's header once more would parse the whole
// tokenizer again.

#include "engine.h"

#include "llama-ext.h" // llama_model_n_expert: exported, but in a header of the engine's own
#include "llama-model.h"

#include <map>
#include <string>

namespace {

// On a GPU a tied matrix is there twice under one name: as the output matrix,
// and on the host to be looked up.
std::map<std::string, const ggml_tensor *> tensors_of(const llama_model *model) {
    std::map<std::string, const ggml_tensor *> out;
    for (const auto &[name, tensor] : llama_internal_get_tensor_map(model)) {
        out.emplace(name, tensor);
    }
    return out;
}

// Tables of which a token reads a row: those with the operation GET_ROWS in the
// engine's list that dense models have.
bool looked_up(const std::string &name, bool tied) {
    return (name == "token_embd.weight" && !tied) || name == "position_embd.weight" || name == "token_types.weight" ||
           name == "per_layer_token_embd.weight";
}

} // namespace

pb::token_cost pb::cost_of(const llama_model *model) {
    token_cost cost;
    if (llama_model_n_expert(model) > 0) {
        cost.unknown = "a token uses some of the experts";
        return cost;
    }
    if (llama_model_is_recurrent(model) || llama_model_is_hybrid(model)) {
        cost.unknown = "recurrent layers multiply with more than their matrices";
        return cost;
    }
    const auto tensors = tensors_of(model);
    const bool tied = tensors.count("output.weight") == 0;
    for (const auto &[name, tensor] : tensors) {
        if (!looked_up(name, tied)) {
            cost.read_bytes += static_cast<int64_t>(ggml_nbytes(tensor));
        }
        if (name.rfind("blk.", 0) == 0 && ggml_n_dims(tensor) == 2) {
            cost.body_params += ggml_nelements(tensor);
        }
        if (name == (tied ? "token_embd.weight" : "output.weight")) {
            cost.head_params = ggml_nelements(tensor);
        }
    }
    return cost;
}

std::string pb::kv_irregular(const llama_model *model) {
    if (llama_model_is_hybrid(model)) {
        return "recurrent layers beside attention";
    }
    if (llama_model_is_recurrent(model)) {
        return "recurrent state in place of a cache";
    }
    const llama_hparams &h = model->hparams;
    if (h.n_swa > 0) {
        return "sliding-window attention";
    }
    if (h.is_mla()) {
        return "latent attention (MLA)";
    }
    for (uint32_t il = 0; il < h.n_layer(); il++) {
        if (!h.has_kv(il)) {
            return "layers that share a cache";
        }
        if (h.n_head_kv(il) != h.n_head_kv(0) || h.n_embd_head_k(il) != h.n_embd_head_k(0) || h.n_embd_head_v(il) != h.n_embd_head_v(0)) {
            return "layers with different KV heads";
        }
    }
    return "";
}
