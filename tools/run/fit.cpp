#include "tools/run/fit.h"

#include <fmt/format.h>

#include <array>

namespace lethe {
namespace {

// From what costs nothing to what costs most.
struct Policy {
  Recompute recompute;
  const char* name;
};
constexpr std::array kPolicies = {Policy{Recompute::none, "none"},     Policy{Recompute::rmsnorm, "rmsnorm"},
                                  Policy{Recompute::swiglu, "swiglu"}, Policy{Recompute::norms, "norms"},
                                  Policy{Recompute::mlp, "mlp"},       Policy{Recompute::block, "block"}};

std::string gigabytes(int64_t bytes) {
  const double gb = static_cast<double>(bytes) / 1e9;
  return gb < 0.1 ? fmt::format("{:.3g} GB", gb) : fmt::format("{:.1f} GB", gb);
}

MemoryError refusal(const MemoryError& first, const ProgramSpec& spec, const Device& device,
                    int64_t budget_bytes) {
  const std::string what = std::string(first.what()).substr(first.tensor.size() + 2);
  return {first.tensor, fmt::format("{}; the run {}", what, fit_text(spec, device, budget_bytes))};
}

}  // namespace

int64_t planned_bytes(const ProgramSpec& spec, const Device& device) {
  const Programs programs = record_programs(spec);
  return make_plan(*programs.state, programs.views(), device).arena_bytes;
}

std::optional<Fit> cheapest_fit(const ProgramSpec& spec, const Device& device, int64_t budget_bytes) {
  if (!spec.optimizer && !spec.gradients) return std::nullopt;
  for (int64_t rows = spec.rows; rows >= 1; --rows) {
    if (spec.rows % rows != 0) continue;
    for (const Policy& policy : kPolicies) {
      const bool asked = policy.recompute == spec.recompute && spec.recompute_layers == 0;
      if (rows == spec.rows && (policy.recompute < spec.recompute || asked)) continue;
      ProgramSpec changed = spec;
      changed.recompute = policy.recompute;
      changed.recompute_layers = 0;
      changed.rows = rows;
      changed.accumulate = spec.accumulate || rows < spec.rows;
      const int64_t bytes = planned_bytes(changed, device);
      if (bytes <= budget_bytes) return Fit{policy.recompute, rows, bytes};
    }
  }
  return std::nullopt;
}

std::string fit_text(const ProgramSpec& spec, const Device& device, int64_t budget_bytes) {
  std::string text =
      fmt::format("needs {} of {}; ", gigabytes(planned_bytes(spec, device)), gigabytes(budget_bytes));
  const std::optional<Fit> fit = cheapest_fit(spec, device, budget_bytes);
  if (!fit) return text + "no way to recompute and no smaller micro-batch would fit";
  const char* name = kPolicies[static_cast<size_t>(fit->recompute)].name;
  if (fit->rows < spec.rows) text += fmt::format("train.micro_batch_size: {} with ", fit->rows);
  return text + fmt::format("train.recompute: {} would fit ({})", name, gigabytes(fit->arena_bytes));
}

std::unique_ptr<Session> make_session(Programs& programs, const ProgramSpec& spec,
                                      std::unique_ptr<Backend> backend, int64_t budget_bytes) {
  const Device device = backend->device();
  try {
    return std::make_unique<Session>(std::move(programs.state), std::move(programs.tapes), std::move(backend),
                                     budget_bytes);
  } catch (const MemoryError& e) {
    if (budget_bytes < 0) throw;
    throw refusal(e, spec, device, budget_bytes);
  }
}

Plan plan_within(const Programs& programs, const ProgramSpec& spec, const Device& device,
                 int64_t budget_bytes) {
  try {
    return make_plan(*programs.state, programs.views(), device, budget_bytes);
  } catch (const MemoryError& e) {
    throw refusal(e, spec, device, budget_bytes);
  }
}

}  // namespace lethe
