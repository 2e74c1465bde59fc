// The updates, the norm and the copies of many tensors: on the GPU as on the CPU.
#include "engine/ops/update.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "engine/ops/copy_all.h"
#include "engine/ops/gradient_norm.h"
#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

// What a tensor of the list below is like: empty, awkward, pitched in pieces of 16 bytes and not, wider than
// a chunk of 16384 with a rest, and 600 small ones, more than a launch takes.
struct Form {
  Shape shape;
  int64_t pitch = 0;
};
std::vector<Form> forms() {
  std::vector<Form> all = {
      {{0}},         {{1}},         {{7}},     {{1025}},     {{5, 7}, 9},        {{3, 1025}, 0},
      {{6, 64}, 72}, {{9, 24}, 40}, {{40000}}, {{2, 20001}}, {{33, 1000}, 1016}, {{4, 0}}};
  for (int i = 0; i < 600; ++i) all.push_back({{1 + i % 11, 8}});
  return all;
}

// A program over such tensors whose every element can be set and read.
class Program {
 public:
  Var tensor(const std::string& name, const Form& form, DType dtype) {
    names_.push_back(name);
    return tape->persistent(
        state->declare({.name = name, .dtype = dtype, .shape = form.shape, .pitch = form.pitch}));
  }
  Var scalar(const std::string& name, DType dtype, int64_t count = 1) {
    return tape->persistent(state->declare({.name = name, .dtype = dtype, .shape = {count}}));
  }
  std::unique_ptr<Session> start(std::unique_ptr<Backend> backend) {
    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::move(tape));
    return std::make_unique<Session>(std::move(state), std::move(tapes), std::move(backend));
  }
  // Normal numbers in every floating tensor, squared where squares are kept; the gaps hold zeros.
  void fill(Session& session) const {
    for (const std::string& name : names_) {
      const PersistentInfo& info = session.state()[session.state().require(name)];
      if (!is_float(info.dtype)) continue;
      const Rng rng(1, stream_of(name));
      std::vector<double> values(static_cast<size_t>(elements_of(info.shape)));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = 0.1 * rng.normal(i);
        if (name.starts_with("v")) values[i] *= values[i];
      }
      set_host_values(session, name, values);
    }
  }
  // Bytes of all tensors, gaps included.
  std::string bytes(const Session& session) const {
    std::string all;
    for (const std::string& name : names_) {
      const Buffer b = session.buffer(name);
      std::string part(static_cast<size_t>(b.rows * b.pitch * size_of(b.dtype)), '\0');
      if (!part.empty()) session.backend().download(part.data(), b.data, static_cast<int64_t>(part.size()));
      all += part;
    }
    return all;
  }

  std::unique_ptr<State> state = std::make_unique<State>();
  std::unique_ptr<Tape> tape = std::make_unique<Tape>(*state, "test");

 private:
  std::vector<std::string> names_;
};

struct Kind {
  const char* name;
  DType parameter, gradient, moments;
  std::optional<DType> master;
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class CudaUpdate : public testing::TestWithParam<std::tuple<Kind, bool>> {};

// Every operation of an element is rounded in the same way on both, so the bits are the same: parameters,
// moments, masters, and what was drawn at random.
TEST_P(CudaUpdate, HasTheCpusBits) {
  LETHE_NEEDS_GPU();
  const auto& [kind, is_lion] = GetParam();
  const auto run = [&, &k = kind, lion = is_lion](std::unique_ptr<Backend> backend, double scale) {
    Program p;
    std::vector<ops::UpdateTensors> tensors;
    for (const Form& form : forms()) {
      const size_t i = tensors.size();
      const auto make = [&](const char* what, DType dtype) {
        return p.tensor(fmt::format("{}{}", what, i), form, dtype);
      };
      ops::UpdateTensors t{.parameter = make("p", k.parameter),
                           .gradient = make("g", k.gradient),
                           .m = make("m", k.moments),
                           .group = static_cast<int32_t>(i % 3),
                           .stream = static_cast<uint32_t>(i)};
      if (!lion) t.v = make("v", k.moments);
      if (k.master) t.master = make("master", *k.master);
      tensors.push_back(t);
    }
    const ops::UpdateScalars scalars{p.scalar("rates", DType::f64, 3), p.scalar("step", DType::i64),
                                     p.scalar("scale", DType::f64), p.scalar("seed", DType::i64)};
    const Var moved = p.scalar("moved", DType::i64);
    const std::vector<kernels::UpdateConstants> groups = {
        {.weight_decay = 0.1},
        {.beta1 = 0.8, .beta2 = 0.99},
        {.weight_decay = 0.1, .decoupled_decay = true, .peak_learning_rate = 0.02}};
    (lion ? ops::lion : ops::adamw)(*p.tape, tensors, scalars, groups, {moved}, "update");
    const auto session = p.start(std::move(backend));
    p.fill(*session);
    session->set<double>("rates", {0.01, 0.002, 0.005});
    session->set<double>("scale", {scale});
    session->set<int64_t>("seed", {-3});
    // Steps of a graph's replay too.
    for (int64_t step = 1; step <= 4; ++step) {
      session->set<int64_t>("step", {step});
      session->run(0);
    }
    return std::pair{p.bytes(*session), session->get<int64_t>("moved")[0]};
  };
  const auto expected = run(make_cpu_backend({.threads = 2}), 0.7);
  EXPECT_GT(expected.second, 0);
  EXPECT_TRUE(run(make_cuda_backend(), 0.7) == expected);
  EXPECT_TRUE(run(make_cuda_backend({.graph = false}), 0.7) == expected);
  const auto halted = run(make_cuda_backend(), std::nan(""));
  EXPECT_EQ(halted.second, 0);
  EXPECT_TRUE(halted == run(make_cpu_backend(), std::nan("")));
}

constexpr DType f64 = DType::f64, f32 = DType::f32, b16 = DType::bf16, u16 = DType::u16;
INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaUpdate,
    testing::Combine(
        testing::Values(Kind{"f64", f64, f64, f64, {}}, Kind{"f32", f32, f32, f32, {}},
                        Kind{"copy_g32", b16, f32, f32, f32}, Kind{"copy_g16", b16, b16, f32, f32},
                        Kind{"split_g32", b16, f32, f32, u16}, Kind{"split_g16", b16, b16, f32, u16},
                        Kind{"state_g32", b16, f32, b16, {}}, Kind{"state_g16", b16, b16, b16, {}}),
        testing::Bool()),
    [](const auto& row) {
      return std::string(std::get<0>(row.param).name) + (std::get<1>(row.param) ? "_lion" : "_adamw");
    });

