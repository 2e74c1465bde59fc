// A case of cached attention: slots filled in an order that mixes them, some places without a token.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/ops/attention.h"
#include "engine/ops/cached_attention.h"
#include "engine/rng.h"
#include "engine/session.h"

namespace lethe::test {

struct CachedCase {
  std::string name;
  int64_t heads, kv_heads, head_dim, capacity, window;
  std::vector<int64_t> lengths;  // tokens of each slot
};

inline void PrintTo(const CachedCase& c, std::ostream* out) {
  *out << c.name;
}

inline std::vector<CachedCase> cached_cases() {
  return {{"one_token", 2, 2, 8, 4, 0, {1}},
          {"heads_alone", 3, 3, 64, 40, 0, {40, 7, 1}},
          {"grouped", 6, 2, 64, 150, 0, {150, 0, 33}},
          {"grouped_wide", 9, 1, 80, 129, 0, {129, 64}},
          {"pairs", 4, 2, 128, 70, 0, {3, 70}},
          {"odd_width", 2, 1, 6, 30, 0, {30, 29}},
          {"window", 4, 2, 64, 150, 40, {150, 39, 41}},
          {"parts", 2, 1, 64, 1100, 0, {1100, 512, 513}},
          {"parts_window", 2, 2, 128, 1100, 600, {1100, 600}}};
}

// q, k and v of each slot's tokens, and where they stand in a program: slots by turns, a place left empty
// after every fifth.
struct CachedInputs {
  std::vector<double> q, k, v;    // [tokens, heads * D] and [tokens, kv_heads * D], in the program's order
  std::vector<int32_t> rows;      // [tokens]; -1: empty
  std::vector<int64_t> slot, at;  // of each token
  int64_t tokens = 0;

  explicit CachedInputs(const CachedCase& c) {
    for (int64_t position = 0; position < c.capacity; ++position) {
      for (size_t s = 0; s < c.lengths.size(); ++s) {
        if (position >= c.lengths[s]) continue;
        place(static_cast<int64_t>(s), position, c.capacity);
        if (tokens % 6 == 5) place(-1, 0, c.capacity);
      }
    }
    const auto fill = [&](std::vector<double>& x, int64_t width, uint64_t seed) {
      const Rng rng(seed, 5);
      for (int64_t i = 0; i < tokens * width; ++i)
        x.push_back(
            static_cast<float>(static_cast<bf16>(static_cast<float>(rng.normal(static_cast<uint64_t>(i))))));
    };
    fill(q, c.heads * c.head_dim, 1);
    fill(k, c.kv_heads * c.head_dim, 2);
    fill(v, c.kv_heads * c.head_dim, 3);
  }

