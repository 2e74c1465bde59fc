// The benchmark's figures, on a model small enough to take no time. Speed itself is not asserted.
#include "tools/bench/bench.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace lethe {
namespace {

std::string tiny_config_file(const std::string& stem) {
  const std::string file = testing::TempDir() + stem + "_config.json";
  std::ofstream(file)
      << R"({"model_type": "llama", "vocab_size": 61, "hidden_size": 24, "intermediate_size": 40,
    "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "torch_dtype": "float32"})";
  return file;
}

BenchRequest tiny_request(const std::string& stem, const std::string& method) {
  BenchRequest request;
  request.shape = tiny_config_file(stem);
  request.method = method;
  request.rank = 3;
  request.batch = 2;
  request.seq = 17;
  request.steps = 3;
  request.threads = 2;
  return request;
}

TEST(Bench, TheProductsFoundAreAllMatrixProductsOfTheTape) {
  for (const char* method : {"full", "lora"}) {
    BenchRequest request = tiny_request("products", method);
    const Programs programs = record_programs(bench_spec(request));
    const Tape& tape = *programs.tapes[programs.step->first];
    double of_nodes = 0, of_products = 0;
    int64_t calls = 0, nodes = 0;
    for (const Node& node : tape.nodes()) {
      if (!node.op->name().starts_with("matmul")) continue;
      of_nodes += node.op->cost(node, tape).flops;
      ++nodes;
    }
    for (const MatrixProduct& p : matrix_products(tape)) {
      of_products += p.flops();
      calls += p.count;
    }
    EXPECT_DOUBLE_EQ(of_products, of_nodes) << method;
    EXPECT_EQ(calls, nodes) << method;
    std::remove(request.shape.c_str());
  }
}

// Full fine-tuning computes each map three times: y, dx and dW, 2 FLOPs per weight and token each.
TEST(Bench, FullFineTuningTakesSixFlopsPerWeightAndToken) {
  BenchRequest request = tiny_request("six", "full");
  const Programs programs = record_programs(bench_spec(request));
  const Tape& tape = *programs.tapes[programs.step->first];
  double flops = 0;
  for (const MatrixProduct& p : matrix_products(tape)) flops += p.flops();
  const double per_layer = 24 * (24 + 8 + 8) + 24 * 24 + 3 * 24 * 40, head = 61 * 24;
  EXPECT_DOUBLE_EQ(flops, 6.0 * 2 * 17 * (2 * per_layer + head));
  // Causal pairs of 17 tokens, 6 heads of 4, 2 rows, 2 layers; 2 products forward and 5 backward.
  EXPECT_DOUBLE_EQ(attention_flops(tape), 7.0 * 2 * (17.0 * 18 / 2) * 6 * 4 * 2 * 2);
  std::remove(request.shape.c_str());
}

TEST(Bench, TheLineHasWhatAReaderNeeds) {
  for (const char* method : {"full", "lora"}) {
    BenchRequest request = tiny_request("line", method);
    request.profile = true;
    const BenchResult result = run_bench(request);
    const nlohmann::json line = bench_json(result);
    for (const char* key : {"engine",     "device",       "threads",
                            "shape",      "method",       "rank",
                            "batch",      "seq",          "tokens_per_s",
                            "planned_gb", "first_step_s", "step_ms",
                            "loss",       "matmul_gflop", "attention_gflop",
                            "sgemm_ms",   "sgemm_gflops", "ratio",
                            "ratio_low",  "ratio_high",   "ratio_without_attention",
                            "profile"}) {
      EXPECT_TRUE(line.contains(key)) << key;
    }
    for (const auto& [key, value] : line.items()) {
      if (!value.is_number()) continue;
      EXPECT_TRUE(std::isfinite(value.get<double>())) << key;
    }
    EXPECT_GT(result.ratio.median, 0);
    EXPECT_LE(result.ratio.low, result.ratio.median);
    EXPECT_LE(result.ratio.median, result.ratio.high);
    EXPECT_EQ(line["rank"], std::string(method) == "lora" ? 3 : 0);
    // Random weights know nothing: some log(61) nats.
    EXPECT_NEAR(result.loss, std::log(61.0), 0.5);

    size_t nodes = 0;
    for (const ProfileRow& row : result.profile) nodes += static_cast<size_t>(row.calls);
    const Programs programs = record_programs(bench_spec(request));
    EXPECT_EQ(nodes, programs.tapes[programs.step->first]->nodes().size() +
                         programs.tapes[programs.step->update]->nodes().size());
    EXPECT_NE(profile_table(result.profile, 1e9, 1e9).find("attention_backward"), std::string::npos);
    std::remove(request.shape.c_str());
  }
}

TEST(Bench, SpreadIsMedianAndEnds) {
  const Spread odd = spread_of({3, 1, 2}), even = spread_of({4, 1, 2, 3});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(even.low, 1);
  EXPECT_EQ(even.high, 4);
}

TEST(Bench, RefusesWhatIsNoShapeOrMethod) {
  const auto refused = [](const auto& change) {
    BenchRequest request = tiny_request("refused", "full");
    const std::string file = request.shape;
    change(request);
    EXPECT_THROW(bench_spec(request), RequestError);
    std::remove(file.c_str());
  };
  refused([](BenchRequest& r) { r.shape = "maxi"; });
  refused([](BenchRequest& r) { r.method = "half"; });
  refused([](BenchRequest& r) { r.seq = 65; });
  refused([](BenchRequest& r) { r.seq = 1; });
  refused([](BenchRequest& r) { r.batch = -1; });
  refused([](BenchRequest& r) { r.steps = 0; });
  refused([](BenchRequest& r) { r.rank = 0; });
  refused([](BenchRequest& r) { r.threads = -1; });
}

}  // namespace
}  // namespace lethe
