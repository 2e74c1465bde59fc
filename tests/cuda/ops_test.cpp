// Every row of the operations' table, on the CPU and on the GPU.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/ops/copy.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "kernels/matmul.h"
#include "tests/cuda/compare.h"
#include "tests/cuda/wide_cases.h"
#include "tests/engine/training_loss.h"

namespace lethe::test {

std::vector<OpCase> llama_op_cases();

namespace {

// How far a gradient on the GPU may lie from the CPU's, as a share of its length, and the loss absolutely.
// The cases sum at most 4096 terms of order one, in other orders and with fused multiply-adds; the roundings'
// directions are independent, so n of them add up to sqrt(n), some 64, of one. A handful follow each other in
// a case: 500 roundings for the gradient. The loss is a sum with signs over at most 600 000 terms in the
// compute type, which on the CPU are added one by one: sqrt(n) roundings of a partial sum of sqrt(n), so n
// roundings. In bf16 both sides round the same sums, but a sum near a tie may fall to either side: then one
// value of some is off by a whole unit, 2^-8, and the rest by nothing.
struct Bounds {
  double gradient, loss;
};
Bounds bounds_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return {500 * 0x1p-53, 6e5 * 0x1p-53};
    case DType::f32:
      return {500 * 0x1p-24, 6e5 * 0x1p-24};
    default:
      return {2 * 0x1p-8, 0.5};
  }
}

struct Row {
  OpCase op_case;
  DType dtype;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.op_case.name << "_" << name_of(row.dtype);
}

class CudaOp : public testing::TestWithParam<Row> {
 protected:
  // run: how often; the second one is captured, the third replayed.
  static Found run(const Row& row, std::unique_ptr<Backend> backend, int runs = 1) {
    const BuiltCase built = build_case(row.op_case, row.dtype, std::move(backend));
    for (int i = 0; i < runs; ++i) built.session->run(0);
    return loss_and_gradients(*built.session, "loss");
  }
};

TEST_P(CudaOp, AgreesWithTheCpu) {
  LETHE_NEEDS_GPU();
  const Found expected = run(GetParam(), make_cpu_backend({.threads = 2}));
  const Found got = run(GetParam(), make_cuda_backend());
  ASSERT_EQ(got.size(), expected.size());
  const Bounds bounds = bounds_of(GetParam().dtype);
  double worst = 0;
  for (const auto& [name, values] : expected) {
    if (name == "loss") {
      EXPECT_NEAR(got.at(name)[0], values[0], bounds.loss) << name;
      continue;
    }
    // A gradient may vanish as the difference of equal terms of order one (a softmax over one key): what is
    // left of it is their roundings.
    const double error = distance(got.at(name), values, 1.0);
    worst = std::max(worst, error);
    EXPECT_LE(error, bounds.gradient) << name;
  }
  RecordProperty("error", fmt::format("{:.3g}", worst));
}

TEST_P(CudaOp, HasTheSameBitsAgainAndInAGraph) {
  LETHE_NEEDS_GPU();
  const Found first = run(GetParam(), make_cuda_backend({.graph = false}));
  EXPECT_EQ(first, run(GetParam(), make_cuda_backend({.graph = false})));
  EXPECT_EQ(first, run(GetParam(), make_cuda_backend({.graph = true}), 3));
}

// In bf16 those rows whose parameters reach the operation as activations do: a gradient that goes straight to
// a parameter is float.
std::vector<Row> all_rows() {
  std::vector<Row> rows;
  const auto add = [&](const std::vector<OpCase>& cases, std::initializer_list<DType> dtypes) {
    for (const OpCase& c : cases) {
      for (const DType dtype : dtypes) rows.push_back({c, dtype});
    }
  };
  add(all_op_cases(), {DType::f64, DType::f32});
  add(llama_op_cases(), {DType::bf16});
  add(wide_op_cases(), {DType::f64, DType::f32, DType::bf16});
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Op, CudaOp, testing::ValuesIn(all_rows()), [](const auto& row) {
  return row.param.op_case.name + "_" + std::string(name_of(row.param.dtype));
});

// A program of one node over named tensors.
struct Program {
  Var tensor(const std::string& name, Shape shape, DType dtype) {
    return tape->persistent(state->declare({.name = name, .dtype = dtype, .shape = std::move(shape)}));
  }
  std::unique_ptr<Session> start(std::unique_ptr<Backend> backend) {
    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::move(tape));
    return std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend));
  }
  std::unique_ptr<State> state = std::make_unique<State>();
  std::unique_ptr<Tape> tape = std::make_unique<Tape>(*state, "test");
};

