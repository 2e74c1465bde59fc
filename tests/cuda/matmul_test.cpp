// Matrix products whose algorithms were timed and kept.
#include "engine/ops/matmul.h"

#include <fmt/format.h>

#include "tests/cuda/compare.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

using kernels::MatmulForm;

struct Request {
  MatmulForm form = MatmulForm::nt;
  int64_t m = 0, n = 0, k = 0;
  int64_t more = 0;  // elements between rows, in each of the three
  DType operands = DType::bf16, output = DType::bf16;
  Access access = Access::overwrite;
};

void PrintTo(const Request& r, std::ostream* out) {
  *out << "form " << static_cast<int>(r.form) << ", " << r.m << " x " << r.n << " x " << r.k << " + "
       << r.more << ", " << name_of(r.operands) << " to " << name_of(r.output) << ", access "
       << static_cast<int>(r.access);
}

std::vector<double> waves(int64_t count, double step) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(step * static_cast<double>(i + 1));
  return values;
}

// One node between three named tensors.
std::unique_ptr<Session> start(const Request& r, std::unique_ptr<Backend> backend) {
  const bool tn = r.form == MatmulForm::tn, nt = r.form == MatmulForm::nt;
  auto state = std::make_unique<State>();
  auto tape = std::make_unique<Tape>(*state, "product");
  const auto tensor = [&](const char* name, DType dtype, int64_t rows, int64_t width) {
    return tape->persistent(
        state->declare({.name = name, .dtype = dtype, .shape = {rows, width}, .pitch = width + r.more}));
  };
  const Var a = tensor("a", r.operands, tn ? r.k : r.m, tn ? r.m : r.k);
  const Var b = tensor("b", r.operands, nt ? r.n : r.k, nt ? r.k : r.n);
  const Var c = tensor("c", r.output, r.m, r.n);
  tape->append(ops::matmul(r.form, 1.5), {a, b}, {{c, r.access}}, "product");
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::move(tape));
  return std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend));
}

// Runs `runs` times from the same output; the last result.
std::vector<double> result(const Request& r, Session& session, int runs = 1) {
  set_host_values(session, "a", waves(r.m * r.k, 1.1));
  set_host_values(session, "b", waves(r.k * r.n, 0.7));
  for (int i = 0; i < runs; ++i) {
    set_host_values(session, "c", waves(r.m * r.n, 0.3));
    session.run(0);
  }
  return host_values(session, "c");
}

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
  const auto tuned = start(r, make_cuda_backend({.matmul_cache = folder.path()}));
  const auto rows = tuned->backend().tune_products({});
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(rows[0].not_timed, "");
  EXPECT_GT(rows[0].candidates, 0);
  EXPECT_GT(rows[0].best_us, 0);
  const std::vector<double> got = result(r, *tuned, 3);
  const auto cpu = start(r, make_cpu_backend({.threads = 2}));
  EXPECT_LE(distance(got, result(r, *cpu)), r.output == DType::bf16 ? 0x1p-8 : 4096 * 0x1p-24);

  // A later backend finds the choice, has nothing left to time and gives the same bits, eager and in a graph.
  const auto again = start(r, make_cuda_backend({.graph = false, .matmul_cache = folder.path()}));
  const auto kept = again->backend().tune_products({});
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].not_timed, "kept");
  EXPECT_EQ(result(r, *again), got);
  EXPECT_EQ(result(r, *again), got);
}

INSTANTIATE_TEST_SUITE_P(Products, CudaTuning, testing::ValuesIn(requests()));

TEST(CudaTuningCache, IsLeftAsideOnRequest) {
  LETHE_NEEDS_GPU();
  const Folder folder;
  const Request r{MatmulForm::nt, 256, 192, 1032};
  start(r, make_cuda_backend({.matmul_cache = folder.path()}))->backend().tune_products({});
  const auto plain = start(r, make_cuda_backend({.tuned_products = false, .matmul_cache = folder.path()}));
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
    const auto session = start(r, make_cuda_backend({.matmul_cache = folder.path()}));
    session->backend().tune_products({});
    file = session->backend().tuned_products_file();
  }
  std::string text = read_bytes(file);
  const size_t algorithm = text.rfind(';', text.rfind(';') - 1) + 1;
  text.replace(algorithm, 128, std::string(128, 'f'));
  write_text(file, text);
  const auto session = start(r, make_cuda_backend({.matmul_cache = folder.path()}));
  const auto untuned = start(r, make_cuda_backend({.tuned_products = false}));
  EXPECT_EQ(result(r, *session), result(r, *untuned));
}

}  // namespace
}  // namespace lethe::test
