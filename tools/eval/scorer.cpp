#include "tools/eval/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "data/packing.h"
#include "engine/ops/argmax.h"
#include "engine/ops/cross_entropy.h"
#include "engine/step_inputs.h"

namespace lethe::eval {
namespace {

constexpr const char* kRows = "scoring.rows";
constexpr const char* kLabels = "scoring.labels";
constexpr const char* kHidden = "scoring.hidden";
constexpr int64_t kSmallest = 4;  // as a part of the largest
constexpr int64_t kFewestTokens = 32;

Var first_of(Tape& tape, const char* name, int64_t count) {
  const Var whole = tape.persistent(name);
  if (tape.info(whole).elements() == count) return whole;
  return tape.view(whole, 0, {count}, name);
}

ScoringProgram record(const Transformer& model, const PassLimits& size, Tape& tape) {
  BatchInputs batch = batch_inputs(tape, 1, size.tokens, false);
  batch.output_rows = first_of(tape, kRows, size.wanted);
  if (can_branch(model.config())) batch.hidden = first_of(tape, kHidden, 2 * size.tokens);
  const Var logits = model.logits(tape, batch);
  const Var labels = first_of(tape, kLabels, size.wanted);
  ScoringProgram made{.size = size,
                      .losses = ops::cross_entropy(tape, logits, labels, "loss").losses,
                      .best = ops::argmax(tape, logits, "best")};
  tape.keep(made.losses);
  tape.keep(made.best);
  return made;
}

// Both ends of all tokens' gaps, one behind the other; padding sees all that its document holds.
std::vector<int32_t> hidden_of(const PackedPass& pass, size_t tokens) {
  std::vector<int32_t> made(2 * tokens, 0);
  std::ranges::copy(pass.hidden_from, made.begin());
  std::ranges::copy(pass.hidden_to, made.begin() + static_cast<std::ptrdiff_t>(tokens));
  return made;
}

double value_at(const void* values, DType dtype, size_t i) {
  return dtype == DType::f64 ? static_cast<const double*>(values)[i]
                             : static_cast<double>(static_cast<const float*>(values)[i]);
}

}  // namespace

bool can_branch(const LlamaConfig& config) {
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.window_of(layer) != 0) return false;
  }
  return true;
}

void declare_scoring_inputs(State& state, const PassLimits& size) {
  for (const char* name : {kRows, kLabels})
    state.declare({.name = name, .dtype = DType::i32, .shape = {size.wanted}, .kind = Kind::input});
  state.declare({.name = kHidden, .dtype = DType::i32, .shape = {2 * size.tokens}, .kind = Kind::input});
}

std::vector<ScoringProgram> record_scoring(State& state, const Transformer& model, const PassLimits& size,
                                           std::vector<std::unique_ptr<Tape>>& tapes) {
  std::vector<ScoringProgram> programs;
  for (int64_t part = 1; part <= kSmallest && size.tokens / part >= kFewestTokens; part *= 2) {
    for (int64_t share = part; share <= kSmallest * part && size.wanted / share > 0; share *= 2) {
      const PassLimits less{size.tokens / part, size.wanted / share};
      auto tape =
          std::make_unique<Tape>(state, fmt::format("score {} of {} tokens", less.wanted, less.tokens));
      programs.push_back(record(model, less, *tape));
      programs.back().program = tapes.size();
      tapes.push_back(std::move(tape));
    }
  }
  return programs;
}

Scorer::Queued Scorer::queue(PackedPass pass) {
  const auto tokens = std::ssize(pass.ids), wanted = std::ssize(pass.rows);
  const auto fits = [&](const ScoringProgram& p) {
    return tokens <= p.size.tokens && wanted <= p.size.wanted;
  };
  // By falling tokens, and for the same tokens by falling logits: the last that fits is the cheapest.
  size_t chosen = 0;
  for (size_t i = 0; i < programs_.size(); ++i) chosen = fits(programs_[i]) ? i : chosen;
  const ScoringProgram& p = programs_[chosen];
  // Padding is more of the last document, behind all that sees it.
  const auto size = static_cast<size_t>(p.size.tokens);
  pass.document_start.resize(size, pass.document_start.back());
  pass.ids.resize(size, 0);
  pass.positions.resize(size, 0);
  pass.rows.resize(static_cast<size_t>(p.size.wanted), 0);
  pass.labels.resize(static_cast<size_t>(p.size.wanted), ignored_label);
  std::vector<int32_t> hidden;  // until it is queued
  std::vector<Upload> parts;
  const auto add = [&](const char* name, const std::vector<int32_t>& values) {
    parts.push_back(
        {session_.buffer(name).data, values.data(), static_cast<int64_t>(values.size() * sizeof(int32_t))});
  };
  add(step::ids, pass.ids);
  add(step::positions, pass.positions);
  add(step::document_start, pass.document_start);
  if (branches_) {
    hidden = hidden_of(pass, size);
    add(kHidden, hidden);
  }
  add(kRows, pass.rows);
  add(kLabels, pass.labels);
  session_.backend().queue_uploads(parts);
  session_.run(p.program);
  const Buffer losses = session_.buffer(p.program, p.losses), best = session_.buffer(p.program, p.best);
  const std::array ranges = {DeviceRange{losses.data, wanted * size_of(losses.dtype)},
                             DeviceRange{best.data, wanted * size_of(best.dtype)}};
  return {std::move(pass), session_.backend().queue_read(ranges)};
}

void Scorer::take(const Queued& queued, std::span<const ScoreRequest> requests,
                  const OnScore& on_score) const {
  queued.values->wait();
  const DType dtype = session_.buffer(programs_[0].program, programs_[0].losses).dtype;
  const void* losses = queued.values->data(0);
  const auto* best = static_cast<const int32_t*>(queued.values->data(1));
  for (const PackedPass::Part& part : queued.pass.parts) {
    Score score;
    for (size_t i = part.first; i < part.first + requests[part.request].targets.size(); ++i) {
      score.log_likelihood -= value_at(losses, dtype, i);
      score.greedy = score.greedy && best[i] == queued.pass.labels[i];
    }
    on_score(part.request, score);
  }
}

void Scorer::run(std::span<const ScoreRequest> requests, int64_t requests_at_once, const OnScore& on_score) {
  PassLimits limits = size();
  limits.requests = requests_at_once;
  // The device has the next pass before the host looks at the one before.
  std::optional<Queued> before;
  for (const std::vector<Group>& groups : plan_passes(group_requests(requests, limits, branches_), limits)) {
    Queued queued = queue(pack(requests, groups));
    if (before) take(*before, requests, on_score);
    before = std::move(queued);
  }
  if (before) take(*before, requests, on_score);
}

}  // namespace lethe::eval
