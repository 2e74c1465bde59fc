// Rows for what the operations' table, made of awkward sizes, leaves out: widths that take 16-byte loads,
// heads as wide as models have, sequences of several tiles.
#include "tests/cuda/wide_cases.h"

#include "engine/ops/add.h"
#include "engine/ops/attention.h"
#include "engine/ops/copy.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/dropout.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/mul.h"
#include "engine/ops/rmsnorm.h"
#include "engine/ops/rope.h"
#include "engine/ops/silu.h"
#include "engine/ops/sum.h"
#include "engine/ops/swiglu.h"

namespace lethe::test {
namespace {

Var activation(CaseBuilder& b, const std::string& name, Shape shape, double spread = 1) {
  const Var x = b.tape().tensor(shape, b.dtype(), name + ".activation");
  ops::copy(b.tape(), b.parameter(name, shape, spread), {x});
  return x;
}

// Documents of unequal length: a start every `document` tokens, shifted by the row.
std::vector<int32_t> starts_of(int64_t rows, int64_t tokens, int64_t document) {
  std::vector<int32_t> starts;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t shifted = document ? (t + 5 * r) / document * document - 5 * r : 0;
      starts.push_back(static_cast<int32_t>(std::max<int64_t>(0, shifted)));
    }
  }
  return starts;
}

OpCase attention_case(const std::string& name, const ops::AttentionShape& s, int64_t document,
                      double dropout_rate = 0) {
  return {
      "attention_" + name, [=](CaseBuilder& b) {
        const int64_t rows = s.batch * s.tokens, width = (s.heads + 2 * s.kv_heads) * s.head_dim;
        // As in a model: parts of one buffer.
        const Var qkv = activation(b, "qkv", {rows, width}, 0.7);
        const Var q = b.tape().columns(qkv, 0, s.heads * s.head_dim, "q");
        const Var k = b.tape().columns(qkv, s.heads * s.head_dim, s.kv_heads * s.head_dim, "k");
        const Var v =
            b.tape().columns(qkv, (s.heads + s.kv_heads) * s.head_dim, s.kv_heads * s.head_dim, "v");
        const Var starts = b.integers("starts", {rows}, starts_of(s.batch, s.tokens, document));
        std::optional<ops::AttentionDropout> dropout;
        if (dropout_rate > 0) {
          dropout = {dropout_rate,
                     {.seed = b.integers64("seed64", {1}, {5}),
                      .step = b.integers64("step", {1}, {3}),
                      .first_row = b.integers64("first_row", {1}, {2 * s.tokens})},
                     77};
        }
        return std::vector<Var>{ops::attention(b.tape(), q, k, v, starts, s, "attention", 0, {}, dropout)};
      }};
}

// Every element-wise operation once.
OpCase elements_case(int64_t rows, int64_t width) {
  return {"elements_rows" + std::to_string(rows) + "_width" + std::to_string(width), [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const Var both = activation(b, "gate_up", {rows, 2 * width});
            const Var gate = tape.columns(both, 0, width, "gate"),
                      up = tape.columns(both, width, width, "up");
            const Var y = ops::swiglu(tape, gate, up), x = activation(b, "x", {rows, width});
            const Var sum = ops::add(tape, ops::silu(tape, x), y, "sum");
            const ops::StepRandom random{.seed = b.integers64("seed64", {1}, {5}),
                                         .step = b.integers64("step", {1}, {3}),
                                         .first_row = b.integers64("first_row", {1}, {11})};
            return std::vector<Var>{ops::dropout(tape, ops::mul(tape, sum, y), 0.2, random, 78)};
          }};
}

OpCase rmsnorm_case(int64_t rows, int64_t width) {
  return {"rmsnorm_activation_rows" + std::to_string(rows) + "_width" + std::to_string(width),
          [=](CaseBuilder& b) {
            const Var x = activation(b, "x", {rows, width}), gain = b.parameter("gain", {width});
            return std::vector<Var>{ops::rmsnorm(b.tape(), x, gain, 1e-5)};
          }};
}

// Two residual blocks' norms; `again`: they are made again for the backward pass.
OpCase residual_case(int64_t rows, int64_t width, int64_t pitch, bool again) {
  return {"residual_norms_rows" + std::to_string(rows) + "_width" + std::to_string(width) +
              (pitch ? "_pitch" + std::to_string(pitch) : ""),
          [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const Var x = activation(b, "x", {rows, width}), y = activation(b, "y", {rows, width});
            const auto first =
                ops::add_rmsnorm(tape, x, y, b.parameter("g0", {width}), 1e-5, "z0", "n0", pitch);
            const Var inner = ops::silu(tape, first.norm, "inner");
            const auto second =
                ops::add_rmsnorm(tape, first.sum, inner, b.parameter("g1", {width}), 1e-5, "z1", "n1", pitch);
            for (Node& node : tape.nodes()) node.remade = again && node.remake.op != nullptr;
            return std::vector<Var>{ops::mul(tape, second.norm, second.sum)};
          }};
}

// An output whose rows are wider than it: the K-extension's.
OpCase pitched_case(int64_t rows, int64_t width, int64_t pitch) {
  return {"swiglu_rows" + std::to_string(rows) + "_width" + std::to_string(width) + "_pitch" +
              std::to_string(pitch),
          [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const Var both = activation(b, "gate_up", {rows, 2 * width});
            const Var y = ops::swiglu(tape, tape.columns(both, 0, width, "gate"),
                                      tape.columns(both, width, width, "up"), "swiglu", pitch);
            return std::vector<Var>{ops::mul(tape, y, y)};
          }};
}

