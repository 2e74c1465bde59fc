// AdamW:  p -= decay * p + lr_t * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon).   Lion:  p -= decay * p + lr *
// sign.
#include "engine/ops/update.h"

#include <fmt/format.h>

#include <type_traits>

namespace lethe::ops {
namespace {

enum class Rule { adamw, lion };

// Inputs gradient, learning rate, step, scale; outputs moved, parameter, m, then v (AdamW), then the master
// (if there is one).
class Update final : public Op {
 public:
  Update(Rule rule, const kernels::UpdateConstants& constants, bool has_master)
      : rule_(rule), constants_(constants), has_master_(has_master) {}
  std::string_view name() const override { return rule_ == Rule::adamw ? "adamw" : "lion"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops =
        (rule_ == Rule::adamw ? 16.0 : 10.0) * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch(launch, [&]<class P, class G, class M>() {
      const auto tensors = tensors_of<P, G, M>(launch);
      int64_t* moved = launch.out[0].as<int64_t>().data;
      const kernels::Write write = launch.write(0);
      if (rule_ == Rule::lion)
        return kernels::cpu::lion(tensors, constants_, scalars_of(launch), moved, write);
      kernels::cpu::adamw(tensors, constants_, scalars_of(launch), moved, write);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch(launch, [&]<class P, class G, class M>() {
      const auto tensors = tensors_of<P, G, M>(launch);
      int64_t* moved = launch.out[0].as<int64_t>().data;
      const kernels::UpdateScalars scalars = scalars_of(launch);
      if (rule_ == Rule::lion) {
        return kernels::cuda::lion(tensors, constants_, scalars, moved, launch.write(0), launch.stream);
      }
      kernels::cuda::adamw(tensors, constants_, scalars, moved, launch.write(0), launch.stream);
    });
  }
#endif

 private:
  // body.operator()<P, G, M>() for the storage of parameter, gradient and moments.
  template <class Body>
  void dispatch(const Launch& launch, const Body& body) const {
    dispatch_float(launch.out[1].dtype, name(), [&]<class P>() {
      dispatch_float(launch.in[0].dtype, name(), [&]<class G>() {
        if (launch.out[2].dtype == DType::f64) return body.template operator()<P, G, double>();
        // A parameter wider than its optimizer is refused where the node is recorded.
        if constexpr (!std::is_same_v<P, double>) body.template operator()<P, G, float>();
      });
    });
  }

  template <class P, class G, class M>
  kernels::cpu::UpdateTensors<P, G, M> tensors_of(const Launch& launch) const {
    kernels::cpu::UpdateTensors<P, G, M> tensors{.parameter = launch.out[1].as<P>(),
                                                 .gradient = launch.in[0].as<const G>(),
                                                 .m = launch.out[2].as<M>()};
    tensors.truth = (has_master_ ? launch.out.back() : launch.out[1]).template as<M>();
    if (rule_ == Rule::adamw) tensors.v = launch.out[3].as<M>();
    return tensors;
  }

  static kernels::UpdateScalars scalars_of(const Launch& launch) {
    return {.learning_rate = launch.in[1].as<const double>().data,
            .step = launch.in[2].as<const int64_t>().data,
            .gradient_scale = launch.in[3].as<const double>().data};
  }

  Rule rule_;
  kernels::UpdateConstants constants_;
  bool has_master_;
};

void require(bool holds, const Tape& tape, Var v, const std::string& name, const std::string& what) {
  if (holds) return;
  const TensorInfo& info = tape.info(v);
  throw ShapeError(tape.path(name),
                   fmt::format("{} {} of {} {}", info.path, text_of(info.shape), name_of(info.dtype), what));
}

void check_tensors(const Tape& tape, const UpdateTensors& tensors, bool has_v, const std::string& name) {
  const TensorInfo &p = tape.info(tensors.parameter), &m = tape.info(tensors.m);
  const auto fits = [&](Var v) {
    return tape.info(v).rows() == p.rows() && tape.info(v).width() == p.width() &&
           is_float(tape.info(v).dtype);
  };
  const std::string where = fmt::format("does not fit {} {}", p.path, text_of(p.shape));
  require(fits(tensors.parameter), tape, tensors.parameter, name, "is not a floating tensor");
  require(fits(tensors.gradient), tape, tensors.gradient, name, where);
  require(fits(tensors.m) && m.dtype != DType::bf16, tape, tensors.m, name, where);
  require(size_of(p.dtype) <= size_of(m.dtype), tape, tensors.parameter, name,
          fmt::format("is wider than its optimizer's {}", name_of(m.dtype)));
  if (has_v) require(fits(tensors.v) && tape.info(tensors.v).dtype == m.dtype, tape, tensors.v, name, where);
  const bool wants_master = p.dtype != m.dtype;
  require(wants_master == tensors.master.valid(), tape, tensors.parameter, name,
          fmt::format("with an optimizer in {} {} a master copy", name_of(m.dtype),
                      wants_master ? "needs" : "has no use for"));
  if (wants_master) {
    require(fits(tensors.master) && tape.info(tensors.master).dtype == m.dtype, tape, tensors.master, name,
            where);
  }
}

void check_scalar(const Tape& tape, Var v, DType dtype, const std::string& name) {
  require(tape.info(v).elements() == 1 && tape.info(v).dtype == dtype, tape, v, name,
          fmt::format("must be one {}", name_of(dtype)));
}

void record(Tape& tape, Rule rule, const UpdateTensors& tensors, const UpdateScalars& scalars,
            const kernels::UpdateConstants& constants, Output moved, const std::string& name) {
  check_tensors(tape, tensors, rule == Rule::adamw, name);
  check_scalar(tape, scalars.learning_rate, DType::f64, name);
  check_scalar(tape, scalars.step, DType::i64, name);
  check_scalar(tape, scalars.gradient_scale, DType::f64, name);
  check_scalar(tape, moved.var, DType::i64, name);
  std::vector<Output> outputs{moved, {tensors.parameter, Access::update}, {tensors.m, Access::update}};
  if (rule == Rule::adamw) outputs.push_back({tensors.v, Access::update});
  if (tensors.master.valid()) outputs.push_back({tensors.master, Access::update});
  tape.append(std::make_shared<Update>(rule, constants, tensors.master.valid()),
              {tensors.gradient, scalars.learning_rate, scalars.step, scalars.gradient_scale},
              std::move(outputs), name);
}

}  // namespace

void adamw(Tape& tape, const UpdateTensors& tensors, const UpdateScalars& scalars,
           const kernels::UpdateConstants& constants, Output moved, const std::string& name) {
  record(tape, Rule::adamw, tensors, scalars, constants, moved, name);
}

void lion(Tape& tape, const UpdateTensors& tensors, const UpdateScalars& scalars,
          const kernels::UpdateConstants& constants, Output moved, const std::string& name) {
  record(tape, Rule::lion, tensors, scalars, constants, moved, name);
}

}  // namespace lethe::ops
