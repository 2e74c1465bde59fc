#include "tools/plan/several_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "engine/planner.h"
#include "tools/run/ranks.h"

namespace lethe {
namespace {

// A rank of a run that is planned and never started.
class PlannedComm final : public Comm {
 public:
  using Comm::Comm;
  void broadcast(void*, int64_t, int) override { refuse(); }
  void barrier() override { refuse(); }
  void end_all(int) override { refuse(); }
  void exchange(std::span<const Sent>, std::span<const Received>) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { throw CommError("plan", "a planned run has no other ranks"); }
};

constexpr double kFlopsPerSecond = 700e12, kBytesPerSecond = 3.3e12;

// By node, before the measured step says how long they are together.
std::vector<double> rough_seconds(const Tape& tape) {
  std::vector<double> seconds;
  for (const Node& node : tape.nodes()) {
    const Cost cost = node.op->cost(node, tape);
    seconds.push_back(std::max(cost.flops / kFlopsPerSecond, cost.bytes / kBytesPerSecond));
  }
  return seconds;
}

struct Step {
  Programs programs;
  std::vector<size_t> runs;  // the programs of a step, in order
};

Step record_step(ProgramSpec spec, int64_t micro_batches) {
  spec.accumulate = micro_batches > 1;
  Step made{record_programs(spec), {}};
  const StepPrograms& p = *made.programs.step;
  for (int64_t i = 0; i < micro_batches; ++i) {
    made.runs.push_back(i == 0 ? p.first : i + 1 == micro_batches ? p.last : p.next);
  }
  if (spec.optimizer) made.runs.push_back(p.update);
  return made;
}

// The whole step's kernels on one GPU, in rough seconds, and its FLOPs.
struct Alone {
  double rough = 0, flops = 0;
};
Alone alone(const ProgramSpec& spec, int64_t micro_batches) {
  const Step step = record_step(spec, micro_batches);
  Alone sum;
  for (const size_t run : step.runs) {
    const Tape& tape = *step.programs.tapes[run];
    const std::vector<double> seconds = rough_seconds(tape);
    sum.rough += std::accumulate(seconds.begin(), seconds.end(), 0.0);
    for (const Node& node : tape.nodes()) sum.flops += node.op->cost(node, tape).flops;
  }
  return sum;
}

// The rank that keeps most of what has owners.
int fullest_rank(const ProgramSpec& spec, int world) {
  if (spec.distribution.sharding == Sharding::none) return 0;
  ProgramSpec one = spec;
  one.distribution = {};
  const Programs programs = record_programs(one);
  Distribution ranks = spec.distribution;
  ranks.comm = std::make_shared<PlannedComm>(0, world);
  const std::vector<int> owners = weight_owners(*programs.state, ranks);
  std::vector<int64_t> held(static_cast<size_t>(world));
  for (size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] >= 0)
      held[static_cast<size_t>(owners[i])] += elements_of((*programs.state)[static_cast<int32_t>(i)].shape);
  }
  return static_cast<int>(std::ranges::max_element(held) - held.begin());
}

RanksFigures figures_of(const RanksPlan& plan, ProgramSpec spec, const std::string& sharding, double scale) {
  const RanksRequest& request = plan.request;
  RanksFigures f;
  f.sharding = sharding;
  spec.distribution.sharding = sharding_from(sharding);
  spec.distribution.comm = std::make_shared<PlannedComm>(fullest_rank(spec, request.world), request.world);
  const Step step = record_step(spec, plan.most_of_a_rank);
  const Plan memory = make_plan(*step.programs.state, step.programs.views(), {DeviceKind::cuda, 1});
  f.arena_bytes = memory.arena_bytes;
  f.weights = memory.bytes_of(Kind::weight);
  f.gradients = memory.bytes_of(Kind::gradient);
  f.optimizer = memory.bytes_of(Kind::optimizer);
  f.activations = memory.bytes_of(Kind::activation) + memory.bytes_of(Kind::workspace);
  const Links links{request.world, request.per_node, request.link_gbs * 1e9, request.network_gbs * 1e9,
                    request.latency_us * 1e-6};
  double kernels = 0;
  for (const size_t run : step.runs) {
    const Tape& tape = *step.programs.tapes[run];
    std::vector<double> seconds = rough_seconds(tape);
    for (double& s : seconds) s *= scale;
    const ProgramTime time = program_time(tape, seconds, links);
    f.step_seconds += time.seconds;
    kernels += time.kernel_seconds;
    f.traffic_seconds += time.traffic_seconds;
    f.sent_bytes += time.sent_bytes;
  }
  f.waited_seconds = f.step_seconds - kernels;
  f.efficiency = plan.alone_seconds / (request.world * f.step_seconds);
  return f;
}

void require_above_zero(const char* option, double value) {
  if (!(value > 0)) throw ConfigError(option, fmt::format("{} is not above 0", value));
}

}  // namespace

void check(const RanksRequest& request) {
  if (request.world < 1) throw ConfigError("--world", fmt::format("{} is below 1", request.world));
  if (request.per_node < 1) throw ConfigError("--per-node", fmt::format("{} is below 1", request.per_node));
  if (request.world > request.per_node && request.world % request.per_node != 0) {
    throw ConfigError("--per-node", fmt::format("{} GPUs are no whole number of nodes of {}", request.world,
                                                request.per_node));
  }
  require_above_zero("--link-gbs", request.link_gbs);
  require_above_zero("--network-gbs", request.network_gbs);
  if (!(request.latency_us >= 0))
    throw ConfigError("--latency-us", fmt::format("{} is below 0", request.latency_us));
}

RanksPlan plan_ranks(const RanksRequest& request, ProgramSpec spec, int64_t micro_batches) {
  check(request);
  RanksPlan plan{.request = request, .micro_batches = micro_batches};
  for (int r = 0; r < request.world; ++r)
    plan.most_of_a_rank = std::max(plan.most_of_a_rank, share_of(micro_batches, r, request.world).count);
  Distribution ranks = spec.distribution;
  spec.examiner = nullptr;
  spec.distribution = {};
  const Alone one = alone(spec, 1), whole = alone(spec, micro_batches);
  const Measured measured = request.measured.empty()
                                ? assumed(one.flops, request.peak_tflops, request.peak_share, spec)
                                : read_measured(request.measured, spec);
  plan.source = measured.source;
  // A micro-batch of other rows takes the time of as many tokens.
  const double scale = measured.step_seconds / one.rough * static_cast<double>(spec.rows * spec.tokens) /
                       static_cast<double>(measured.tokens);
  plan.alone_seconds = scale * whole.rough;
  spec.distribution = ranks;
  for (const char* sharding : {"none", "zero1", "zero2", "zero3"}) {
    try {
      plan.shardings.push_back(figures_of(plan, spec, sharding, scale));
    } catch (const ConfigError& error) {
      plan.shardings.push_back({.sharding = sharding, .refused = error.what()});
    }
  }
  return plan;
}

}  // namespace lethe
