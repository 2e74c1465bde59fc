#include <algorithm>
#include <cmath>

#include "engine/ops/add_linear.h"
#include "engine/ops/attention.h"
#include "engine/ops/bias.h"
#include "engine/ops/copy.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/embedding.h"
#include "engine/ops/head_norm.h"
#include "engine/ops/linear.h"
#include "engine/ops/rope.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> llama_op_cases();

namespace {

OpCase linear_case(const std::string& name, int64_t rows, int64_t in, int64_t out, int64_t pitch = 0) {
  return {"linear_" + name, [=](CaseBuilder& b) {
            const Var x = b.parameter("x", {rows, in}, 1.0, pitch);
            const Var w = b.parameter("w", {out, in});
            return std::vector<Var>{ops::linear(b.tape(), x, w)};
          }};
}

// The rows of what lies between are further apart than they are wide.
std::vector<Var> padded_between(CaseBuilder& b) {
  const Var x = b.parameter("x", {5, 7});
  const Var h = ops::linear(b.tape(), x, b.parameter("w", {6, 7}), "h", 9);
  return {ops::linear(b.tape(), h, b.parameter("v", {3, 6}), "y"), h};
}

// Two adapters on parts of one merged projection, whose parts are then read through views of their own.
std::vector<Var> merged_with_adapters(CaseBuilder& b) {
  Tape& tape = b.tape();
  const Var x = b.parameter("x", {9, 7});
  const Var y = ops::linear(tape, x, b.parameter("w", {11, 7}), "merged");
  const Var u = ops::linear(tape, x, b.parameter("a0", {3, 7}), "u0");
  ops::add_linear(tape, tape.columns(y, 0, 5, "part0"), u, b.parameter("b0", {5, 3}), 0.5);
  const Var v = ops::linear(tape, x, b.parameter("a1", {2, 7}), "u1");
  ops::add_linear(tape, tape.columns(y, 5, 6, "part1"), v, b.parameter("b1", {6, 2}), -2.0);
  return {tape.columns(y, 0, 5, "again0"), tape.columns(y, 5, 6, "again1"), tape.columns(y, 0, 5, "third0")};
}

// The adapter's part is a view, the reader takes the whole.
std::vector<Var> whole_with_adapter(CaseBuilder& b) {
  Tape& tape = b.tape();
  const Var x = b.parameter("x", {4, 5});
  const Var y = ops::linear(tape, x, b.parameter("w", {6, 5}), "merged");
  const Var u = ops::linear(tape, x, b.parameter("a", {1, 5}), "u");
  ops::add_linear(tape, tape.columns(y, 2, 3, "part"), u, b.parameter("b", {3, 1}), 1.5);
  return {y};
}

std::vector<int32_t> positions_of(int64_t rows, int64_t tokens) {
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < rows * tokens; ++i) positions.push_back(static_cast<int32_t>(i % tokens));
  return positions;
}

// In the compute dtype, which is wider than bf16 cases store their constants in.
Var rope_table(CaseBuilder& b, int64_t positions, int64_t head_dim) {
  const Shape shape{positions, head_dim};
  const Var values =
      b.constant("table", shape, ops::rope_table_values(10000, head_dim, {}, positions, b.dtype()));
  const Var table = b.tape().tensor(shape, compute_dtype(b.dtype()), "rope_table");
  ops::copy(b.tape(), values, {table});
  return table;
}

// A parameter as an activation: its gradient has the case's dtype on the way.
Var activation(CaseBuilder& b, const std::string& name, Shape shape, double spread, int64_t pitch = 0) {
  const Var x = b.tape().tensor(shape, b.dtype(), name + ".activation", Kind::activation, pitch);
  ops::copy(b.tape(), b.parameter(name, shape, spread), {x});
  return x;
}

// Every row's documents start at multiples of `document` tokens; 0: one document.
std::vector<int32_t> starts_of(int64_t rows, int64_t tokens, int64_t document) {
  std::vector<int32_t> starts = positions_of(rows, tokens);
  for (int32_t& s : starts) s = document ? static_cast<int32_t>(s / document * document) : 0;
  return starts;
}

OpCase attention_case(const std::string& name, const ops::AttentionShape& s, int64_t document = 0,
                      int64_t pitch = 0) {
  return {"attention_" + name, [=](CaseBuilder& b) {
            const int64_t rows = s.batch * s.tokens;
            const Var q = activation(b, "q", {rows, s.heads * s.head_dim}, 1.5, s.heads * s.head_dim + 3);
            const Var k = activation(b, "k", {rows, s.kv_heads * s.head_dim}, 1.5);
            const Var v = activation(b, "v", {rows, s.kv_heads * s.head_dim}, 1.0);
            const Var starts = b.integers("starts", {rows}, starts_of(s.batch, s.tokens, document));
            return std::vector<Var>{ops::attention(b.tape(), q, k, v, starts, s, "attention", pitch)};
          }};
}

