// Matrix products whose algorithms were timed and kept.
#include "tests/cuda/compare.h"
#include "tests/cuda/product_session.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;
using Request = ProductRequest;

std::vector<Request> requests() {
  std::vector<Request> all;
  for (const MatmulForm form : {MatmulForm::nt, MatmulForm::nn, MatmulForm::tn}) {
    for (const Access access : {Access::overwrite, Access::accumulate}) {
      for (const DType output : {DType::bf16, DType::f32}) {
        all.push_back({form, 256, 192, 1032, 0, DType::bf16, output, access});
        all.push_back({form, 256, 192, 1032, 8, DType::bf16, output, access});
        all.push_back({form, 129, 7, 1025, 3, DType::bf16, output, access});
        all.push_back({form, 64, 2048, 4096, 64, DType::bf16, output, access});
      }
      all.push_back({form, 65, 33, 1025, 1, DType::f32, DType::f32, access});
    }
  }
  return all;
}

class CudaTuning : public testing::TestWithParam<Request> {};

// The operands are exact in both. The sums are of up to 4096 terms in float, and partial sums are no larger
// than the results here, some 2: each addition errs by at most 2^-24 of it, all in one direction at worst
// (tensor cores cut off what they add). In bf16 a sum near a tie may fall to either side: then single values
// are off by one unit, 2^-8.
TEST_P(CudaTuning, ChoosesWhatAgreesWithTheCpu) {
  LETHE_NEEDS_GPU();
  const Request& r = GetParam();
  const Folder folder;
  const auto tuned = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
  const auto rows = tuned->backend().tune_products({});
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(rows[0].not_timed, "");
  EXPECT_GT(rows[0].candidates, 0);
  EXPECT_GT(rows[0].best_us, 0);
  const std::vector<double> got = product_result(r, *tuned, 3);
  const auto cpu = start_product(r, make_cpu_backend({.threads = 2}));
  EXPECT_LE(distance(got, product_result(r, *cpu)), r.output == DType::bf16 ? 0x1p-8 : 4096 * 0x1p-24);

  // A later backend finds the choice, has nothing left to time and gives the same bits, eager and in a graph.
  const auto again = start_product(r, make_cuda_backend({.graph = false, .matmul_cache = folder.path()}));
  const auto kept = again->backend().tune_products({});
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].not_timed, "kept");
  EXPECT_EQ(product_result(r, *again), got);
  EXPECT_EQ(product_result(r, *again), got);
}

INSTANTIATE_TEST_SUITE_P(Products, CudaTuning, testing::ValuesIn(requests()));

TEST(CudaTuningCache, IsLeftAsideOnRequest) {
  LETHE_NEEDS_GPU();
  const Folder folder;
  const Request r{MatmulForm::nt, 256, 192, 1032};
  start_product(r, make_cuda_backend({.matmul_cache = folder.path()}))->backend().tune_products({});
  const auto plain =
      start_product(r, make_cuda_backend({.tuned_products = false, .matmul_cache = folder.path()}));
  const auto rows = plain->backend().tune_products({.seconds = -1});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].not_timed, "no time was left");
}

TEST(CudaTuningCache, MayHoldWhatTheLibraryRefuses) {
  LETHE_NEEDS_GPU();
  const Folder folder;
  const Request r{MatmulForm::nt, 256, 192, 1032};
  std::string file;
  {
    const auto session = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
    session->backend().tune_products({});
    file = session->backend().tuned_products_file();
  }
  std::string text = read_bytes(file);
  const size_t algorithm = text.rfind(';', text.rfind(';') - 1) + 1;
  text.replace(algorithm, 128, std::string(128, 'f'));
  write_text(file, text);
  const auto session = start_product(r, make_cuda_backend({.matmul_cache = folder.path()}));
  const auto untuned = start_product(r, make_cuda_backend({.tuned_products = false}));
  EXPECT_EQ(product_result(r, *session), product_result(r, *untuned));
}

}  // namespace
}  // namespace lethe::test
