#include "tools/bench/profile.h"

#include <fmt/format.h>

#include <algorithm>

namespace lethe {

void add_profile(std::vector<ProfileRow>& rows, const Tape& tape, const std::vector<double>& seconds) {
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
  }
}

std::string profile_table(std::vector<ProfileRow> rows, double flops_per_s, double bytes_per_s) {
  std::ranges::sort(rows, std::ranges::greater{}, &ProfileRow::seconds);
  double total = 0;
  for (const ProfileRow& row : rows) total += row.seconds;
  std::string text = fmt::format("{:<22}{:>6}{:>10}{:>8}{:>10}{:>8}{:>8}\n", "kind of node", "calls", "ms",
                                 "share", "GFLOP/s", "GB/s", "limit");
  for (const ProfileRow& row : rows) {
    const double flops = row.flops / row.seconds, bytes = row.bytes / row.seconds;
    text += fmt::format("{:<22}{:>6}{:>10.3f}{:>7.1f}%{:>10.1f}{:>8.1f}{:>7.0f}%\n", row.kind, row.calls,
                        row.seconds * 1e3, 100 * row.seconds / total, flops / 1e9, bytes / 1e9,
                        100 * std::max(flops / flops_per_s, bytes / bytes_per_s));
  }
  return text + fmt::format("{:<28}{:>10.3f}; sgemm reaches {:.1f} GFLOP/s, a copy {:.1f} GB/s\n",
                            "all nodes", total * 1e3, flops_per_s / 1e9, bytes_per_s / 1e9);
}

}  // namespace lethe