OpCase dropped_attention_case(const std::string& name, const ops::AttentionShape& s, double rate,
                              int64_t document = 0) {
  return {
      "attention_dropout_" + name, [=](CaseBuilder& b) {
        const int64_t rows = s.batch * s.tokens;
        const Var q = activation(b, "q", {rows, s.heads * s.head_dim}, 1.5, s.heads * s.head_dim + 3);
        const Var k = activation(b, "k", {rows, s.kv_heads * s.head_dim}, 1.5);
        const Var v = activation(b, "v", {rows, s.kv_heads * s.head_dim}, 1.0);
        const Var starts = b.integers("starts", {rows}, starts_of(s.batch, s.tokens, document));
        const ops::AttentionDropout dropout{
            .rate = rate,
            .random = {.seed = b.integers64("seed64", {1}, {5}),
                       .step = b.integers64("step", {1}, {3}),
                       .first_row = b.integers64("first_row", {1}, {2 * s.tokens})},
            .stream = 77};
        return std::vector<Var>{ops::attention(b.tape(), q, k, v, starts, s, "attention", 0, {}, dropout)};
      }};
}

// As a model uses them: one projection, rope on two of its parts in place, attention over all three.
std::vector<Var> projected_attention(CaseBuilder& b) {
  Tape& tape = b.tape();
  const ops::AttentionShape s{.batch = 2, .tokens = 7, .heads = 4, .kv_heads = 2, .head_dim = 4};
  const Var x = b.parameter("x", {14, 5});
  const Var qkv = ops::linear(tape, x, b.parameter("w", {32, 5}), "qkv");
  const Var q = tape.columns(qkv, 0, 16, "q"), k = tape.columns(qkv, 16, 8, "k");
  const Var v = tape.columns(qkv, 24, 8, "v");
  const Var positions = b.integers("positions", {14}, positions_of(2, 7)), table = rope_table(b, 7, 4);
  ops::rope(tape, q, positions, table, 4, 4, "rope_q");
  ops::rope(tape, k, positions, table, 2, 4, "rope_k");
  return {ops::attention(tape, q, k, v, b.integers("starts", {14}, starts_of(2, 7, 4)), s)};
}

// The same with queries and keys turned at once, by a view that is neither.
std::vector<Var> projected_attention_turned_at_once(CaseBuilder& b) {
  Tape& tape = b.tape();
  const ops::AttentionShape s{.batch = 2, .tokens = 7, .heads = 4, .kv_heads = 2, .head_dim = 4};
  const Var x = b.parameter("x", {14, 5});
  const Var qkv = ops::linear(tape, x, b.parameter("w", {32, 5}), "qkv");
  const Var u = ops::linear(tape, x, b.parameter("a", {2, 5}), "u");
  ops::add_linear(tape, tape.columns(qkv, 16, 8, "k_adapted"), u, b.parameter("b", {8, 2}), 0.5);
  ops::rope(tape, tape.columns(qkv, 0, 24, "qk"), b.integers("positions", {14}, positions_of(2, 7)),
            rope_table(b, 7, 4), 6, 4);
  const Var q = tape.columns(qkv, 0, 16, "q"), k = tape.columns(qkv, 16, 8, "k");
  const Var v = tape.columns(qkv, 24, 8, "v");
  return {ops::attention(tape, q, k, v, b.integers("starts", {14}, starts_of(2, 7, 4)), s)};
}

// The gradient that rope turns in place is also another tensor's: x passes it on to a copy.
std::vector<Var> rope_of_shared_gradient(CaseBuilder& b) {
  Tape& tape = b.tape();
  const Var x = ops::linear(tape, b.parameter("p", {5, 3}), b.parameter("w", {8, 3}), "x");
  const Var turned = ops::linear(tape, b.parameter("r", {5, 2}), b.parameter("v", {8, 2}), "turned");
  ops::rope(tape, turned, b.integers("positions", {5}, {0, 3, 1, 6, 2}), rope_table(b, 7, 4), 2, 4);
  const Var sum = tape.tensor({5, 8}, b.dtype(), "sum");
  ops::copy(tape, turned, {sum});
  ops::copy(tape, x, {sum, Access::accumulate});
  return {sum};
}

// As a model uses it: on the whole of a merged projection whose parts are then read.
OpCase bias_case(const std::string& name, int64_t rows, int64_t out, int64_t pitch = 0) {
  return {
      "bias_" + name, [=](CaseBuilder& b) {
        Tape& tape = b.tape();
        const Var y = ops::linear(tape, b.parameter("x", {rows, 3}), b.parameter("w", {out, 3}), "y", pitch);
        ops::add_bias(tape, y, b.parameter("bias", {out}));
        return std::vector<Var>{tape.columns(y, 0, 2, "front"), tape.columns(y, 2, out - 2, "back")};
      }};
}

