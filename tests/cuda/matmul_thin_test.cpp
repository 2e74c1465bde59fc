// Our own algorithms for products with a thin side, each put in the place of the one that tuning kept.
#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/cuda/product_session.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;
using kernels::OwnAlgorithm;
using Request = ProductRequest;

std::vector<Request> requests() {
  constexpr DType bf16 = DType::bf16, f32 = DType::f32;
  constexpr Access over = Access::overwrite, add = Access::accumulate;
  constexpr MatmulForm nt = MatmulForm::nt, nn = MatmulForm::nn, tn = MatmulForm::tn;
  return {
      // As in training, the tokens or the wide side no multiple of a tile.
      {nt, 8199, 64, 4160, 64, bf16, bf16, over},
      {nn, 8199, 64, 1096, 128, bf16, bf16, over},
      {tn, 64, 4104, 2056, 64, bf16, f32, add},
      {tn, 4104, 64, 2056, 64, bf16, f32, over},
      // Every width of a tile, and what fills one in part; sums that end within a step.
      {nt, 263, 16, 1000, 0, bf16, f32, add},
      {nt, 263, 128, 1096, 8, bf16, bf16, add},
      {nt, 129, 192, 1032, 0, bf16, bf16, over},
      {nt, 129, 256, 1032, 64, bf16, f32, over},
      {nn, 263, 120, 1000, 0, bf16, f32, add},
      {nn, 130, 192, 1032, 8, bf16, bf16, add},
      {nn, 129, 248, 1032, 0, bf16, f32, over},
      {tn, 16, 264, 1001, 0, bf16, f32, over},
      {tn, 264, 16, 1001, 8, bf16, bf16, add},
      {tn, 128, 520, 777, 0, bf16, f32, add},
      {tn, 192, 264, 777, 8, bf16, bf16, over},
      {tn, 256, 264, 777, 0, bf16, f32, add},
      {tn, 264, 256, 777, 64, bf16, f32, add},
  };
}

std::vector<OwnAlgorithm> algorithms(const Request& r) {
  const int64_t thin = r.form == MatmulForm::tn ? std::min(r.m, r.n) : r.n;
  std::vector<OwnAlgorithm> all = {{128, 1}, {128, 2}, {128, 3}, {128, 8}};
  if (thin <= 128) all.insert(all.end(), {{256, 1}, {256, 4}, {256, 6}});
  return all;
}

// The text of the only product's algorithm in a file of choices.
void replace_choice(const std::string& file, const std::string& algorithm) {
  std::string text = read_bytes(file);
  const size_t end = text.rfind(';'), begin = text.rfind(';', end - 1) + 1;
  text.replace(begin, end - begin, algorithm);
  write_text(file, text);
}

class CudaThinProduct : public testing::TestWithParam<Request> {};

// As for other products (matmul_test.cpp): partial sums are about as large as the results, and each of k
// additions errs by at most 2^-24; in bf16 single values may be off by one unit.
TEST_P(CudaThinProduct, AgreesWithTheCpuAndWithItself) {
  LETHE_NEEDS_GPU();
  const Request& r = GetParam();
  const Folder folder;
  std::string file;
  {
    const auto session = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
    session->backend().tune_products({});
    file = session->backend().tuned_products_file();
  }
  const auto cpu = start_product(r, make_cpu_backend({.threads = 2}));
  const std::vector<double> expected = product_result(r, *cpu);
  for (const OwnAlgorithm& own : algorithms(r)) {
    const std::string name = kernels::text_of(kernels::encoded(own));
    replace_choice(file, name);
    const auto eager = start_product(r, make_cuda_backend({.graph = false, .matmul_cache = folder.path()}));
    // Refused, it would be timed anew.
    const auto rows = eager->backend().tune_products({.seconds = -1});
    ASSERT_EQ(rows.size(), 1u);
    ASSERT_EQ(rows[0].not_timed, "kept") << name;
    const std::vector<double> got = product_result(r, *eager);
    EXPECT_LE(distance(got, expected), r.output == DType::bf16 ? 0x1p-8 : static_cast<double>(r.k) * 0x1p-24)
        << name;
    EXPECT_EQ(product_result(r, *eager, 2), got) << name;
    const auto graph = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
    EXPECT_EQ(product_result(r, *graph, 2), got) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Products, CudaThinProduct, testing::ValuesIn(requests()));

// Passed over: a thin side that has no such tile, rows that are not aligned, more parts than a cluster has.
TEST(CudaThinChoice, MayNotFitTheProduct) {
  LETHE_NEEDS_GPU();
  const std::vector<std::pair<Request, std::string>> all = {
      {{MatmulForm::nt, 256, 264, 256}, "own 128 1"},
      {{MatmulForm::nt, 256, 192, 256}, "own 256 1"},
      {{MatmulForm::nt, 256, 64, 256, 4}, "own 128 1"},
      {{MatmulForm::nt, 256, 64, 256}, "own 128 9"},
      {{MatmulForm::nn, 64, 256, 256}, "own 64 1"},
      {{MatmulForm::nt, 256, 64, 256, 0, DType::f32, DType::f32}, "own 128 1"}};
  for (const auto& [r, algorithm] : all) {
    const Folder folder;
    std::string file;
    {
      const auto session = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
      session->backend().tune_products({});
      file = session->backend().tuned_products_file();
    }
    replace_choice(file, algorithm);
    const auto session = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
    const auto untuned = start_product(r, make_cuda_backend({.tuned_products = false}));
    EXPECT_EQ(session->backend().tune_products({.seconds = -1})[0].not_timed, "no time was left")
        << algorithm;
    EXPECT_EQ(product_result(r, *session), product_result(r, *untuned)) << algorithm;
  }
}

}  // namespace
}  // namespace lethe::test
