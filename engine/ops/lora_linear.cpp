// y = [x | u] [W | B]^T, u = s x A^T;  dx = [dy | du] [W ; A], du = s dy B,  dA = du^T x,  dB = dy^T u.
#include "engine/ops/lora_linear.h"

#include <fmt/format.h>

#include <cstddef>

#include "engine/backward.h"
#include "engine/ops/copy_all.h"
#include "engine/ops/matmul.h"
#include "kernels/copy.h"

namespace lethe::ops {
namespace {

using kernels::MatmulForm;

int64_t rank_of(const Tape& tape, const LoraWeight& w) {
  return tape.info(w.a).shape[0];
}

// Places in the storage.
Var frozen(Tape& tape, const LoraWeight& w) {
  return tape.view(w.storage, 0, {w.outputs, tape.info(w.a).width()}, "weight");
}
Var copy_of_a(Tape& tape, const LoraWeight& w) {
  return tape.view(w.storage, w.outputs * tape.info(w.storage).pitch, tape.info(w.a).shape, "lora_A");
}
Var copies_of_b(Tape& tape, const LoraWeight& w) {
  return tape.view(w.storage, tape.info(w.a).width(), {w.outputs, rank_of(tape, w)}, "lora_B");
}
Var weight_above_a(Tape& tape, const LoraWeight& w) {
  const int64_t in = tape.info(w.a).width();
  return tape.view(w.storage, 0, {w.outputs + rank_of(tape, w), in}, "weight_and_lora_A");
}

// u = s x A^T. Its gradient is part of the rule of the product that reads it.
class LoraDown final : public Op {
 public:
  explicit LoraDown(double scale) : product_(matmul(MatmulForm::nt, scale)) {}
  std::string_view name() const override { return product_->name(); }
  Cost cost(const Node& node, const Tape& tape) const override { return product_->cost(node, tape); }
  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    return product_->workspace(node, tape, device);
  }
  void run(const CpuLaunch& launch) const override { product_->run(launch); }
#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch& launch) const override {
    product_->prepare(launch);
  }
  void run(const CudaLaunch& launch) const override {
    product_->run(launch);
  }
#endif

 private:
  std::shared_ptr<const Op> product_;
};

// Inputs [x | u], [W | B], u, x, a, then each part's b; output y. u is copied to its place beside x first.
class LoraLinear final : public Op {
 public:
  LoraLinear(LoraWeight weight, double scale) : weight_(std::move(weight)), scale_(scale) {}
  std::string_view name() const override { return "lora_linear"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    Tape& tape = builder.tape();
    const Var dy = builder.gradient(), x = builder.input(3), u = builder.input(2);
    const Var du = append_du(tape, dy);
    if (builder.needs(3)) append_dx(builder, dy, du);
    if (builder.needs(4)) tape.append(matmul(MatmulForm::tn, 1), {du, x}, {builder.target(4)}, "dA");
    int64_t slot = 0;
    for (size_t i = 0; i < weight_.parts.size(); ++i) {
      const TensorInfo b = tape.info(weight_.parts[i].b);
      const Var dy_part = tape.columns(dy, weight_.parts[i].first_output, b.shape[0], "dy");
      const Var u_part = tape.columns(u, slot, b.width(), "u");
      slot += b.width();
      if (!builder.needs(5 + i)) continue;
      tape.append(matmul(MatmulForm::tn, 1), {dy_part, u_part}, {builder.target(5 + i)}, "dB");
    }
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    const auto bytes = [&](Var v) {
      return static_cast<double>(tape.info(v).elements() * size_of(tape.info(v).dtype));
    };
    const Var x = node.inputs[0], w = node.inputs[1], u = node.inputs[2], y = node.outputs[0].var;
    return {.flops = 2.0 * static_cast<double>(tape.info(y).elements()) *
                     static_cast<double>(tape.info(w).width()),
            .bytes = bytes(x) + bytes(w) + bytes(y) + 2 * bytes(u)};
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    return product_->workspace(node, tape, device);
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::copy(launch.in[2].as<const T>(), beside_x(launch).as<T>(), kernels::Write::overwrite);
    });
    product_->run(launch);
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch& launch) const override {
    product_->prepare(launch);
  }
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::copy(launch.in[2].as<const T>(), beside_x(launch).as<T>(), kernels::Write::overwrite,
                          launch.stream);
    });
    product_->run(launch);
  }
