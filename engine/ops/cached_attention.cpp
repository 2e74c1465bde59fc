// o = softmax(q k^T / sqrt(D)) v over the keys that a token's slot has kept.
#include "engine/ops/cached_attention.h"

#include <cmath>

#include "engine/error.h"
#include "kernels/attention.h"

namespace lethe::ops {
namespace {

// Inputs x, rows; output the cache, of which other rows stay.
class KeepRows final : public Op {
 public:
  std::string_view name() const override { return "keep_rows"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    const TensorInfo& x = tape.info(node.inputs[0]);
    return {.bytes = static_cast<double>(2 * x.elements() * size_of(x.dtype))};
  }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::keep_rows<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data,
                                 launch.out[0].as<T>());
    });
  }
#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::keep_rows<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data,
                                  launch.out[0].as<T>(), launch.stream);
    });
  }
#endif
};

// Inputs q, keys, values, rows; output out.
class CachedAttention final : public Op {
 public:
  explicit CachedAttention(const CachedAttentionShape& shape)
      : shape_(shape), scale_(1 / std::sqrt(static_cast<double>(shape.head_dim))) {}
  std::string_view name() const override { return "cached_attention"; }

  // As if every token stood at its slot's end: what the plan must allow for.
  Cost cost(const Node& node, const Tape& tape) const override {
    const TensorInfo &q = tape.info(node.inputs[0]), &keys = tape.info(node.inputs[1]);
    const auto seen = static_cast<double>(shape_.tokens * shape_.capacity);
    return {.flops = 4 * seen * static_cast<double>(q.width()),
            .bytes = 2 * static_cast<double>(size_of(q.dtype)) *
                     (seen * static_cast<double>(keys.width()) + static_cast<double>(q.elements()))};
  }
  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cpu) return bytes;
    dispatch_float(tape.info(node.inputs[0]).dtype, name(),
                   [&]<class T>() { bytes = kernels::cuda::cached_attention_workspace_bytes<T>(shape_); });
    return bytes;
  }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::cached_attention<T>(shape_, scale_, launch.in[0].as<const T>(),
                                        launch.in[1].as<const T>(), launch.in[2].as<const T>(),
                                        launch.in[3].as<const int32_t>().data, launch.out[0].as<T>());
    });
  }
#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch&) const override {
    if (shape_.head_dim <= kernels::cuda::kMostHeadDim) return;
    throw DeviceError(std::string(name()), "heads of " + std::to_string(shape_.head_dim) +
                                               " are wider than the CUDA kernel's " +
                                               std::to_string(kernels::cuda::kMostHeadDim));
  }
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::cached_attention<T>(
          shape_, scale_, launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>(),
          launch.in[3].as<const int32_t>().data, launch.out[0].as<T>(), launch.workspace, launch.stream);
    });
  }
#endif

 private:
  CachedAttentionShape shape_;
  double scale_;
};

void require_rows(const Tape& tape, const std::string& name, Var rows, int64_t count) {
  const TensorInfo& r = tape.info(rows);
  if (r.dtype == DType::i32 && r.elements() == count) return;
  throw ShapeError(tape.path(name), "rows " + text_of(r.shape) + " of " + std::string(name_of(r.dtype)) +
                                        " is not " + text_of({count}) + " of int32");
}

}  // namespace

void keep_rows(Tape& tape, Var x, Var rows, Var cache, const std::string& name) {
  const TensorInfo &from = tape.info(x), &to = tape.info(cache);
  if (from.width() != to.width() || from.dtype != to.dtype || !is_float(from.dtype)) {
    throw ShapeError(tape.path(name), "rows of " + text_of(from.shape) + " of " +
                                          std::string(name_of(from.dtype)) + " do not go into " +
                                          text_of(to.shape) + " of " + std::string(name_of(to.dtype)));
  }
  require_rows(tape, name, rows, from.rows());
  tape.append(std::make_shared<KeepRows>(), {x, rows}, {{cache, Access::update}}, name);
}

Var cached_attention(Tape& tape, Var q, Var keys, Var values, Var rows, const CachedAttentionShape& s,
                     const std::string& name, int64_t pitch) {
  const std::string path = tape.path(name);
  if (s.tokens < 0 || s.heads < 1 || s.kv_heads < 1 || s.heads % s.kv_heads != 0 || s.head_dim < 1 ||
      s.head_dim > kernels::kMostCachedHeadDim || s.capacity < 1 || s.window < 0) {
    throw ShapeError(path, std::to_string(s.heads) + " heads of " + std::to_string(s.head_dim) + " over " +
                               std::to_string(s.kv_heads) + " key and value heads, slots of " +
                               std::to_string(s.capacity) + " and a window of " + std::to_string(s.window) +
                               " are no attention");
  }
  const DType dtype = tape.info(q).dtype;
  const auto fit = [&](Var var, const char* what, int64_t count, int64_t heads) {
    const TensorInfo& t = tape.info(var);
    if ((count < 0 ? t.rows() % s.capacity == 0 : t.rows() == count) && t.width() == heads * s.head_dim &&
        t.dtype == dtype)
      return;
    throw ShapeError(
        path, std::string(what) + " " + text_of(t.shape) + " of " + std::string(name_of(t.dtype)) +
                  " is not " +
                  (count < 0 ? "slots of " + std::to_string(s.capacity) : std::to_string(count)) +
                  " rows of " + std::to_string(heads * s.head_dim) + " " + std::string(name_of(dtype)));
  };
  fit(q, "q", s.tokens, s.heads);
  fit(keys, "keys", -1, s.kv_heads);
  fit(values, "values", -1, s.kv_heads);
  require_rows(tape, name, rows, s.tokens);
  const Var out = tape.tensor({s.tokens, s.heads * s.head_dim}, dtype, name, Kind::activation, pitch);
  tape.append(std::make_shared<CachedAttention>(s), {q, keys, values, rows}, {{out}}, name);
  return out;
}

}  // namespace lethe::ops
