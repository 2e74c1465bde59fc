// AdamW:  p -= decay * p + lr_t * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon).   Lion:  p -= decay * p + lr *
// sign.
#include "engine/ops/update.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lethe::ops {
namespace {

using kernels::Truth;
enum class Rule { adamw, lion };

// The storage of parameter, gradient, moments and truth.
struct Storage {
  DType parameter, gradient, moments;
  Truth truth;
  bool operator==(const Storage&) const = default;
  bool at_random() const { return moments == DType::bf16; }
};

template <class Body>
void for_storage(const Storage& storage, const Body& body) {
#define LETHE_BODY(P, G, M, T)                                              \
  if (storage == Storage{dtype_of<P>(), dtype_of<G>(), dtype_of<M>(), T}) { \
    return body.template operator()<P, G, M, T>();                          \
  }
  LETHE_UPDATE_TYPES(LETHE_BODY)
#undef LETHE_BODY
}

constexpr std::array kStorages = {
#define LETHE_ROW(P, G, M, T) Storage{dtype_of<P>(), dtype_of<G>(), dtype_of<M>(), T},
    LETHE_UPDATE_TYPES(LETHE_ROW)
#undef LETHE_ROW
};

// Inputs learning rates, step, scale, the seed (if something is rounded at random), then the gradients;
// outputs moved, then of each tensor parameter, m, v (AdamW), master (if there is one).
class Update final : public Op {
 public:
  Update(Rule rule, const Storage& storage, std::vector<kernels::UpdateConstants> groups,
         std::vector<std::pair<int32_t, uint32_t>> places)
      : rule_(rule), storage_(storage), groups_(std::move(groups)), places_(std::move(places)) {}
  std::string_view name() const override { return rule_ == Rule::adamw ? "adamw" : "lion"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost{.bytes = Op::cost(node, tape).bytes};
    for (size_t i = scalars(); i < node.inputs.size(); ++i) {
      cost.flops +=
          (rule_ == Rule::adamw ? 16.0 : 10.0) * static_cast<double>(tape.info(node.inputs[i]).elements());
    }
    return cost;
  }

  int64_t workspace(const Node&, const Tape&, const Device& device) const override {
    return device.kind == DeviceKind::cuda ? kernels::cuda::kUpdateWorkspaceBytes : 0;
  }