 private:
  void place(int64_t s, int64_t position, int64_t capacity) {
    slot.push_back(s);
    at.push_back(position);
    rows.push_back(s < 0 ? -1 : static_cast<int32_t>(s * capacity + position));
    ++tokens;
  }
};

template <class T>
std::vector<double> widened(const std::vector<T>& values) {
  std::vector<double> wide;
  for (const T v : values) wide.push_back(static_cast<double>(static_cast<compute_t<T>>(v)));
  return wide;
}

// The program on a backend, twice: the second run finds the first one's keys.
template <class T>
std::vector<double> cached_outputs(const CachedCase& c, const CachedInputs& inputs,
                                   std::unique_ptr<Backend> backend) {
  auto state = std::make_unique<State>();
  const auto declare = [&](const char* name, int64_t rows, int64_t width, DType dtype) {
    state->declare({.name = name, .dtype = dtype, .shape = {rows, width}, .kind = Kind::input});
  };
  const DType dtype = dtype_of<T>();
  const int64_t width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  const int64_t cache = std::ssize(c.lengths) * c.capacity;
  declare("q", inputs.tokens, width, dtype);
  declare("k", inputs.tokens, kv_width, dtype);
  declare("v", inputs.tokens, kv_width, dtype);
  declare("keys", cache, kv_width, dtype);
  declare("values", cache, kv_width, dtype);
  state->declare({.name = "rows", .dtype = DType::i32, .shape = {inputs.tokens}, .kind = Kind::input});
  auto tape = std::make_unique<Tape>(*state, "test");
  Tape& t = *tape;
  const Var rows = t.persistent("rows"), keys = t.persistent("keys"), values = t.persistent("values");
  ops::keep_rows(t, t.persistent("k"), rows, keys);
  ops::keep_rows(t, t.persistent("v"), rows, values);
  const Var out = ops::cached_attention(t, t.persistent("q"), keys, values, rows,
                                        {.tokens = inputs.tokens,
                                         .heads = c.heads,
                                         .kv_heads = c.kv_heads,
                                         .head_dim = c.head_dim,
                                         .capacity = c.capacity,
                                         .window = c.window});
  t.keep(out);
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::move(tape));
  Session session(std::move(state), std::move(tapes), std::move(backend));
  const auto set = [&](const char* name, const std::vector<double>& wide) {
    std::vector<T> narrow;
    for (const double x : wide) narrow.push_back(static_cast<T>(static_cast<compute_t<T>>(x)));
    session.set(name, narrow);
  };
  set("q", inputs.q);
  set("k", inputs.k);
  set("v", inputs.v);
  session.set("rows", inputs.rows);
  for (int i = 0; i < 3; ++i) session.run(0);
  std::vector<T> got(static_cast<size_t>(inputs.tokens * width));
  session.backend().wait();
  session.backend().download(got.data(), session.buffer(0, out).data,
                             std::ssize(got) * static_cast<int64_t>(sizeof(T)));
  return widened(got);
}

// ops::attention over the slots as rows of one batch, in double, put back in the program's order.
inline std::vector<double> whole_outputs(const CachedCase& c, const CachedInputs& inputs) {
  const int64_t width = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  const int64_t batch = std::ssize(c.lengths), tokens = c.capacity;
  const kernels::AttentionShape shape{.batch = batch,
                                      .tokens = tokens,
                                      .heads = c.heads,
                                      .kv_heads = c.kv_heads,
                                      .head_dim = c.head_dim,
                                      .window = c.window};
  const auto zeros = [](int64_t count) { return std::vector<double>(static_cast<size_t>(count)); };
  std::vector<double> q = zeros(batch * tokens * width), k = zeros(batch * tokens * kv_width), v = k, out = q,
                      lse = zeros(batch * tokens * c.heads);
  for (int64_t i = 0; i < inputs.tokens; ++i) {
    const auto n = static_cast<size_t>(i);
    if (inputs.slot[n] < 0) continue;
    const int64_t row = inputs.slot[n] * tokens + inputs.at[n];
    std::copy_n(inputs.q.begin() + i * width, width, q.begin() + row * width);
    std::copy_n(inputs.k.begin() + i * kv_width, kv_width, k.begin() + row * kv_width);
    std::copy_n(inputs.v.begin() + i * kv_width, kv_width, v.begin() + row * kv_width);
  }
  const std::vector<int32_t> starts(static_cast<size_t>(batch * tokens), 0);
  std::vector<std::byte> workspace(
      static_cast<size_t>(kernels::cpu::attention_workspace_bytes<double>(shape, 1) + 64));
  const auto in = [&](const std::vector<double>& x, int64_t columns) {
    return kernels::Rows<const double>{x.data(), batch * tokens, columns, columns};
  };
  kernels::cpu::attention<double>(shape, 1 / std::sqrt(static_cast<double>(c.head_dim)), in(q, width),
                                  in(k, kv_width), in(v, kv_width), starts.data(),
                                  {out.data(), batch * tokens, width, width}, lse.data(), workspace.data());
  std::vector<double> ordered = zeros(inputs.tokens * width);
  for (int64_t i = 0; i < inputs.tokens; ++i) {
    const auto n = static_cast<size_t>(i);
    if (inputs.slot[n] < 0) continue;
    std::copy_n(out.begin() + (inputs.slot[n] * tokens + inputs.at[n]) * width, width,
                ordered.begin() + i * width);
  }
  return ordered;
}

}  // namespace lethe::test