// The same positions draw the same words on both devices: one product in float, rounded alike.
TEST(CudaDropout, DropsWhatTheCpuDrops) {
  LETHE_NEEDS_GPU();
  for (const int64_t width : {1, 7, 64, 1025}) {
    const auto run = [&](std::unique_ptr<Backend> backend) {
      Program p;
      const Var x = p.tensor("x", {33, width}, DType::f32), y = p.tensor("y", {33, width}, DType::f32);
      const ops::StepRandom random{p.tensor("seed", {1}, DType::i64), p.tensor("step", {1}, DType::i64),
                                   p.tensor("first_row", {1}, DType::i64)};
      ops::copy(*p.tape, ops::dropout(*p.tape, x, 0.37, random, 1234567), {y});
      const auto session = p.start(std::move(backend));
      session->set<float>("x", std::vector<float>(static_cast<size_t>(33 * width), 1.7f));
      session->set<int64_t>("seed", {-3});
      session->set<int64_t>("step", {1 << 20});
      session->set<int64_t>("first_row", {5});
      session->run(0);
      return session->get<float>("y");
    };
    const std::vector<float> expected = run(make_cpu_backend());
    EXPECT_EQ(run(make_cuda_backend()), expected) << width;
    EXPECT_NE(std::ranges::count(expected, 0.0f), 0) << width;
  }
}

// Beside the CPU, and the two nodes that it replaces: the gradient of the logits has the same bits as theirs,
// the product behind it is the same, but for bf16 rows that stay in registers. Bounds as for the operations'
// table.
TEST(CudaCrossEntropyTraining, IsTheForwardAndTheGradient) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const int64_t vocabulary : {1, 13, 1025, 4096, 32000}) {
      const TrainingLoss fused{.rows = 19, .vocabulary = vocabulary, .fused = true};
      const TrainingLoss composite{.rows = 19, .vocabulary = vocabulary, .fused = false};
      const Found got = fused.run(dtype, make_cuda_backend({.graph = false}));
      if (dtype != DType::bf16) {
        EXPECT_EQ(got, composite.run(dtype, make_cuda_backend({.graph = false}))) << vocabulary;
      }
      EXPECT_EQ(got, fused.run(dtype, make_cuda_backend({.graph = true}), 3)) << vocabulary;
      const Found expected = fused.run(dtype, make_cpu_backend({.threads = 2}));
      const Bounds bounds = bounds_of(dtype);
      EXPECT_NEAR(got.at("loss")[0], expected.at("loss")[0], bounds.loss) << vocabulary;
      EXPECT_LE(distance(got.at("x"), expected.at("x"), 1.0), bounds.gradient) << vocabulary;
      EXPECT_LE(distance(got.at("w"), expected.at("w"), 1.0), bounds.gradient) << vocabulary;
    }
  }
}

// Rows of one slice, of two, four and eight, and of more than registers hold; labels at slices' ends; logits
// that are masked. Losses: the CPU adds up to 16384 positive terms in each of its lanes in float. Gradients:
// a float is near a tie of its rounding to bf16 and goes the other way; p - 1 cancels to float's error.
TEST(CudaCrossEntropyTraining, TakesRowsOfAnyWidth) {
  LETHE_NEEDS_GPU();
  constexpr int64_t kRows = 7;
  for (const int64_t width :
       {8, 264, 4096, 32000, 32768, 32776, 49152, 65544, 128256, 151936, 262144, 262152, 50257}) {
    std::vector<double> logits;
    for (int64_t i = 0; i < kRows * width; ++i) {
      const auto row = static_cast<double>(i / width);
      const bool masked = i % 11 == 5 || (i / width == 6 && i % width > 2);
      logits.push_back(masked ? -INFINITY
                              : 12 * row - 40 + 3 * std::sin(static_cast<double>(i) * (0.37 + 0.1 * row)));
    }
    const auto last = static_cast<int32_t>(width - 1);
    const std::vector<int32_t> labels{0, last, -100, last / 2, std::min(last, 32767), std::min(last, 32768),
                                      1};
    for (int64_t r = 0; r < kRows; ++r)  // no label is masked
      if (labels[static_cast<size_t>(r)] >= 0) {
        double& at = logits[static_cast<size_t>(r * width + labels[static_cast<size_t>(r)])];
        if (std::isinf(at)) at = 1;
      }
    const auto run = [&](std::unique_ptr<Backend> backend) {
      Program p;
      const Shape shape{kRows, width};
      const Var x = p.tensor("x", shape, DType::bf16), seed = p.tensor("seed", {1}, DType::f32);
      const Var taken = p.tape->tensor(shape, DType::bf16, "taken");
      ops::copy(*p.tape, x, {taken});
      const Var losses =
          ops::cross_entropy_training(*p.tape, taken, p.tensor("labels", {kRows}, DType::i32), seed);
      ops::copy(*p.tape, losses, {p.tensor("losses", {kRows}, DType::f32)});
      ops::copy(*p.tape, taken, {p.tensor("dx", shape, DType::bf16)});
      const auto session = p.start(std::move(backend));
      set_host_values(*session, "x", logits);
      session->set<int32_t>("labels", labels);
      session->set<float>("seed", {0.25f});
      session->run(0);
      return std::pair(host_values(*session, "losses"), host_values(*session, "dx"));
    };
    const auto [losses, dx] = run(make_cuda_backend());
    const auto [cpu_losses, cpu_dx] = run(make_cpu_backend({.threads = 2}));
    EXPECT_EQ(std::pair(losses, dx), run(make_cuda_backend({.graph = false}))) << width;
    for (int64_t r = 0; r < kRows; ++r) {
      const auto row = static_cast<size_t>(r);
      EXPECT_NEAR(losses[row], cpu_losses[row], 0x1p-10) << width << " row " << r;
      for (int64_t j = 0; j < width; ++j) {
        const auto i = static_cast<size_t>(r * width + j);
        const double bound = 0x1p-7 * std::abs(cpu_dx[i]) + (j == labels[row] ? 1e-5 : 1e-30);
        ASSERT_NEAR(dx[i], cpu_dx[i], bound) << width << " row " << r << " column " << j;
      }
    }
  }
}

