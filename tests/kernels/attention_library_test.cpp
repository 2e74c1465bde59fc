// What is known of cuDNN's attention without a GPU: what is asked of it and how much memory is planned.
#include "kernels/attention_library.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lethe::kernels::cuda {
namespace {

// q, k and v side by side in rows of `pitch`, and their gradients in rows of the same.
AttentionProblem problem(const AttentionShape& shape, int64_t pitch) {
  const int64_t width = shape.heads * shape.head_dim;
  return {.shape = shape,
          .scale = 1 / std::sqrt(static_cast<double>(shape.head_dim)),
          .backward = true,
          .q_pitch = pitch,
          .k_pitch = pitch,
          .v_pitch = pitch,
          .out_pitch = width,
          .dout_pitch = width,
          .dq_pitch = pitch,
          .dk_pitch = pitch,
          .dv_pitch = pitch};
}

struct Measured {
  AttentionShape shape;
  int64_t pitch;
  double gigabytes;  // what cuDNN 9.14 asked for on an H200, to three digits
};

TEST(AttentionLibrary, PlansWhatCudnnWasMeasuredToAskForAndLittleMore) {
  const Measured measured[] = {
      {{2, 4096, 32, 32, 128, 0, 2}, 12288, 0.135},     {{2, 4096, 32, 32, 128, 0, 2, true}, 12288, 2.149},
      {{2, 4096, 32, 8, 128, 0, 2}, 6144, 0.269},       {{4, 4096, 32, 8, 64, 0, 4}, 3072, 0.271},
      {{16, 2048, 9, 3, 64, 0, 16}, 960, 0.152},        {{16, 2048, 9, 3, 64, 0, 16, true}, 960, 1.285},
      {{2, 4096, 32, 32, 128, 0, 16}, 12288, 0.410},    {{2, 4096, 32, 32, 128, 0, 64}, 12288, 0.410},
      {{2, 4096, 32, 8, 128, 0, 16}, 6144 + 192, 1.87}, {{4, 4096, 32, 8, 64, 0, 64}, 3072 + 192, 1.93},
  };
  for (const Measured& m : measured) {
    const auto planned = static_cast<double>(attention_library_bytes(problem(m.shape, m.pitch))) / 1e9;
    // The figures are rounded to the last digit given; the margin is 1/32 and a few MiB, tables included.
    EXPECT_GE(planned, m.gigabytes - 0.0005) << m.gigabytes;
    EXPECT_LE(planned, m.gigabytes * (1 + 1.0 / 32) + 0.010) << m.gigabytes;
  }
}

TEST(AttentionLibrary, TheForwardPassNeedsNoMoreThanItsTables) {
  AttentionProblem p = problem({2, 4096, 32, 8, 128, 0, 64}, 6144);
  p.backward = false;
  EXPECT_LE(attention_library_bytes(p), 2 << 20);
}

TEST(AttentionLibrary, IsNotAskedForWhatItCannotDo) {
  const AttentionShape dense{2, 4096, 32, 8, 128, 0, 2}, packed{2, 4096, 32, 8, 128, 0, 16};
  const auto refusal = [](AttentionShape shape, int64_t pitch = 6144) {
    return attention_library_refusal(problem(shape, pitch));
  };
  EXPECT_EQ(refusal(dense), "");
  EXPECT_EQ(refusal(packed), "");
  const auto with = [](AttentionShape shape, auto change) {
    change(shape);
    return shape;
  };
  EXPECT_NE(refusal(with(dense, [](auto& s) { s.documents = 0; })), "");
  EXPECT_NE(refusal(with(dense, [](auto& s) { s.head_dim = 40; })), "");
  EXPECT_NE(refusal(with(dense, [](auto& s) { s.head_dim = 144; })), "");
  EXPECT_NE(refusal(with(dense, [](auto& s) { s.tokens = 1; })), "");
  EXPECT_NE(refusal(with(dense, [](auto& s) { s.batch = 0; })), "");
  EXPECT_EQ(refusal(with(dense, [](auto& s) { s.deterministic = true; })), "");
  EXPECT_NE(refusal(with(packed, [](auto& s) { s.deterministic = true; })), "");
  EXPECT_NE(refusal(dense, 6145), "");
  // 2^31 elements of offset.
  EXPECT_NE(refusal(with(packed, [](auto& s) { s.batch = 16, s.tokens = 8192, s.documents = 64; })), "");
  AttentionProblem apart = problem(packed, 6144);
  apart.dq_pitch += 8;
  EXPECT_NE(attention_library_refusal(apart), "");
}

TEST(AttentionLibrary, TellsProblemsApartByEveryNumber) {
  const AttentionProblem first = problem({2, 4096, 32, 8, 128, 0, 2}, 6144);
  AttentionProblem other = first;
  EXPECT_EQ(other.key(), first.key());
  other.shape.window = 512;
  EXPECT_NE(other.key(), first.key());
  other = first;
  other.dv_pitch = 6152;
  EXPECT_NE(other.key(), first.key());
  other = first;
  other.shape.deterministic = true;
  EXPECT_NE(other.key(), first.key());
}

}  // namespace
}  // namespace lethe::kernels::cuda