  void run(const CpuLaunch& launch) const override {
    for_storage(storage_, [&]<class P, class G, class M, Truth T>() {
      const kernels::UpdateScalars scalars = scalars_of(launch);
      int64_t* moved = launch.out[0].as<int64_t>().data;
      kernels::Write write = launch.write(0);
      for (const auto& tensors : tensors_of<P, G, M, T>(launch)) {
        if (rule_ == Rule::adamw) {
          kernels::cpu::adamw(tensors, std::span(groups_), scalars, moved, write);
        } else {
          kernels::cpu::lion(tensors, std::span(groups_), scalars, moved, write);
        }
        write = kernels::Write::accumulate;
      }
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    for_storage(storage_, [&]<class P, class G, class M, Truth T>() {
      const auto tensors = tensors_of<P, G, M, T>(launch);
      const std::span<const kernels::UpdateTensors<P, G, M, T>> all(tensors);
      const kernels::UpdateScalars scalars = scalars_of(launch);
      int64_t* moved = launch.out[0].as<int64_t>().data;
      if (rule_ == Rule::adamw) {
        kernels::cuda::adamw<P, G, M, T>(all, groups_, scalars, moved, launch.write(0), launch.workspace,
                                         launch.stream);
      } else {
        kernels::cuda::lion<P, G, M, T>(all, groups_, scalars, moved, launch.write(0), launch.workspace,
                                        launch.stream);
      }
    });
  }
#endif

 private:
  size_t scalars() const {
    return storage_.at_random() ? 4 : 3;
  }

  kernels::UpdateScalars scalars_of(const Launch& launch) const {
    return {.learning_rates = launch.in[0].as<const double>().data,
            .step = launch.in[1].as<const int64_t>().data,
            .gradient_scale = launch.in[2].as<const double>().data,
            .seed = storage_.at_random() ? launch.in[3].as<const int64_t>().data : nullptr};
  }

  template <class P, class G, class M, Truth T>
  std::vector<kernels::UpdateTensors<P, G, M, T>> tensors_of(const Launch& launch) const {
    using Tensors = kernels::UpdateTensors<P, G, M, T>;
    std::vector<Tensors> all;
    all.reserve(places_.size());
    size_t out = 1;
    for (size_t i = 0; i < places_.size(); ++i) {
      Tensors t{.parameter = launch.out[out].as<P>(),
                .master = {},
                .gradient = launch.in[scalars() + i].as<const G>(),
                .m = launch.out[out + 1].as<M>(),
                .v = {},
                .group = places_[i].first,
                .stream = places_[i].second};
      out += 2;
      if (rule_ == Rule::adamw) t.v = launch.out[out++].as<M>();
      if constexpr (T != Truth::parameter) t.master = launch.out[out++].as<typename Tensors::Master>();
      all.push_back(t);
    }
    return all;
  }

  Rule rule_;
  Storage storage_;
  std::vector<kernels::UpdateConstants> groups_;
  std::vector<std::pair<int32_t, uint32_t>> places_;  // group and stream of each tensor
};

void require(bool holds, const Tape& tape, Var v, const std::string& name, const std::string& what) {
  if (holds) return;
  const TensorInfo& info = tape.info(v);
  throw ShapeError(tape.path(name),
                   fmt::format("{} {} of {} {}", info.path, text_of(info.shape), name_of(info.dtype), what));
}

Storage storage_of(const Tape& tape, const UpdateTensors& t) {
  const Truth truth = !t.master.valid()                         ? Truth::parameter
                      : tape.info(t.master).dtype == DType::u16 ? Truth::remainder
                                                                : Truth::copy;
  return {tape.info(t.parameter).dtype, tape.info(t.gradient).dtype, tape.info(t.m).dtype, truth};
}

void check_tensors(const Tape& tape, const UpdateTensors& tensors, bool has_v, const std::string& name) {
  const TensorInfo &p = tape.info(tensors.parameter), &m = tape.info(tensors.m);
  const std::string where = fmt::format("does not fit {} {}", p.path, text_of(p.shape));
  const auto fits = [&](Var v) {
    const TensorInfo& t = tape.info(v);
    require(t.rows() == p.rows() && t.width() == p.width() && (t.rows() <= 1 || t.pitch == p.pitch), tape, v,
            name, where);
  };
  fits(tensors.gradient);
  fits(tensors.m);
  if (has_v) {
    fits(tensors.v);
    require(tape.info(tensors.v).dtype == m.dtype, tape, tensors.v, name, where);
  }
  if (!tensors.master.valid()) return;
  fits(tensors.master);
  const DType master = tape.info(tensors.master).dtype;
  require(master == m.dtype || master == DType::u16, tape, tensors.master, name, where);
}

void check_scalars(const Tape& tape, const UpdateScalars& scalars, size_t groups, bool at_random,
                   const std::string& name) {
  const auto one = [&](Var v, DType dtype) {
    require(tape.info(v).elements() == 1 && tape.info(v).dtype == dtype, tape, v, name,
            fmt::format("must be one {}", name_of(dtype)));
  };
  const TensorInfo& rates = tape.info(scalars.learning_rates);
  require(rates.dtype == DType::f64 && rates.elements() == static_cast<int64_t>(groups) && groups > 0 &&
              groups <= kernels::cuda::kMostUpdateGroups,
          tape, scalars.learning_rates, name,
          fmt::format("must be a float64 for each of the {} groups, of which there may be {}", groups,
                      kernels::cuda::kMostUpdateGroups));
  one(scalars.step, DType::i64);
  one(scalars.gradient_scale, DType::f64);
  if (!at_random) return;
  if (!scalars.seed.valid()) throw ShapeError(tape.path(name), "rounding at random needs a seed");
  one(scalars.seed, DType::i64);
}

void record(Tape& tape, Rule rule, const std::vector<UpdateTensors>& tensors, const UpdateScalars& scalars,
            const std::vector<kernels::UpdateConstants>& groups, Output moved, const std::string& name) {
  if (tensors.empty()) throw ShapeError(tape.path(name), "updates nothing");
  for (const UpdateTensors& t : tensors) {
    check_tensors(tape, t, rule == Rule::adamw, name);
    require(kind_of_update(tape, t, name) == kind_of_update(tape, tensors[0], name), tape, t.parameter, name,
            "has other dtypes than the first parameter of the node");
    require(t.group >= 0 && static_cast<size_t>(t.group) < groups.size(), tape, t.parameter, name,
            fmt::format("is of group {} of {}", t.group, groups.size()));
  }
  const Storage storage = storage_of(tape, tensors[0]);
  check_scalars(tape, scalars, groups.size(), storage.at_random(), name);
  require(tape.info(moved.var).elements() == 1 && tape.info(moved.var).dtype == DType::i64, tape, moved.var,
          name, "must be one int64");

  std::vector<Var> inputs{scalars.learning_rates, scalars.step, scalars.gradient_scale};
  if (storage.at_random()) inputs.push_back(scalars.seed);
  std::vector<Output> outputs{moved};
  std::vector<std::pair<int32_t, uint32_t>> places;
  for (const UpdateTensors& t : tensors) {
    inputs.push_back(t.gradient);
    outputs.push_back({t.parameter, Access::update});
    outputs.push_back({t.m, Access::update});
    if (rule == Rule::adamw) outputs.push_back({t.v, Access::update});
    if (t.master.valid()) outputs.push_back({t.master, Access::update});
    places.emplace_back(t.group, t.stream);
  }
  tape.append(std::make_shared<Update>(rule, storage, groups, std::move(places)), std::move(inputs),
              std::move(outputs), name);
}

}  // namespace

int kind_of_update(const Tape& tape, const UpdateTensors& tensors, const std::string& name) {
  const Storage storage = storage_of(tape, tensors);
  const auto* const found = std::ranges::find(kStorages, storage);
  if (found == kStorages.end()) {
    constexpr std::array truths = {"no master", "a master copy", "a remainder"};
    throw ShapeError(
        tape.path(name),
        fmt::format("{} of {} with a gradient of {}, moments of {} and {} cannot be updated",
                    tape.info(tensors.parameter).path, name_of(storage.parameter), name_of(storage.gradient),
                    name_of(storage.moments), truths[static_cast<size_t>(storage.truth)]));
  }
  return static_cast<int>(found - kStorages.begin());
}

void adamw(Tape& tape, const std::vector<UpdateTensors>& tensors, const UpdateScalars& scalars,
           const std::vector<kernels::UpdateConstants>& groups, Output moved, const std::string& name) {
  record(tape, Rule::adamw, tensors, scalars, groups, moved, name);
}

void lion(Tape& tape, const std::vector<UpdateTensors>& tensors, const UpdateScalars& scalars,
          const std::vector<kernels::UpdateConstants>& groups, Output moved, const std::string& name) {
  record(tape, Rule::lion, tensors, scalars, groups, moved, name);
}

}  // namespace lethe::ops
