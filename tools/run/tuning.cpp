#include "tools/run/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lethe {
namespace {

using kernels::MatmulTuning;

// The first words of the product's text: form and types.
std::string product_name(const kernels::MatmulProduct& p) {
  const std::string text = text_of(p);
  size_t end = 0;
  for (int words = 0; words < 4; ++words) end = text.find(' ', end + 1);
  return text.substr(0, end) + (p.write == kernels::Write::accumulate ? " +=" : "");
}

double teraflops(const MatmulTuning& t) {
  return t.best_us > 0 ? t.product.flops() / t.best_us / 1e6 : 0;
}

bool is_timed(const MatmulTuning& t) {
  return t.not_timed.empty();
}

// Its place among the candidates, or that it is one of our own.
std::string winner(const MatmulTuning& t) {
  const bool is_own = kernels::own_algorithm(t.choice.algorithm).has_value();
  return fmt::format("{}/{}", is_own ? "own" : std::to_string(t.which), t.candidates);
}

}  // namespace

std::string tuning_title() {
  return fmt::format("{:<21}{:>22}{:>6}{:>12}{:>12}{:>8}{:>8}{:>8}\n", "product", "m x n x k", "uses",
                     "untuned us", "fastest us", "which", "gain", "TFLOP/s");
}

std::string tuning_line(const MatmulTuning& t) {
  const kernels::MatmulProduct& p = t.product;
  const std::string start =
      fmt::format("{:<21}{:>22}{:>6}", product_name(p), fmt::format("{} x {} x {}", p.m, p.n, p.k), t.uses);
  if (!is_timed(t)) return fmt::format("{}  {}\n", start, t.not_timed);
  return fmt::format("{}{:>12.1f}{:>12.1f}{:>8}{:>7.1f}%{:>8.0f}\n", start, t.first_us, t.best_us, winner(t),
                     t.first_us > 0 ? 100 * (t.first_us / t.best_us - 1) : 0, teraflops(t));
}

std::string tuning_summary(const std::vector<MatmulTuning>& tunings) {
  double saved = 0, total = 0;
  for (const MatmulTuning& t : tunings) {
    const auto uses = static_cast<double>(t.uses);
    total += uses * t.best_us;
    if (t.first_us > 0) saved += uses * (t.first_us - t.best_us);
  }
  return fmt::format(
      "{} of {} products timed; one run of each program spends {:.2f} ms in products, {:.2f} ms less than "
      "untuned\n",
      std::ranges::count_if(tunings, is_timed), tunings.size(), total / 1000, saved / 1000);
}

nlohmann::json tuning_json(const std::vector<MatmulTuning>& tunings) {
  nlohmann::json list = nlohmann::json::array();
  for (const MatmulTuning& t : tunings) {
    nlohmann::json row{{"product", text_of(t.product)}, {"uses", t.uses}};
    if (t.best_us > 0) row.update({{"best_us", t.best_us}, {"tflops", teraflops(t)}});
    if (is_timed(t)) {
      row.update({{"untuned_us", t.first_us}, {"which", t.which}, {"candidates", t.candidates}});
      if (kernels::own_algorithm(t.choice.algorithm)) row["own"] = kernels::text_of(t.choice.algorithm);
    } else {
      row["not_timed"] = t.not_timed;
    }
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace lethe
