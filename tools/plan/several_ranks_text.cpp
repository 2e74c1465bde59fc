#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/plan/several_ranks.h"

namespace lethe {

std::string describe_ranks(const RanksPlan& plan) {
  const RanksRequest& r = plan.request;
  std::string text = fmt::format(
      "\n{} GPUs, {} a node: {} micro-batches a step, {} on a GPU; kernels {}\n"
      "links {} GB/s within a node, {} between, {} us\n"
      "one GPU {:.1f} ms a step\n"
      "sharding  {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>10}\n",
      r.world, r.per_node, plan.micro_batches, plan.most_of_a_rank, plan.source, r.link_gbs, r.network_gbs,
      r.latency_us, plan.alone_seconds * 1e3, "GB", "weights", "grads", "state", "GB sent", "step ms",
      "sums ms", "waited", "overlap", "efficiency");
  for (const RanksFigures& f : plan.shardings) {
    if (!f.refused.empty()) {
      text += fmt::format("{:<9} {}\n", f.sharding, f.refused);
      continue;
    }
    const auto gb = [](auto bytes) { return static_cast<double>(bytes) / 1e9; };
    text += fmt::format(
        "{:<9} {:>8.2f} {:>8.2f} {:>8.2f} {:>8.2f} {:>9.3f} {:>9.1f} {:>9.1f} {:>9.1f} {:>7.1f}% {:>9.1f}%\n",
        f.sharding, gb(f.arena_bytes), gb(f.weights), gb(f.gradients), gb(f.optimizer), gb(f.sent_bytes),
        f.step_seconds * 1e3, f.traffic_seconds * 1e3, f.waited_seconds * 1e3, 100 * f.overlap(),
        100 * f.efficiency);
  }
  return text;
}

nlohmann::json ranks_json(const RanksPlan& plan) {
  const RanksRequest& r = plan.request;
  nlohmann::json json = {{"world", r.world},
                         {"per_node", r.per_node},
                         {"link_gb_per_s", r.link_gbs},
                         {"network_gb_per_s", r.network_gbs},
                         {"latency_us", r.latency_us},
                         {"kernels", plan.source},
                         {"micro_batches", plan.micro_batches},
                         {"micro_batches_of_a_rank", plan.most_of_a_rank},
                         {"alone_ms", plan.alone_seconds * 1e3},
                         {"shardings", nlohmann::json::array()}};
  for (const RanksFigures& f : plan.shardings) {
    if (!f.refused.empty()) {
      json["shardings"].push_back({{"sharding", f.sharding}, {"refused", f.refused}});
      continue;
    }
    json["shardings"].push_back({{"sharding", f.sharding},
                                 {"arena_bytes", f.arena_bytes},
                                 {"weights", f.weights},
                                 {"gradients", f.gradients},
                                 {"optimizer", f.optimizer},
                                 {"activations", f.activations},
                                 {"sent_bytes", f.sent_bytes},
                                 {"step_ms", f.step_seconds * 1e3},
                                 {"sums_ms", f.traffic_seconds * 1e3},
                                 {"waited_ms", f.waited_seconds * 1e3},
                                 {"overlap", f.overlap()},
                                 {"efficiency", f.efficiency}});
  }
  return json;
}

}  // namespace lethe