#endif

 private:
  Var append_du(Tape& tape, Var dy) const {
    const int64_t rank = rank_of(tape, weight_);
    const Var du = tape.has_room(dy, rank)
                       ? tape.beside(dy, rank, "du")
                       : tape.tensor({tape.info(dy).rows(), rank}, tape.info(dy).dtype, "du");
    tape.append(matmul(MatmulForm::nn, scale_), {dy, copies_of_b(tape, weight_)}, {{du}}, "du");
    return du;
  }

  void append_dx(GradientBuilder& builder, Var dy, Var du) const {
    Tape& tape = builder.tape();
    const int64_t rank = rank_of(tape, weight_);
    if (tape.root(du) == tape.root(dy)) {
      const Var both = tape.view(dy, 0, {tape.info(dy).rows(), weight_.outputs + rank}, "dy_and_du");
      tape.append(matmul(MatmulForm::nn, 1), {both, weight_above_a(tape, weight_)}, {builder.target(3)},
                  "dx");
      return;
    }
    tape.append(matmul(MatmulForm::nn, 1), {dy, frozen(tape, weight_)}, {builder.target(3)}, "dx");
    tape.append(matmul(MatmulForm::nn, 1), {du, copy_of_a(tape, weight_)}, {builder.target(3)}, "dx.adapter");
  }

  static Buffer beside_x(const Launch& launch) {
    Buffer room = launch.in[0];
    const int64_t rank = launch.in[2].width;
    room.data = static_cast<std::byte*>(room.data) + (room.width - rank) * size_of(room.dtype);
    room.width = rank;
    return room;
  }

  LoraWeight weight_;
  double scale_;
  std::shared_ptr<const Op> product_ = matmul(MatmulForm::nt, 1);
};

void check(const Tape& tape, const LoraWeight& w, Var x, const std::string& name) {
  const TensorInfo &storage = tape.info(w.storage), &a = tape.info(w.a);
  const int64_t rank = a.shape.size() == 2 ? a.shape[0] : 0, in = a.width();
  int64_t parts = 0;
  bool fits = rank > 0 && tape.info(x).width() == in && storage.rows() >= w.outputs + rank &&
              storage.pitch >= in + rank && !w.parts.empty();
  for (const LoraPart& p : w.parts) {
    const TensorInfo& b = tape.info(p.b);
    fits = fits && b.shape.size() == 2 && p.first_output >= 0 && p.first_output + b.shape[0] <= w.outputs;
    parts += b.width();
  }
  if (fits && parts == rank && tape.has_room(x, rank)) return;
  throw ShapeError(
      tape.path(name),
      fmt::format("adapters of rank {} over {} inputs and {} outputs do not fit x {} with pitch {} "
                  "and the storage {}",
                  rank, in, w.outputs, text_of(tape.info(x).shape), tape.info(x).pitch,
                  text_of(storage.shape)));
}

}  // namespace

int64_t pitch_with_room(int64_t width, int64_t extra) {
  constexpr int64_t kStep = 64;
  return extra == 0 ? width : (width + extra + kStep - 1) / kStep * kStep;
}

void append_copies(Tape& tape, const LoraWeight& weight, LoraCopies& copies) {
  copies.from.push_back(weight.a);
  copies.into.push_back({copy_of_a(tape, weight)});
  const TensorInfo storage = tape.info(weight.storage);
  int64_t column = tape.info(weight.a).width();
  for (const LoraPart& p : weight.parts) {
    const TensorInfo b = tape.info(p.b);
    copies.from.push_back(p.b);
    copies.into.push_back(
        {tape.view(weight.storage, p.first_output * storage.pitch + column, b.shape, "lora_B")});
    column += b.width();
  }
}

void refresh(Tape& tape, const LoraCopies& copies, const std::string& name) {
  if (!copies.from.empty()) copy_all(tape, copies.from, copies.into, name);
}

Var lora_linear(Tape& tape, Var x, const LoraWeight& weight, double scale, const std::string& name,
                int64_t pitch) {
  check(tape, weight, x, name);
  const TensorInfo in = tape.info(x);
  const int64_t rank = rank_of(tape, weight);
  const Var u = tape.tensor({in.rows(), rank}, in.dtype, name + ".lora_A");
  tape.append(std::make_shared<LoraDown>(scale), {x, copy_of_a(tape, weight)}, {{u}}, name + ".lora_A");
  const Var y = tape.tensor({in.rows(), weight.outputs}, in.dtype, name, Kind::activation, pitch);
  const Var both = tape.view(weight.storage, 0, {weight.outputs, in.width() + rank}, "weight_and_lora_B");
  const Var wide = tape.view(x, 0, {in.rows(), in.width() + rank}, "x_and_u");
  std::vector<Var> inputs{wide, both, u, x, weight.a};
  for (const LoraPart& p : weight.parts) inputs.push_back(p.b);
  tape.append(std::make_shared<LoraLinear>(weight, scale), std::move(inputs), {{y}}, name);
  return y;
}

}  // namespace lethe::ops
