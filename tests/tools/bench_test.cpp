// The benchmark's figures, on a model small enough to take no time. Speed itself is not asserted.
#include "tools/bench/bench.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/bench/decode_bench.h"
#include "tools/bench/gpu_bench.h"
#include "tools/bench/process_clock.h"
#include "tools/bench/shapes.h"

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
  request.device = "cpu";
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
      if (!node.op->name().starts_with("matmul") && node.op->name() != "lora_linear") continue;
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
    EXPECT_NE(profile_table(result.profile, {1e9, 1e9}).find("attention_backward"), std::string::npos);
    std::remove(request.shape.c_str());
  }
}

TEST(Bench, TheLineOfGrowingTextsCountsTheBytesThatMustBeRead) {
  BenchRequest request;
  request.device = "cpu";
  request.batch = 3;
  request.seq = 8;
  request.threads = 1;
  const DecodeBenchResult result = run_decode_bench(request, 6);
  const LlamaConfig config = bench_shape("mini", false).config;
  const int64_t lookup = config.tie_word_embeddings ? 0 : config.vocab_size * config.hidden_size;
  EXPECT_EQ(result.weight_bytes, 4.0 * static_cast<double>(parameter_count(config) - lookup));
  // At 8 tokens of prompt and between the second and the sixth of the new ones: 12.
  EXPECT_EQ(result.kept_bytes,
            4.0 * 3 * 12 * 2 *
                static_cast<double>(config.num_hidden_layers * config.num_key_value_heads * config.head_dim));
  EXPECT_GT(result.step_ms.median, 0);
  const nlohmann::json line = decode_bench_json(result);
  EXPECT_NEAR(line.at("tokens_per_s").get<double>(), 3e3 / result.step_ms.median, 0.1);
  EXPECT_NEAR(line.at("share_of_bandwidth").get<double>(),
              (result.weight_bytes + result.kept_bytes) / result.bytes_per_s / (result.step_ms.median / 1e3),
              1e-4);
  EXPECT_THROW(run_decode_bench(request, 3), ConfigError);
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
  refused([](BenchRequest& r) { r.seq = 0; });
  refused([](BenchRequest& r) { r.batch = 0; });
  refused([](BenchRequest& r) { r.batch = -1; });
  refused([](BenchRequest& r) { r.device = "tpu"; });
  refused([](BenchRequest& r) { r.state = "fp8"; });
  refused([](BenchRequest& r) { r.recompute = "all"; });
  refused([](BenchRequest& r) { r.peak_tflops = 0; });
  refused([](BenchRequest& r) { r.steps = 0; });
  refused([](BenchRequest& r) { r.rank = 0; });
  refused([](BenchRequest& r) { r.threads = -1; });
}