// Tokens in numbers that need one sorted tile or several. One id has a third of them, many chunks' worth;
// others cross a chunk's end or lie within. The padding's tokens add nothing.
OpCase embedding_case(const std::string& name, int32_t tokens, int64_t width, int32_t padding) {
  return {"embedding_" + name, [=](CaseBuilder& b) {
            std::vector<int32_t> ids;
            for (int32_t i = 0; i < tokens; ++i)
              ids.push_back(i % 3 == 0 ? 5 : i < 64 ? i % 2 : static_cast<int32_t>(int64_t{i} * i % 199));
            Tape& tape = b.tape();
            const Var table = b.parameter("table", {201, width});
            return std::vector<Var>{ops::embedding(tape, b.integers("ids", {tokens}, ids), table, b.dtype(),
                                                   "embedding", padding)};
          }};
}

OpCase rope_case(int64_t rows, int64_t heads, int64_t head_dim) {
  return {"rope_rows" + std::to_string(rows) + "_heads" + std::to_string(heads) + "_dim" +
              std::to_string(head_dim),
          [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const DType dtype = compute_dtype(b.dtype());
            const Var x = activation(b, "x", {rows, heads * head_dim});
            const Var values = b.constant("table", {16, head_dim},
                                          ops::rope_table_values(10000, head_dim, {}, 16, b.dtype()));
            const Var table = tape.tensor({16, head_dim}, dtype, "rope_table");
            ops::copy(tape, values, {table});
            std::vector<int32_t> positions;
            for (int64_t i = 0; i < rows; ++i) positions.push_back(static_cast<int32_t>(i * 7 % 16));
            ops::rope(tape, x, b.integers("positions", {rows}, positions), table, heads, head_dim);
            return std::vector<Var>{x};
          }};
}

// Ids that repeat within and beyond one block of tokens, and rows no id names.
std::vector<Var> embedded(CaseBuilder& b) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 300; ++i) ids.push_back(i % 7 == 0 ? 3 : i * i % 41);
  const Var table = b.parameter("table", {43, 640});
  return {ops::embedding(b.tape(), b.integers("ids", {300}, ids), table, b.dtype())};
}

std::vector<Var> classified(CaseBuilder& b) {
  std::vector<int32_t> labels;
  for (int32_t i = 0; i < 19; ++i) labels.push_back(i % 5 == 1 ? -100 : i * 211 % 4096);
  const Var x = b.parameter("x", {19, 24}), w = b.parameter("w", {4096, 24}, 0.5);
  const Var logits = ops::linear(b.tape(), x, w, "logits");
  return {ops::cross_entropy(b.tape(), logits, b.integers("labels", {19}, labels)).losses};
}

std::vector<Var> summed(CaseBuilder& b) {
  const Var s = b.tape().tensor({1}, compute_dtype(b.dtype()), "s");
  ops::sum(b.tape(), activation(b, "x", {37, 1024}), {s});
  return {s};
}

}  // namespace

std::vector<OpCase> wide_op_cases() {
  return {
      elements_case(6, 512),
      elements_case(3, 7),
      elements_case(1, 1),
      elements_case(2, 1025),
      rmsnorm_case(300, 2048),
      rmsnorm_case(5, 7),
      rmsnorm_case(3, 1025),
      rmsnorm_case(1100, 64),
      rmsnorm_case(2200, 256),
      rmsnorm_case(130, 576),
      rmsnorm_case(300, 1024),
      rmsnorm_case(1, 512),
      rmsnorm_case(70, 4096),
      rmsnorm_case(9, 8192),
      rmsnorm_case(3, 8200),
      residual_case(5, 7, 9, true),
      residual_case(40, 576, 0, false),
      residual_case(41, 576, 584, true),
      residual_case(6, 1024, 0, true),
      residual_case(33, 4096, 4160, true),
      residual_case(3, 8192, 0, false),
      residual_case(3, 1025, 1032, false),
      pitched_case(6, 512, 576),
      pitched_case(5, 1376, 1380),
      embedding_case("tokens5000", 5000, 40, -1),
      embedding_case("tokens2049_padding", 2049, 7, 3),
      embedding_case("tokens64", 64, 1025, -1),
      rope_case(9, 3, 64),
      rope_case(45, 12, 64),
      rope_case(9, 40, 64),
      rope_case(5, 65, 128),
      rope_case(67, 1, 16),
      rope_case(7, 5, 10),
      rope_case(2, 3, 4112),
      {"embedding_repeated", embedded},
      {"cross_entropy_vocabulary4096", classified},
      {"sum_rows37_width1024", summed},
      {"linear_rows96_in256_out160",
       [](CaseBuilder& b) {
         return std::vector<Var>{
             ops::linear(b.tape(), activation(b, "x", {96, 256}), b.parameter("w", {160, 256}, 0.1))};
       }},
      attention_case("head_dim64_grouped",
                     {.batch = 2, .tokens = 150, .heads = 6, .kv_heads = 2, .head_dim = 64}, 0),
      attention_case("head_dim80_documents",
                     {.batch = 2, .tokens = 130, .heads = 2, .kv_heads = 2, .head_dim = 80}, 37),
      attention_case("head_dim128_window",
                     {.batch = 1, .tokens = 200, .heads = 2, .kv_heads = 1, .head_dim = 128, .window = 70},
                     150),
      attention_case("dropout_head_dim64_grouped",
                     {.batch = 2, .tokens = 150, .heads = 6, .kv_heads = 2, .head_dim = 64}, 0, 0.1),
      attention_case("dropout_head_dim80_documents",
                     {.batch = 2, .tokens = 130, .heads = 2, .kv_heads = 2, .head_dim = 80}, 37, 0.1),
      attention_case("dropout_head_dim128_window",
                     {.batch = 1, .tokens = 200, .heads = 2, .kv_heads = 1, .head_dim = 128, .window = 70},
                     150, 0.1),
  };
}

}  // namespace lethe::test