// What training multiplies must not fall back to the plain kernel.
TEST(CudaMatmul, IsTheLibrarysForEveryForm) {
  LETHE_NEEDS_GPU();
  kernels::cuda::MatmulLibrary library;
  const auto has = [&]<class T, class R>(kernels::MatmulForm form, int64_t m, int64_t n, int64_t k) {
    using kernels::MatmulForm;
    const bool tn = form == MatmulForm::tn, nt = form == MatmulForm::nt;
    const kernels::Rows<const T> a{nullptr, tn ? k : m, tn ? m : k, tn ? m : k};
    const kernels::Rows<const T> b{nullptr, nt ? n : k, nt ? k : n, nt ? k : n};
    return kernels::cuda::prepare_matmul<T, T, R>(library, form, a, b, kernels::Rows<R>{nullptr, m, n, n},
                                                  kernels::Write::overwrite, nullptr,
                                                  kernels::cuda::matmul_workspace_bytes<T, T, R>(m, n, k));
  };
  for (const auto form : {kernels::MatmulForm::nt, kernels::MatmulForm::nn, kernels::MatmulForm::tn}) {
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{192, 192, 4096}, {5, 3, 7}, {1, 1, 1025}, {64, 2048, 256}}) {
      const std::string what = fmt::format("form {}, {} x {} x {}", static_cast<int>(form), m, n, k);
      EXPECT_TRUE((has.operator()<double, double>(form, m, n, k))) << what;
      EXPECT_TRUE((has.operator()<float, float>(form, m, n, k))) << what;
      EXPECT_TRUE((has.operator()<bf16, bf16>(form, m, n, k))) << what;
      EXPECT_TRUE((has.operator()<bf16, float>(form, m, n, k))) << what;
    }
  }
}

// Storage that the library does not mix: a float operand of 16 bits in two parts beside a bf16 one, 2^-16 of
// each product; 40 roundings of a sum in float.
TEST(CudaMatmul, MixesStorageTypes) {
  LETHE_NEEDS_GPU();
  for (const DType a : {DType::f32, DType::bf16}) {
    for (const DType b : {DType::f32, DType::bf16}) {
      const auto run = [&](std::unique_ptr<Backend> backend) {
        Program p;
        const Var x = p.tensor("x", {21, 40}, a), w = p.tensor("w", {19, 40}, b);
        ops::copy(*p.tape, ops::linear(*p.tape, x, w), {p.tensor("y", {21, 19}, DType::f32)});
        const auto session = p.start(std::move(backend));
        std::vector<double> values;
        for (int i = 0; i < 21 * 40; ++i) values.push_back(std::sin(i));
        set_host_values(*session, "x", values);
        values.resize(19 * 40);
        set_host_values(*session, "w", values);
        session->run(0);
        return host_values(*session, "y");
      };
      // y has x's dtype: in bf16 a sum near a tie may round to either side.
      const double bound = a == DType::bf16 ? 0x1p-8 : b == DType::bf16 ? 0x1p-16 : 40 * 0x1p-24;
      EXPECT_LE(distance(run(make_cuda_backend()), run(make_cpu_backend())), bound)
          << name_of(a) << name_of(b);
    }
  }
}

}  // namespace
}  // namespace lethe::test