// Queries and keys of a merged projection, each with a gain of its own, side by side in one buffer that is
// then turned as a whole.
OpCase head_norm_case(const std::string& name, int64_t rows, int64_t head_dim, int64_t pitch = 0) {
  return {"head_norm_" + name, [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            const int64_t d = head_dim;
            const Var x = b.parameter("x", {rows, 3});
            const Var qkv = ops::linear(tape, x, b.parameter("w", {4 * d, 3}), "qkv", pitch);
            const Var qk = tape.tensor({rows, 3 * d}, b.dtype(), "normed");
            const Var q = tape.columns(qk, 0, 2 * d, "q"), k = tape.columns(qk, 2 * d, d, "k");
            ops::head_norm(tape, tape.columns(qkv, 0, 2 * d, "q_in"), b.parameter("q_gain", {d}), q, 1e-3);
            ops::head_norm(tape, tape.columns(qkv, 2 * d, d, "k_in"), b.parameter("k_gain", {d}), k, 1e-3);
            const Var positions = b.integers("positions", {rows}, positions_of(1, rows));
            ops::rope(tape, qk, positions, rope_table(b, rows, d), 3, d);
            return std::vector<Var>{q, k, tape.columns(qkv, 3 * d, d, "v")};
          }};
}

OpCase cross_entropy_case(const std::string& name, int64_t rows, int64_t vocabulary, double spread) {
  return {"cross_entropy_" + name, [=](CaseBuilder& b) {
            std::vector<int32_t> labels;
            for (int64_t i = 0; i < rows; ++i)
              labels.push_back(i % 3 == 1 ? -100 : static_cast<int32_t>(i * 7 % vocabulary));
            // Logits of a node: their gradient may take their memory.
            const Var x = b.parameter("x", {rows, 3}, spread), w = b.parameter("w", {vocabulary, 3});
            const Var logits = ops::linear(b.tape(), x, w, "logits");
            return std::vector<Var>{
                ops::cross_entropy(b.tape(), logits, b.integers("labels", {rows}, labels)).losses};
          }};
}

}  // namespace

std::vector<OpCase> llama_op_cases() {
  return {
      linear_case("rows1_in1_out1", 1, 1, 1),
      linear_case("rows5_in7_out3_pitch9", 5, 7, 3, 9),
      linear_case("rows3_in1025_out2", 3, 1025, 2),
      {"linear_padded_between", padded_between},
      {"linear_merged_with_adapters", merged_with_adapters},
      {"linear_whole_with_adapter", whole_with_adapter},
      {"linear_tied_with_embedding",
       [](CaseBuilder& b) {
         const Var table = b.parameter("table", {6, 5});
         const Var x =
             ops::embedding(b.tape(), b.integers("ids", {7}, {3, 0, 3, 5, 1, 3, 0}), table, b.dtype());
         return std::vector<Var>{ops::linear(b.tape(), x, table)};
       }},
      {"embedding_padding",
       [](CaseBuilder& b) {
         // Row 2 is the padding; no id names it here, so its value moves nothing.
         const Var table = b.parameter("table", {4, 7});
         const Var ids = b.integers("ids", {3}, {3, 0, 3});
         return std::vector<Var>{ops::embedding(b.tape(), ids, table, b.dtype(), "embedding", 2)};
       }},
      attention_case("token1", {.batch = 1, .tokens = 1, .heads = 1, .kv_heads = 1, .head_dim = 2}),
      attention_case("grouped", {.batch = 2, .tokens = 7, .heads = 4, .kv_heads = 2, .head_dim = 6}),
      attention_case("documents", {.batch = 2, .tokens = 11, .heads = 2, .kv_heads = 2, .head_dim = 4}, 4),
      attention_case("pitched_out", {.batch = 2, .tokens = 5, .heads = 2, .kv_heads = 1, .head_dim = 4}, 3,
                     11),
      attention_case("window",
                     {.batch = 1, .tokens = 13, .heads = 3, .kv_heads = 1, .head_dim = 4, .window = 3}),
      attention_case("blocks",
                     {.batch = 1, .tokens = 201, .heads = 2, .kv_heads = 1, .head_dim = 4, .window = 150},
                     140),
      dropped_attention_case("grouped", {.batch = 2, .tokens = 7, .heads = 4, .kv_heads = 2, .head_dim = 6},
                             0.3),
      dropped_attention_case("documents",
                             {.batch = 2, .tokens = 21, .heads = 2, .kv_heads = 2, .head_dim = 4}, 0.1, 5),
      dropped_attention_case(
          "window", {.batch = 1, .tokens = 201, .heads = 2, .kv_heads = 1, .head_dim = 4, .window = 150}, 0.5,
          140),
      dropped_attention_case("of_nothing",
                             {.batch = 1, .tokens = 9, .heads = 2, .kv_heads = 1, .head_dim = 4}, 0),
      bias_case("rows1", 1, 5),
      bias_case("rows301_pitch11", 301, 9, 11),
      bias_case("rows7_width520", 7, 520),
      head_norm_case("dim2", 1, 2),
      head_norm_case("dim6_pitch27", 11, 6, 27),
      head_norm_case("dim128", 67, 128),
      head_norm_case("dim200", 5, 200),
      {"attention_projected", projected_attention},
      {"attention_projected_turned_at_once", projected_attention_turned_at_once},
      {"rope_shared_gradient", rope_of_shared_gradient},
      cross_entropy_case("rows1_vocabulary1", 1, 1, 1.0),
      cross_entropy_case("rows7_vocabulary13", 7, 13, 1.0),
      cross_entropy_case("rows4_vocabulary1025", 4, 1025, 2.0),
  };
}

}  // namespace lethe::test
