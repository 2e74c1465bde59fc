// The plan of several GPUs: times of exchanges and programs computed by hand, and the whole table.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/ops/all_reduce.h"
#include "engine/ops/by_owner.h"
#include "engine/ops/copy.h"
#include "tests/files.h"
#include "tests/run/process.h"
#include "tools/plan/several_ranks.h"

namespace lethe::test {
namespace {

TEST(ExchangeSeconds, SharesBytesBetweenTheFastLinkAndTheNetwork) {
  const Links node{.world = 8, .per_node = 8, .within_bytes_per_s = 100, .between_bytes_per_s = 10};
  EXPECT_DOUBLE_EQ(exchange_seconds(700, node), 7);
  EXPECT_DOUBLE_EQ(exchange_seconds(0, node), 0);
  // Seven parts of 15 to the node, eight to the other: 1500 * 8 / 15 / 10 is longer than 1500 * 7 / 15 / 100.
  Links two = node;
  two.world = 16;
  two.latency_seconds = 0.5;
  EXPECT_DOUBLE_EQ(exchange_seconds(1500, two), 80.5);
  two.between_bytes_per_s = 1e9;
  EXPECT_DOUBLE_EQ(exchange_seconds(1500, two), 7.5);
  two.world = 1;
  EXPECT_DOUBLE_EQ(exchange_seconds(1500, two), 0);
}

class Ranks final : public Comm {
 public:
  using Comm::Comm;
  void broadcast(void*, int64_t, int) override {}
  void barrier() override {}
  void end_all(int) override { std::abort(); }
  void exchange(std::span<const Sent>, std::span<const Received>) override {}
};

TEST(ProgramTime, RunsSumsBesideKernelsUntilTheyAreAwaited) {
  State state;
  state.declare({.name = "x", .dtype = DType::f32, .shape = {30}, .kind = Kind::gradient});
  state.declare({.name = "y", .dtype = DType::f32, .shape = {30}, .kind = Kind::gradient});
  Tape tape(state, "program");
  const Var x = tape.persistent("x"), y = tape.persistent("y");
  const auto comm = std::make_shared<Ranks>(0, 3);
  ops::all_reduce(tape, {x}, comm);  // 2 * 120 * 2 / 3 = 160 bytes
  ops::copy(tape, y, {tape.tensor({30}, DType::f32, "z")});
  ops::copy(tape, x, {tape.tensor({30}, DType::f32, "w")});
  const Links links{.world = 3, .per_node = 3, .within_bytes_per_s = 10, .between_bytes_per_s = 1};
  const ProgramTime time = program_time(tape, {0, 5, 3}, links);
  EXPECT_DOUBLE_EQ(time.sent_bytes, 160);
  EXPECT_DOUBLE_EQ(time.traffic_seconds, 16);
  EXPECT_DOUBLE_EQ(time.kernel_seconds, 8);
  EXPECT_DOUBLE_EQ(time.seconds, 19) << "the sum runs beside the first copy, the second one waits for it";
  EXPECT_DOUBLE_EQ(program_time(tape, {0, 20, 3}, links).seconds, 23) << "a sum that is hidden costs nothing";
}

TEST(Traffic, OfOwnersGoesByTheOneThatHasMost) {
  State state;
  state.declare({.name = "x", .dtype = DType::f32, .shape = {30}, .kind = Kind::weight});
  state.declare({.name = "y", .dtype = DType::f32, .shape = {10}, .kind = Kind::weight});
  const auto of = [&](int rank, const auto& record) {
    Tape tape(state, "program");
    record(tape, std::vector{tape.persistent("x"), tape.persistent("y")}, std::make_shared<Ranks>(rank, 3));
    const Node& node = tape.nodes().back();
    return node.op->traffic(node, tape);
  };
  const auto sums = [](Tape& tape, const std::vector<Var>& both, const std::shared_ptr<Comm>& comm) {
    ops::reduce_to_owners(tape, both, {0, 2}, comm);
  };
  const auto gathers = [](Tape& tape, const std::vector<Var>& both, const std::shared_ptr<Comm>& comm) {
    ops::gather_from_owners(tape, both, {0, 2}, comm);
  };
  const int64_t sent[] = {40, 160, 120}, given[] = {240, 0, 80};
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(of(rank, sums).sent, sent[rank]) << rank;
    EXPECT_EQ(of(rank, gathers).sent, given[rank]) << rank;
    EXPECT_EQ(of(rank, sums).busiest, 240) << "rank 0 is sent two copies of 120 bytes";
    EXPECT_EQ(of(rank, gathers).busiest, 240);
  }
}

const std::string kFull = std::string(LETHE_SOURCE_DIR) + "/configs/plan/llama-2-7b-full.yaml";

nlohmann::json ranks_of(std::vector<std::string> more) {
  more.insert(more.begin(), {"plan", kFull, "--json"});
  const CommandResult result = lethe_command(more);
  EXPECT_EQ(result.status, 0) << result.err;
  return nlohmann::json::parse(result.out)["ranks"];
}

TEST(PlanCommandOfRanks, SendsWhatTheTableInTheDocsSays) {
  constexpr double parameters = 6738415616, world = 4;
  const nlohmann::json plan = ranks_of({"--world", "4", "--set", "train.batch_size=8", "--set",
                                        "optimizer.state=bfloat16", "--set", "train.gradients=bfloat16"});
  const nlohmann::json& s = plan["shardings"];
  ASSERT_EQ(s.size(), 4u);
  const double whole =
      2 * 2 * parameters * (world - 1) / world;  // bf16 gradients and as many bytes of weights
  EXPECT_NEAR(s[0]["sent_bytes"].get<double>() / whole, 1, 1e-3) << "norms' gradients are float32";
  // Of one rank: what it owns is within one tensor of a quarter.
  for (const size_t i : {1u, 2u}) EXPECT_NEAR(s[i]["sent_bytes"].get<double>() / whole, 1, 0.05) << i;
  // The embedding, 2% of the weights, is not needed by the backward pass.
  EXPECT_NEAR(s[3]["sent_bytes"].get<double>() / (1.5 * whole), 1, 0.05);
  EXPECT_EQ(s[0]["optimizer"], 4 * parameters);
  EXPECT_NEAR(s[1]["optimizer"].get<double>() / parameters, 1, 0.05);
  EXPECT_EQ(s[1]["weights"], 2 * parameters);
  // A quarter, and of two layers of 32 what others own: 2 / 32 * 3 / 4 of all, 0.19 of a quarter.
  EXPECT_NEAR(s[3]["weights"].get<double>() / (2 * parameters / world), 1 + 0.19, 0.05);
  for (const nlohmann::json& one : s) {
    EXPECT_LT(one["efficiency"], 1);
    EXPECT_GT(one["efficiency"], 0.5);
    EXPECT_NEAR(one["waited_ms"].get<double>(),
                one["sums_ms"].get<double>() * (1 - one["overlap"].get<double>()), 1e-6);
    EXPECT_GE(one["step_ms"].get<double>(), plan["alone_ms"].get<double>() / world);
  }
}

TEST(PlanCommandOfRanks, ASlowNetworkCostsEfficiency) {
  const auto efficiency = [](const std::string& per_node) {
    return ranks_of({"--world", "4", "--set", "train.batch_size=8", "--per-node",
                     per_node})["shardings"][0]["efficiency"]
        .get<double>();
  };
  EXPECT_GT(efficiency("4"), efficiency("2"));
  EXPECT_GT(efficiency("2"), efficiency("1"));
  const auto fast =
      ranks_of({"--world", "4", "--set", "train.batch_size=8", "--link-gbs", "1e12", "--latency-us", "0"});
  // Nothing but kernels is left, and every rank has a quarter of them; each updates all.
  const nlohmann::json& none = fast["shardings"][0];
  EXPECT_LT(none["waited_ms"].get<double>(), 1e-3);
}

TEST(PlanCommandOfRanks, TakesTheTimeOfAMeasuredStep) {
  const Folder folder;
  const auto line = [](double ms, int64_t parameters, const char* method, int world) {
    return nlohmann::json{{"parameters", parameters},
                          {"method", method},
                          {"rank", 0},
                          {"world", world},
                          {"batch", 1},
                          {"seq", 4096},
                          {"step_ms", ms},
                          {"gpu", "A"}}
        .dump();
  };
  const std::string file = write_text(
      folder / "measured.jsonl",
      line(111, 6738415616, "full", 2) + "\n\n" +
          nlohmann::json{{"lethe", nlohmann::json::parse(line(300, 6738415616, "full", 1))}}.dump() + "\n" +
          line(222, 5, "full", 1) + "\n{\"value\": 1}\n");
  // Two sequences a micro-batch where one was measured, and one micro-batch a step.
  const nlohmann::json plan = ranks_of({"--world", "1", "--measured", file});
  EXPECT_NEAR(plan["alone_ms"].get<double>(), 600, 1e-6);
  expect_parts(plan["kernels"].get<std::string>(), {"300", "1 x 4096", "on A"});
}

TEST(PlanCommandOfRanks, RefusesNonsense) {
  const Folder folder;
  const std::string other = write_text(
      folder / "other.jsonl",
      R"({"parameters": 5, "method": "lora", "rank": 8, "batch": 1, "seq": 64, "step_ms": 2, "shape": "odd"})");
  const std::string broken = write_text(folder / "broken.jsonl", "{\"step_ms\": 1\n");
  const std::pair<std::vector<std::string>, std::vector<std::string>> requests[] = {
      {{"--world", "0"}, {"--world", "0 is below 1"}},
      {{"--world", "8"}, {"train.micro_batch_size", "1 micro-batches", "8 processes"}},
      {{"--world", "12", "--per-node", "8"}, {"--per-node", "12 GPUs", "nodes of 8"}},
      {{"--world", "1", "--link-gbs", "0"}, {"--link-gbs", "0 is not above 0"}},
      {{"--world", "1", "--network-gbs", "-3"}, {"--network-gbs", "-3"}},
      {{"--world", "1", "--latency-us", "-1"}, {"--latency-us", "-1"}},
      {{"--world", "1", "--peak-share", "1.5"}, {"--peak-share", "1.5"}},
      {{"--world", "1", "--peak", "0"}, {"--peak", "0 TFLOP/s"}},
      {{"--world", "1", "--measured", "/no/such"}, {"/no/such"}},
      {{"--world", "1", "--measured", other}, {"--measured", "6738415616 parameters, full", "odd 5 lora"}},
      {{"--world", "1", "--measured", broken}, {"line 1", "no JSON object"}},
  };
  for (const auto& [more, words] : requests) {
    std::vector<std::string> arguments = {"plan", kFull};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = lethe_command(arguments);
    EXPECT_NE(result.status, 0) << more[1];
    EXPECT_TRUE(result.out.empty()) << result.out;
    expect_parts(result.err, words);
  }
}

}  // namespace
}  // namespace lethe::test