// Those of the models that the shapes are named after.
TEST(Shapes, HaveTheParametersOfTheModelsTheyAreNamedAfter) {
  EXPECT_EQ(parameter_count(bench_shape("135m", true).config), 134'515'008);
  EXPECT_EQ(parameter_count(bench_shape("1b", true).config), 1'235'814'400);
  EXPECT_EQ(parameter_count(bench_shape("7b", true).config), 6'738'415'616);
  EXPECT_EQ(parameter_count(bench_shape("8b", true).config), 8'030'261'248);
}

TEST(Shapes, HaveABatchForEachDevice) {
  const auto step_of = [](const char* shape, const char* device) {
    BenchRequest request{.device = device, .shape = shape};
    const ProgramSpec spec = bench_spec(request);
    return std::pair(spec.rows, spec.tokens);
  };
  EXPECT_EQ(step_of("135m", "cuda"), std::pair(int64_t{16}, int64_t{2048}));
  EXPECT_EQ(step_of("1b", "cuda"), std::pair(int64_t{4}, int64_t{4096}));
  EXPECT_EQ(step_of("7b", "cuda"), std::pair(int64_t{2}, int64_t{4096}));
  EXPECT_EQ(step_of("8b", "cuda"), std::pair(int64_t{2}, int64_t{4096}));
  EXPECT_EQ(step_of("135m", "cpu"), std::pair(int64_t{1}, int64_t{256}));
}

TEST(Shapes, OnAGpuAStepIsInBfloat16AndRecomputesItsNorms) {
  BenchRequest request{.device = "cuda", .shape = "135m", .method = "lora"};
  const ProgramSpec spec = bench_spec(request);
  EXPECT_EQ(spec.precision.weights, DType::bf16);
  EXPECT_EQ(spec.precision.compute, DType::bf16);
  EXPECT_EQ(spec.recompute, Recompute::norms);
  EXPECT_EQ(spec.lora->rank, 64);
}

// By hand for two layers of the tiny shape: 24 wide, 6 heads of 4, 2 key and value heads, inner width 40.
TEST(Shapes, FlopsOfATokenCountWhatTrainingNeeds) {
  const std::string file = tiny_config_file("flops");
  const LlamaConfig config = bench_shape(file, false).config;
  const double maps = 2 * (24 * (24 + 8 + 8) + 24 * 24 + 3 * 24 * 40), head = 61 * 24,
               attention = 6.0 * 2 * 24 * 17;
  EXPECT_EQ(flops_per_token(config, 0, 17), 6 * (maps + head) + attention);
  const double low = 3.0 * 2 * ((24 + 24) + 2 * (24 + 8) + (24 + 24) + 3 * (24 + 40));
  EXPECT_EQ(flops_per_token(config, 3, 17), 4 * (maps + head) + 6 * low + attention);
  std::remove(file.c_str());
}

// What the step's own products are, but for those that a frozen weight's gradient would take and that nothing
// below the lowest adapter takes.
TEST(Shapes, FlopsOfATokenAreThoseOfTheTapesProducts) {
  BenchRequest request = tiny_request("token", "full");
  const ProgramSpec spec = bench_spec(request);
  const Programs programs = record_programs(spec);
  double products = 0;
  for (const MatrixProduct& p : matrix_products(*programs.tapes[programs.step->first])) products += p.flops();
  const double needed = flops_per_token(spec.config, 0, 17) - 6.0 * 2 * 24 * 17;
  EXPECT_DOUBLE_EQ(products, needed * 2 * 17);
  std::remove(request.shape.c_str());
}

// The tuned PyTorch trainer takes 46.9 GB for this step (torch.cuda.max_memory_allocated).
TEST(Plan, OfLlama7bWithLoraIsBelowThePeersPeak) {
  const nlohmann::json plan = plan_bench({.shape = "7b", .method = "lora"});
  EXPECT_EQ(plan["device"], "cuda");
  EXPECT_EQ(plan["rank"], 64);
  EXPECT_EQ(plan["batch"], 2);
  EXPECT_EQ(plan["seq"], 4096);
  EXPECT_EQ(plan["parameters"], 6'738'415'616);
  // bf16 weights with room for factors beside and below them (4% more), and the float adapters of rank 64,
  // 160 million values.
  EXPECT_NEAR(plan["weights_gb"].get<double>(), 2 * 6.738 * 1.038 + 4 * 0.160, 0.01);
  EXPECT_LT(plan["planned_gb"].get<double>(), 46.9);
  EXPECT_GT(plan["planned_gb"].get<double>(), plan["weights_gb"].get<double>());
}

TEST(GpuLine, HasThePeersKeysAndThePlan) {
  GpuBenchResult result;
  result.request = {.device = "cuda", .shape = "1b", .method = "lora"};
  result.spec = bench_spec(result.request);
  result.step_ms = {.median = 200, .low = 190, .high = 230};
  result.profile = GpuProfile{.limits = {800e12, 3e12}, .nodes_ms = 195};
  const nlohmann::json line = gpu_bench_json(result);
  for (const char* key :
       {"engine",      "shape",        "method",       "rank",  "batch",      "seq",       "tokens_per_s",
        "mfu",         "peak_gb",      "first_step_s", "loss",  "planned_gb", "used_gb",   "step_ms",
        "step_ms_low", "step_ms_high", "recompute",    "state", "gpu",        "precision", "profile"}) {
    EXPECT_TRUE(line.contains(key)) << key;
  }
  EXPECT_EQ(line["tokens_per_s"], 81920);  // 4 x 4096 in 0.2 s
  const double flops = flops_per_token(result.spec.config, 64, 4096);
  EXPECT_NEAR(line["mfu"].get<double>(), 81920 * flops / 989e12, 5e-5);
  EXPECT_EQ(line["profile"]["gap_ms"], 5);
}

TEST(Profile, AKindsLimitIsTheLeastTimeOfItsNodes) {
  const Limits limits{.flops_per_s = 100, .bytes_per_s = 10};
  EXPECT_EQ(limits.seconds({.flops = 200, .bytes = 10}), 2);
  EXPECT_EQ(limits.seconds({.flops = 10, .bytes = 40}), 4);
  const std::string table =
      profile_table({{.kind = "add", .calls = 3, .seconds = 4, .limit_seconds = 3}}, limits);
  EXPECT_NE(table.find("75%"), std::string::npos) << table;
}

TEST(Profile, TheDistinctProductsShareTheirTime) {
  BenchRequest request = tiny_request("distinct", "lora");
  const Programs programs = record_programs(bench_spec(request));
  const Tape& tape = *programs.tapes[programs.step->first];
  const auto rows = product_profile(tape, std::vector<double>(tape.nodes().size(), 0.5));
  EXPECT_EQ(rows.size(), matrix_products(tape).size());
  for (const ProductRow& row : rows) EXPECT_EQ(row.seconds, 0.5 * static_cast<double>(row.product.count));
  EXPECT_NE(product_table(rows).find("f32 f32 f32"), std::string::npos);
  std::remove(request.shape.c_str());
}

TEST(ProcessClock, RunsFromTheProcesssStart) {
  const double now = process_seconds();
  EXPECT_GE(now, 0);
  EXPECT_LT(now, 600);  // a test's limit
  EXPECT_GE(process_seconds(), now);
}

}  // namespace
}  // namespace lethe
