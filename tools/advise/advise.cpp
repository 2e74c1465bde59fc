#include "tools/advise/advise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"
#include "tools/report/numbers.h"

namespace lethe::advise {
namespace {

constexpr const char* kPaper = "LoRA Learns Less and Forgets Less";
constexpr const char* kRegret = "LoRA Without Regret";

void check(double value, const char* what) {
  if (!(value > 0) || !std::isfinite(value))
    throw RequestError(fmt::format("{} must be above 0, not {}", what, value));
}

// The highest of the paper's usual ranks that fits, or the highest power of two below them.
int64_t highest_rank(const Request& r) {
  for (int64_t rank = 256; rank >= 1; rank /= 2) {
    const double bytes =
        lora_bytes(r.model.parameters, static_cast<double>(rank) * r.model.adapter_parameters_per_rank);
    if (rank <= r.model.smallest_side && (r.memory_bytes == 0 || bytes <= r.memory_bytes)) return rank;
  }
  throw RequestError(fmt::format(
      "LoRA of rank 1 needs {} for weights, gradients and optimizer, and there are {}",
      report::bytes_text(std::llround(lora_bytes(r.model.parameters, r.model.adapter_parameters_per_rank))),
      report::bytes_text(std::llround(r.memory_bytes))));
}

// Highest rank in the paper that is not above, or its lowest.
int64_t paper_rank(int64_t rank) {
  return rank >= 256 ? 256 : rank >= 64 ? 64 : 16;
}

// 5e-5 (2000 / hidden)^0.781 for full fine-tuning of a Llama, ten times that for LoRA.
double fitted_rate(int64_t hidden_size, bool full) {
  return (full ? 5e-5 : 5e-4) * std::pow(2000 / static_cast<double>(hidden_size), 0.781);
}

void choose_method(const Request& r, Advice& a) {
  const bool fits = r.memory_bytes == 0 || full_bytes(r.model.parameters) <= r.memory_bytes;
  a.full = r.kind == Kind::pretraining && fits;
  std::string reason;
  if (r.kind == Kind::instructions) {
    reason = "in instruction tuning LoRA of a high rank learned as much as full fine-tuning and forgot less";
  } else if (a.full) {
    reason =
        "in continued pretraining no rank of LoRA reached full fine-tuning, and the gap grew with the data";
  } else {
    reason =
        fmt::format("full fine-tuning, which learns more in continued pretraining, needs {} for its state",
                    report::bytes_text(std::llround(full_bytes(r.model.parameters))));
    a.warnings.push_back(
        "continued pretraining by LoRA learns less than full fine-tuning would, and ever less the "
        "more data there are (tables S1, S3)");
  }
  a.lines.push_back({"method", a.full ? "full" : "lora", reason, fmt::format("{}, 4.1 and 4.7 (a)", kPaper)});
}

void choose_adapter(const Request& r, Advice& a) {
  if (a.full) return;
  a.rank = highest_rank(r);
  const int64_t needed = rank_for_data(r.tokens, r.model.adapter_parameters_per_rank);
  a.lines.push_back(
      {"lora.rank", std::to_string(a.rank),
       fmt::format("256 if the memory allows, 16 to 64 were too low for code; these data fill rank {} at "
                   "2 bits a parameter and 1 bit a token",
                   needed),
       fmt::format("{}, 4.7 (b); {}, capacity", kPaper, kRegret)});
  if (needed > a.rank)
    a.warnings.push_back(
        fmt::format("the data may hold more than adapters of rank {} can (rank {} would be needed): "
                    "learning slows beyond that",
                    a.rank, needed));
  a.lines.push_back({"lora.alpha", std::to_string(2 * a.rank),
                     "twice the rank was best at every learning rate, and matters most at high ranks",
                     fmt::format("{}, figure S3 and 4.7 (c)", kPaper)});
  a.lines.push_back(
      {"lora.target_modules", "all",
       "attention alone was worst at every rank, even with as many parameters; the MLP does most",
       fmt::format("{}, figure 7; {}, layers", kPaper, kRegret)});
}

void choose_rate(const Request& r, Advice& a) {
  const double fitted = fitted_rate(r.model.hidden_size, a.full);
  // The paper's range for LoRA, and a tenth of it for full fine-tuning, in steps of about a third of a
  // decade.
  const double low = a.full ? 1e-6 : 1e-5, high = a.full ? 5e-5 : 5e-4;
  a.learning_rate = std::clamp(fitted, low, high);
  a.sweep = {low, 2 * low, 5 * low, 10 * low, 20 * low, 50 * low};
  a.lines.push_back(
      {"optimizer.learning_rate", report::scientific(a.learning_rate),
       fmt::format(
           "where to begin: the fit {} * (2000 / {})^0.781 for Llamas, within {} to {}; sweep that range and "
           "take the highest rate that is stable. LoRA's best is about 10 times full fine-tuning's and "
           "sharper",
           a.full ? "5e-5" : "5e-4", r.model.hidden_size, report::scientific(low), report::scientific(high)),
       fmt::format("{}, 4.7 (d) and figure S1; {}, learning rate", kPaper, kRegret)});
}

void choose_duration(const Request& r, Advice& a) {
  if (r.kind == Kind::pretraining) {
    a.lines.push_back({"train.duration", "1 epochs",
                       "fresh text teaches more than the same text again; both learning "
                       "and forgetting grow with it",
                       fmt::format("{}, tables S1 to S4", kPaper)});
    a.lines.push_back(
        {"schedule.name", "inverse_sqrt",
         "with schedule.alpha_f_decay=1 flat after the warm-up, and a cooldown over the last fifth: "
         "one run then serves every shorter duration",
         fmt::format("{}, appendix A", kPaper)});
    return;
  }
  a.epochs = a.full ? 2 : std::min<int64_t>(4, best_epochs(r.domain, paper_rank(a.rank)));
  a.lines.push_back({"train.duration", fmt::format("{} epochs", a.epochs),
                     "LoRA is less sample efficient: on a chat mixture it needed 4 epochs where full "
                     "fine-tuning was best after 2; "
                     "beyond 4, LoRA r256 learned little more and forgot much",
                     fmt::format("{}, tables S5 to S8 and appendix C", kPaper)});
  a.lines.push_back(
      {"schedule.name", "cosine",
       "with schedule.alpha_f=0.01 and a warm-up over a tenth of the run; each number of epochs is a run "
       "of its own",
       fmt::format("{}, appendix A", kPaper)});
}

void choose_batch(Advice& a) {
  if (a.full) return;
  a.lines.push_back({"train.batch_size", "32",
                     "large batches cost LoRA more than full fine-tuning, at any rank",
                     fmt::format("{}, batch size", kRegret)});
}

}  // namespace

double full_bytes(double parameters) {
  return 16 * parameters;
}

double lora_bytes(double parameters, double adapter_parameters) {
  return 2 * parameters + 16 * adapter_parameters;
}

int64_t rank_for_data(double tokens, double adapter_parameters_per_rank) {
  return std::max<int64_t>(1, std::llround(std::ceil(tokens / 2 / adapter_parameters_per_rank)));
}

Advice advise(const Request& r) {
  check(r.tokens, "the number of tokens");
  check(r.model.parameters, "the number of parameters");
  check(r.model.adapter_parameters_per_rank, "the parameters of an adapter");
  check(static_cast<double>(r.model.hidden_size), "the hidden size");
  if (r.memory_bytes != 0) check(r.memory_bytes, "the memory");
  Advice a;
  choose_method(r, a);
  choose_adapter(r, a);
  choose_rate(r, a);
  choose_duration(r, a);
  choose_batch(a);
  a.state_bytes = a.full ? full_bytes(r.model.parameters)
                         : lora_bytes(r.model.parameters,
                                      static_cast<double>(a.rank) * r.model.adapter_parameters_per_rank);
  a.expected_rank = a.full ? 0 : paper_rank(a.rank);
  a.expected =
      measured_in_paper(r.kind, r.domain, a.expected_rank,
                        r.kind == Kind::pretraining ? r.tokens / 1e9 : static_cast<double>(a.epochs));
  return a;
}

}  // namespace lethe::advise
