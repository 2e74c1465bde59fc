// Each pair of a head's elements turns by an angle; the gradient turns back, in place as well.
#include "engine/ops/rope.h"

#include "engine/backward.h"

namespace lethe::ops {
namespace {

// Inputs x, positions, table; output x again.
class Rope final : public Op {
 public:
  Rope(int64_t heads, int64_t head_dim, bool inverse)
      : heads_(heads), head_dim_(head_dim), inverse_(inverse) {}
  std::string_view name() const override { return inverse_ ? "rope_backward" : "rope"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var positions = builder.input(1), table = builder.input(2);
    const Output dx = builder.gradient_to_update();
    builder.tape().append(std::make_shared<Rope>(heads_, head_dim_, !inverse_), {dx.var, positions, table},
                          {dx});
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 3 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      const auto x = launch.out[0].as<T>();
      kernels::cpu::rope<T>({x.data, x.rows, x.width, x.pitch}, launch.in[1].as<const int32_t>().data,
                            launch.in[2].as<const compute_t<T>>().data, heads_, head_dim_, inverse_, x);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      const auto x = launch.out[0].as<T>();
      kernels::cuda::rope<T>({x.data, x.rows, x.width, x.pitch}, launch.in[1].as<const int32_t>().data,
                             launch.in[2].as<const compute_t<T>>().data, heads_, head_dim_, inverse_, x,
                             launch.stream);
    });
  }
#endif

 private:
  int64_t heads_, head_dim_;
  bool inverse_;
};

}  // namespace

void rope(Tape& tape, Var x, Var positions, Var table, int64_t heads, int64_t head_dim,
          const std::string& name) {
  const TensorInfo in = tape.info(x), at = tape.info(positions), t = tape.info(table);
  if (head_dim % 2 != 0 || in.width() != heads * head_dim || at.dtype != DType::i32 ||
      at.elements() != in.rows() || t.width() != head_dim || t.pitch != head_dim ||
      t.dtype != compute_dtype(in.dtype)) {
    throw ShapeError(tape.path(name), "x " + text_of(in.shape) + ", positions " + text_of(at.shape) +
                                          " and table " + text_of(t.shape) + " of " +
                                          std::string(name_of(t.dtype)) + " do not make " +
                                          text_of({in.rows(), heads, head_dim}));
  }
  if (tape.info(tape.root(x)).persistent >= 0) {
    throw ShapeError(in.path, "lives on after the program: it cannot be turned in place");
  }
  tape.append(std::make_shared<Rope>(heads, head_dim, false), {x, positions, table}, {{x, Access::update}},
              name);
}

std::vector<double> rope_table_values(double theta, int64_t head_dim, const RopeScaling& scaling,
                                      int64_t max_position, DType dtype) {
  std::vector<double> frequencies(static_cast<size_t>(head_dim / 2));
  kernels::rope_frequencies(theta, head_dim, scaling, frequencies.data());
  const double factor = kernels::rope_attention_factor(scaling);
  const auto make = [&]<class C>(C) {
    std::vector<C> table(static_cast<size_t>(max_position * head_dim));
    kernels::rope_table(frequencies.data(), factor, max_position, head_dim, table.data());
    return std::vector<double>(table.begin(), table.end());
  };
  return compute_dtype(dtype) == DType::f64 ? make(double{}) : make(float{});
}

}  // namespace lethe::ops
