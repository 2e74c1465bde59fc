// y_i = x_i. The gradient of each x is that of its y.
#include "engine/ops/copy_all.h"

#include <fmt/format.h>

#include "engine/backward.h"
#include "kernels/copy.h"

namespace lethe::ops {
namespace {

// body.operator()<X, Y>() for the pairs that can be copied; whether it was called.
template <class Body>
bool for_types(DType from, DType to, const Body& body) {
  if (from == DType::f64 && to == DType::f64) {
    body.template operator()<double, double>();
  } else if (from == DType::f32 && to == DType::f32) {
    body.template operator()<float, float>();
  } else if (from == DType::f32 && to == DType::bf16) {
    body.template operator()<float, bf16>();
  } else if (from == DType::bf16 && to == DType::bf16) {
    body.template operator()<bf16, bf16>();
  } else {
    return false;
  }
  return true;
}

class CopyAll final : public Op {
 public:
  std::string_view name() const override { return "copy_all"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (builder.needs(i) && builder.has_gradient(i)) builder.pass_through(i, i);
    }
  }

  void run(const CpuLaunch& launch) const override {
    for_types(launch.in[0].dtype, launch.out[0].dtype, [&]<class X, class Y>() {
      for (size_t i = 0; i < launch.in.size(); ++i) {
        kernels::cpu::copy(launch.in[i].as<const X>(), launch.out[i].as<Y>(), kernels::Write::overwrite);
      }
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    for_types(launch.in[0].dtype, launch.out[0].dtype, [&]<class X, class Y>() {
      std::vector<kernels::cuda::CopyPair<X, Y>> pairs;
      for (size_t i = 0; i < launch.in.size(); ++i)
        pairs.push_back({launch.in[i].as<const X>(), launch.out[i].as<Y>()});
      kernels::cuda::copy_all<X, Y>(pairs, launch.stream);
    });
  }
#endif
};

}  // namespace

void copy_all(Tape& tape, const std::vector<Var>& from, const std::vector<Output>& into,
              const std::string& name) {
  if (from.empty() || from.size() != into.size()) {
    throw ShapeError(tape.path(name), fmt::format("copies {} tensors into {}", from.size(), into.size()));
  }
  const DType x = tape.info(from[0]).dtype, y = tape.info(into[0].var).dtype;
  const bool known = for_types(x, y, []<class, class>() {});
  for (size_t i = 0; i < from.size(); ++i) {
    const TensorInfo &a = tape.info(from[i]), &b = tape.info(into[i].var);
    if (known && a.rows() == b.rows() && a.width() == b.width() && a.dtype == x && b.dtype == y &&
        into[i].access == Access::overwrite) {
      continue;
    }
    throw ShapeError(tape.path(name), fmt::format("{} {} of {} cannot replace {} {} of {} beside the others",
                                                  a.path, text_of(a.shape), name_of(a.dtype), b.path,
                                                  text_of(b.shape), name_of(b.dtype)));
  }
  tape.append(std::make_shared<CopyAll>(), from, into, name);
}

}  // namespace lethe::ops
