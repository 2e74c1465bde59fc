#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "tools/advise/advise.h"
#include "tools/report/numbers.h"

namespace lethe::advise {

std::string text_of(const Request& request, const Advice& a) {
  std::string text;
  for (const Line& line : a.lines)
    text += fmt::format("{}={}\n    {}\n    [{}]\n", line.key, line.value, line.reason, line.source);
  std::vector<std::string> sweep;
  for (const double rate : a.sweep) sweep.push_back(report::scientific(rate));
  text += fmt::format("\nLearning rates to sweep: {}\n", fmt::join(sweep, ", "));
  text += fmt::format(
      "Weights, gradients and AdamW's state: {}{}, without activations\n",
      report::bytes_text(std::llround(a.state_bytes)),
      a.full ? " (16 bytes a parameter)" : " (2 bytes a parameter, 16 an adapter's; a frozen base in bf16)");
  const Measured& e = a.expected;
  const bool code = request.domain == Domain::code, tokens = request.kind == Kind::pretraining;
  text += fmt::format(
      "\nWhat to expect, from the paper's Llama-2-7B (tables {}), {} at {:.3g} {}{}:\n"
      "    {} rose by {} points (full fine-tuning: {}); the mean of HellaSwag, ARC-C and WinoGrande fell by "
      "{} (full: "
      "{})\n"
      "    Another model or other data will differ: only a study of your own says by how much.\n",
      e.tables, a.expected_rank == 0 ? "full fine-tuning" : fmt::format("LoRA r{}", a.expected_rank),
      e.duration, tokens ? "billion tokens" : "epochs", e.clamped ? ", the nearest that was run" : "",
      code ? "HumanEval" : "GSM8K", report::fixed(e.learned, 1), report::fixed(e.full_learned, 1),
      report::fixed(e.forgotten, 1), report::fixed(e.full_forgotten, 1));
  for (const std::string& warning : a.warnings) text += fmt::format("\nNote: {}.\n", warning);
  return text;
}

}  // namespace lethe::advise
