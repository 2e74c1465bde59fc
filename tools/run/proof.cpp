#include "tools/run/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/rng.h"
#include "engine/step_inputs.h"

namespace lethe {

Probe make_probe(int64_t vocab_size, int64_t most_rows, int64_t most_tokens) {
  Probe probe{.rows = std::min<int64_t>(4, most_rows), .tokens = std::min<int64_t>(32, most_tokens)};
  const Rng rng(1, stream_of("proof"));
  for (int64_t i = 0; i < probe.rows * probe.tokens; ++i) {
    // By place in the row: a probe of fewer tokens is the front of a longer one.
    const auto place = static_cast<uint64_t>(i / probe.tokens * 32 + i % probe.tokens);
    probe.ids.push_back(static_cast<int32_t>(rng.below(place, static_cast<uint64_t>(vocab_size))));
  }
  return probe;
}

std::vector<float> probe_logits(Session& session, size_t evaluate, Var logits, int64_t rows, int64_t tokens,
                                const Probe& probe) {
  PlainBatch batch(rows, tokens);
  for (int64_t r = 0; r < probe.rows; ++r) {
    const auto row = std::span(probe.ids).subspan(static_cast<size_t>(r * probe.tokens),
                                                  static_cast<size_t>(probe.tokens));
    batch.set_row(r, tokens, row, {});
  }
  set_batch(session, batch.view());
  session.run(evaluate);
  const Buffer b = session.buffer(evaluate, logits);
  std::vector<float> found;
  dispatch_float(b.dtype, "logits", [&]<class T>() {
    std::vector<T> row(static_cast<size_t>(b.width));
    for (int64_t r = 0; r < probe.rows; ++r) {
      for (int64_t t = 0; t < probe.tokens; ++t) {
        session.backend().download(row.data(), b.as<const T>().row(r * tokens + t),
                                   b.width * static_cast<int64_t>(sizeof(T)));
        for (const T v : row) found.push_back(static_cast<float>(static_cast<compute_t<T>>(v)));
      }
    }
  });
  return found;
}

Proof compare_logits(const std::vector<float>& original, const std::vector<float>& loaded, int64_t vocab_size,
                     int64_t layers, double roundoff) {
  if (original.size() != loaded.size()) throw RunError("the loaded model has logits of another shape");
  Proof proof;
  bool finite = true;
  for (size_t i = 0; i < original.size(); ++i) {
    finite = finite && std::isfinite(loaded[i]) && std::isfinite(original[i]);
    proof.size = std::max(proof.size, std::abs(static_cast<double>(original[i])));
    proof.difference = std::max(proof.difference, std::abs(static_cast<double>(original[i]) - loaded[i]));
  }
  if (!finite) throw RunError("logits are not finite");
  proof.bound = 5 * std::sqrt(20.0 * static_cast<double>(layers)) * roundoff * proof.size;
  for (size_t first = 0; first < original.size(); first += static_cast<size_t>(vocab_size)) {
    const auto row = [&](const std::vector<float>& v) {
      return std::span(v).subspan(first, static_cast<size_t>(vocab_size));
    };
    const auto was = row(original), is = row(loaded);
    const auto best = std::ranges::max_element(was);
    const bool same = best - was.begin() == std::ranges::max_element(is) - is.begin();
    const auto near = std::ranges::count_if(was, [&](float v) { return v >= *best - 2 * proof.bound; });
    ++proof.tokens;
    proof.same += same;
    proof.clear += near == 1;
    proof.clear_same += near == 1 && same;
  }
  return proof;
}

double roundoff_of(StoredType type) {
  switch (type) {
    case StoredType::bf16:
      return 0x1p-9;
    case StoredType::f16:
      return 0x1p-12;
    default:
      return 0x1p-24;
  }
}

double roundoff_of(DType dtype) {
  return roundoff_of(stored_type_of(dtype));
}

std::string text_of(const Proof& p) {
  return fmt::format(
      "loaded back: logits differ by at most {:.3g} (bound {:.3g}, largest logit {:.3g}); {} of {} greedy "
      "tokens are the same, {} of {} where the choice is clear",
      p.difference, p.bound, p.size, p.same, p.tokens, p.clear_same, p.clear);
}

Proof write_proven(const std::string& folder, const std::function<void(const std::string&)>& write,
                   const std::function<Proof(const std::string&)>& prove) {
  namespace fs = std::filesystem;
  const std::string unproven = folder + ".unproven";
  fs::remove_all(unproven);
  write(unproven);
  const Proof proof = prove(unproven);
  if (!proof.holds()) {
    throw RunError(fmt::format("what was written to {} does not compute what it was made from: {}", unproven,
                               text_of(proof)));
  }
  fs::remove_all(folder);
  fs::rename(unproven, folder);
  return proof;
}

}  // namespace lethe
