// PiSSA (Meng et al., "PiSSA: Principal Singular Values and Singular Vectors Adaptation", 2024): A and B
// begin as the largest singular parts of W, and the base keeps what is left of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/config.h"
#include "model/weights/peft.h"

namespace lethe {

// The factors of a run's first moment, by AdapterTensor::name. What the run learned is W + s (B A - B0 A0), W
// being the base as its file has it: so they are needed until the adapter is exported.
using FirstFactors = std::map<std::string, std::vector<double>>;

// For each adapted map W [out, in] = U diag(v) V^T with its r largest singular values: A = diag(sqrt(v / s))
// V^T, B = U diag(sqrt(v / s)), s the adapter's scale; each rounded once to its dtype. `iterations`: 0 for
// LAPACK's whole decomposition, else the passes of truncated_svd. The base stays as it is. Host memory: one
// map at a time. Throws RunError for a weight that is not finite.
FirstFactors set_principal_factors(Session& session, const LlamaConfig& config, const LoraConfig& lora,
                                   int64_t iterations, uint64_t seed);
// W <- W - s B0 A0, in double, rounded once: from then on the model with the factors beside it is the base.
void take_from_base(Session& session, const LlamaConfig& config, const LoraConfig& lora,
                    const FirstFactors& first);

// Written as an adapter's folder beside a run, so that a resumed one begins with the same bits; read back.
void save_first_factors(const std::string& folder, const Session& session, const LlamaConfig& config,
                        const LoraConfig& lora, const FirstFactors& first);
FirstFactors load_first_factors(const std::string& folder, const LlamaConfig& config, const LoraConfig& lora);

// A plain adapter of the untouched base, as PEFT makes it of a PiSSA one (subtract_mutated_init): A' = [A;
// A0], B' = [B, -B0], ranks doubled, alphas such that the scale stays. Throws what write_adapter does.
void save_beside_base(const std::string& folder, const Session& session, const LlamaConfig& config,
                      const LoraConfig& lora, const FirstFactors& first, const std::string& base);

}  // namespace lethe