// n terms in double, added in another order: n units of 2^-53.
TEST(CudaGradientNorm, IsTheCpusAndHalts) {
  LETHE_NEEDS_GPU();
  for (const double max_norm : {0.0, 0.5, 1e6}) {
    const auto run = [&](std::unique_ptr<Backend> backend, double loss) {
      Program p;
      std::vector<Var> gradients;
      int64_t elements = 0;
      for (const Form& form : forms()) {
        const DType dtype = std::array{f32, b16, f64}[gradients.size() % 3];
        gradients.push_back(p.tensor(fmt::format("g{}", gradients.size()), form, dtype));
        elements += elements_of(form.shape);
      }
      EXPECT_GT(elements, 100000);
      ops::gradient_norm(*p.tape, gradients, p.scalar("loss", f64), max_norm,
                         {p.scalar("norm", f64), p.scalar("scale", f64), p.scalar("halted", DType::i64)});
      const auto session = p.start(std::move(backend));
      p.fill(*session);
      session->set<double>("loss", {loss});
      session->run(0);
      session->set<double>("loss", {1});
      for (int i = 0; i < 3; ++i) session->run(0);
      return std::array{session->get<double>("norm")[0], session->get<double>("scale")[0],
                        static_cast<double>(session->get<int64_t>("halted")[0])};
    };
    const auto expected = run(make_cpu_backend(), 2), got = run(make_cuda_backend(), 2);
    EXPECT_NEAR(got[0], expected[0], 2e5 * 0x1p-53 * expected[0]);
    EXPECT_NEAR(got[1], expected[1], 2e5 * 0x1p-53 * expected[1]);
    EXPECT_EQ(got[2], 0);
    EXPECT_EQ(got, run(make_cuda_backend({.graph = false}), 2)) << "the same bits again";
    const auto halted = run(make_cuda_backend(), std::nan(""));
    EXPECT_TRUE(std::isnan(halted[1]));
    EXPECT_EQ(halted[2], 1);
  }
}

// In two steps, as ranks that own tensors take it: each tensor's sum in its place, zero where none is.
TEST(CudaGradientNorm, IsTheCpusByTensors) {
  LETHE_NEEDS_GPU();
  const auto run = [&](std::unique_ptr<Backend> backend) {
    Program p;
    std::vector<Var> gradients;
    std::vector<int32_t> places;
    for (const Form& form : forms()) {
      const DType dtype = std::array{f32, b16, f64}[gradients.size() % 3];
      places.push_back(static_cast<int32_t>(2 * gradients.size() + 1));
      gradients.push_back(p.tensor(fmt::format("g{}", gradients.size()), form, dtype));
    }
    const auto count = static_cast<int64_t>(2 * gradients.size() + 1);
    const Var squares = p.tensor("squares", {{count}, count}, f64);
    ops::gradient_squares(*p.tape, gradients, places, squares);
    ops::norm_of_squares(*p.tape, squares, p.scalar("loss", f64), 0.5,
                         {p.scalar("norm", f64), p.scalar("scale", f64), p.scalar("halted", DType::i64)});
    const auto session = p.start(std::move(backend));
    p.fill(*session);
    session->set<double>("loss", {1});
    session->run(0);
    std::vector<double> found = session->get<double>("squares");
    for (const char* name : {"norm", "scale"}) found.push_back(session->get<double>(name)[0]);
    return found;
  };
  const auto expected = run(make_cpu_backend()), got = run(make_cuda_backend());
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], 2e5 * 0x1p-53 * expected[i]) << "sum " << i;
  EXPECT_EQ(got[0], 0);
  EXPECT_EQ(got, run(make_cuda_backend({.graph = false}))) << "the same bits again";
}

TEST(CudaCopyAll, CopiesWhatTheCpuCopies) {
  LETHE_NEEDS_GPU();
  for (const auto& [from, to] : {std::pair{f64, f64}, {f32, f32}, {f32, b16}, {b16, b16}}) {
    const auto run = [&, x = from, y = to](std::unique_ptr<Backend> backend) {
      Program p;
      std::vector<Var> sources;
      std::vector<Output> targets;
      for (const Form& form : forms()) {
        const auto name = fmt::format("{}", sources.size());
        sources.push_back(p.tensor("x" + name, form, x));
        // A pitch of the target's own, such as a K-extended matrix has.
        const int64_t width = form.shape.back();
        targets.push_back({p.tensor("y" + name, {form.shape, width + (sources.size() % 2 ? 0 : 64)}, y)});
      }
      ops::copy_all(*p.tape, sources, targets, "copies");
      const auto session = p.start(std::move(backend));
      p.fill(*session);
      session->run(0);
      return p.bytes(*session);
    };
    EXPECT_TRUE(run(make_cuda_backend()) == run(make_cpu_backend())) << name_of(from) << name_of(to);
  }
}

}  // namespace
}  // namespace lethe::test
