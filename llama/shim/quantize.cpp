// Quantized weights, by the engine's own quantizer.

#include "guard.h"

#include "llama.h"

#include <cstring>

namespace {

// Names of the engine's quantize tool (tools/quantize/quantize.cpp), in lower
// case: those that need no importance matrix, which random weights have none of.
const struct {
    const char *name;
    llama_ftype ftype;
} weight_types[] = {
    {"bf16", LLAMA_FTYPE_MOSTLY_BF16},     {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},     {"q6_k", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M}, {"q5_k_s", LLAMA_FTYPE_MOSTLY_Q5_K_S}, {"q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    {"q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},     {"q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M}, {"q4_k_s", LLAMA_FTYPE_MOSTLY_Q4_K_S},
    {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},     {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},     {"iq4_nl", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    {"iq4_xs", LLAMA_FTYPE_MOSTLY_IQ4_XS}, {"q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M}, {"q2_k", LLAMA_FTYPE_MOSTLY_Q2_K},
};

} // namespace

bool pb_quantize(const char *from, const char *to, const char *type, int threads, pb_error *err) {
    pb::install_hooks();
    return pb::guarded(err, false, [&] {
        for (const auto &t : weight_types) {
            if (std::strcmp(t.name, type) == 0) {
                llama_model_quantize_params p = llama_model_quantize_default_params();
                p.ftype = t.ftype;
                p.nthread = threads;
                if (llama_model_quantize(from, to, &p) != 0) {
                    throw pb::failure{PB_ENGINE, std::string("the engine could not quantize to ") + type};
                }
                return true;
            }
        }
        throw pb::failure{PB_BAD_INPUT, std::string("unknown type of weights ") + type};
    });
}
