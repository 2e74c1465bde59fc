#include "tools/bench/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lethe {
namespace {

// A node that took no measurable time has no rate.
double per_second(double amount, double seconds) {
  return seconds > 0 ? amount / seconds : 0;
}

}  // namespace

double Limits::seconds(const Cost& cost) const {
  return std::max(per_second(cost.flops, flops_per_s), per_second(cost.bytes, bytes_per_s));
}

void add_profile(std::vector<ProfileRow>& rows, const Tape& tape, const std::vector<double>& seconds,
                 const Limits& limits) {
  for (size_t n = 0; n < tape.nodes().size(); ++n) {
    const Node& node = tape.nodes()[n];
    auto row = std::ranges::find(rows, node.op->name(), &ProfileRow::kind);
    if (row == rows.end()) {
      rows.push_back({.kind = std::string(node.op->name())});
      row = rows.end() - 1;
    }
    const Cost cost = node.op->cost(node, tape);
    ++row->calls;
    row->seconds += seconds[n];
    row->flops += cost.flops;
    row->bytes += cost.bytes;
    row->limit_seconds += limits.seconds(cost);
  }
}

std::string profile_table(std::vector<ProfileRow> rows, const Limits& limits) {
  std::ranges::sort(rows, std::ranges::greater{}, &ProfileRow::seconds);
  const bool tera = limits.bytes_per_s > 1e12;
  const double unit = tera ? 1e12 : 1e9;
  const int digits = tera ? 3 : 1;
  const char* prefix = tera ? "T" : "G";
  double total = 0, least = 0;
  for (const ProfileRow& row : rows) total += row.seconds, least += row.limit_seconds;
  std::string text =
      fmt::format("{:<26}{:>6}{:>10}{:>8}{:>10}{:>8}{:>8}\n", "kind of node", "calls", "ms", "share",
                  fmt::format("{}FLOP/s", prefix), fmt::format("{}B/s", prefix), "limit");
  for (const ProfileRow& row : rows) {
    text += fmt::format("{:<26}{:>6}{:>10.3f}{:>7.1f}%{:>10.1f}{:>8.{}f}{:>7.0f}%\n", row.kind, row.calls,
                        row.seconds * 1e3, 100 * per_second(row.seconds, total),
                        per_second(row.flops, row.seconds) / unit, per_second(row.bytes, row.seconds) / unit,
                        digits, 100 * per_second(row.limit_seconds, row.seconds));
  }
  return text +
         fmt::format("{:<32}{:>10.3f}{:>34.0f}%\n", "all nodes", total * 1e3,
                     100 * per_second(least, total)) +
         fmt::format("this machine: products {:.1f} {}FLOP/s, a copy {:.{}f} {}B/s\n",
                     limits.flops_per_s / unit, prefix, limits.bytes_per_s / unit, digits, prefix);
}

std::vector<ProductRow> product_profile(const Tape& tape, const std::vector<double>& seconds) {
  std::vector<ProductRow> rows;
  for (size_t n = 0; n < tape.nodes().size(); ++n) {
    const auto product = product_of(tape, tape.nodes()[n]);
    if (!product) continue;
    auto row = std::ranges::find_if(rows, [&](const ProductRow& r) { return r.product.same_as(*product); });
    if (row == rows.end()) {
      rows.push_back({.product = *product, .seconds = seconds[n]});
    } else {
      ++row->product.count;
      row->seconds += seconds[n];
    }
  }
  return rows;
}

std::string product_table(std::vector<ProductRow> rows) {
  std::ranges::sort(rows, std::ranges::greater{}, &ProductRow::seconds);
  std::string text = fmt::format("{:<6}{:>8}{:>8}{:>8}  {:<16}{:>6}{:>10}{:>9}{:>10}{:>8}\n", "form", "m",
                                 "n", "k", "types", "calls", "ms", "TFLOP/s", "best", "limit");
  for (const ProductRow& row : rows) {
    const MatrixProduct& p = row.product;
    text += fmt::format(
        "{:<6}{:>8}{:>8}{:>8}  {:<16}{:>6}{:>10.3f}{:>9.1f}{:>10.1f}{:>7.0f}%\n", form_text(p), p.m, p.n, p.k,
        types_text(p), p.count, row.seconds * 1e3, per_second(p.flops(), row.seconds) / 1e12,
        per_second(p.flops(), row.best_seconds) / 1e12, 100 * per_second(row.best_seconds, row.seconds));
  }
  return text;
}

nlohmann::json profile_json(const std::vector<ProfileRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const ProfileRow& row : rows) {
    list.push_back({{"kind", row.kind},
                    {"calls", row.calls},
                    {"ms", row.seconds * 1e3},
                    {"flops", row.flops},
                    {"bytes", row.bytes},
                    {"limit", per_second(row.limit_seconds, row.seconds)}});
  }
  return list;
}

nlohmann::json product_json(const std::vector<ProductRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const ProductRow& row : rows) {
    const MatrixProduct& p = row.product;
    list.push_back({{"form", form_text(p)},
                    {"m", p.m},
                    {"n", p.n},
                    {"k", p.k},
                    {"types", types_text(p)},
                    {"calls", p.count},
                    {"ms", row.seconds * 1e3},
                    {"flops", p.flops()},
                    {"best_ms", row.best_seconds * 1e3}});
  }
  return list;
}

}  // namespace lethe
