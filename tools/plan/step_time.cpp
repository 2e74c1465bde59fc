#include "tools/plan/step_time.h"

#include <algorithm>

namespace lethe {

double exchange_seconds(double bytes, const Links& links) {
  if (links.world < 2 || bytes <= 0) return 0;
  const double others = links.world - 1, near = std::min(links.per_node, links.world) - 1;
  const double within = bytes * near / others / links.within_bytes_per_s;
  const double between = near < others ? bytes * (others - near) / others / links.between_bytes_per_s : 0;
  return links.latency_seconds + std::max(within, between);
}

ProgramTime program_time(const Tape& tape, const std::vector<double>& kernel_seconds, const Links& links) {
  const std::vector<int32_t> awaited = awaited_before(tape);
  const size_t count = tape.nodes().size();
  // What the kernels' stream waits for before each node, as the time at which it ends.
  std::vector<double> waits(count + 1);
  ProgramTime time;
  double kernels = 0, exchanges = 0;  // the times at which the streams are free
  for (size_t n = 0; n < count; ++n) {
    const Node& node = tape.nodes()[n];
    const Traffic traffic = node.op->traffic(node, tape);
    const double seconds = traffic.busiest > 0 ? exchange_seconds(static_cast<double>(traffic.busiest), links)
                                               : kernel_seconds[n];
    (traffic.busiest > 0 ? time.traffic_seconds : time.kernel_seconds) += seconds;
    time.sent_bytes += static_cast<double>(traffic.sent);
    if (node.stream == 0) {
      kernels = std::max(kernels, waits[n]) + seconds;
    } else {
      exchanges = std::max(exchanges, kernels) + seconds;
      double& wait = waits[static_cast<size_t>(awaited[n])];
      wait = std::max(wait, exchanges);
    }
  }
  time.seconds = std::max({kernels, exchanges, waits[count]});
  return time;
}

}  // namespace lethe
