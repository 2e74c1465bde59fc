// y_i = table[id_i];  dtable[v] = sum of dy_i over the i with id_i = v.
#include "engine/ops/embedding.h"

#include "engine/backward.h"
#include "kernels/embedding.h"

namespace lethe::ops {
namespace {

// body.operator()<X, Y>() for a value stored as X that goes to a Y.
template <class Body>
void dispatch(DType from, DType to, const Body& body) {
  if (from == DType::f64) return body.template operator()<double, double>();
  const auto narrow = [](DType dtype, const auto& inner) {
    if (dtype == DType::bf16) return inner.template operator()<bf16>();
    return inner.template operator()<float>();
  };
  narrow(from, [&]<class X>() { narrow(to, [&]<class Y>() { body.template operator()<X, Y>(); }); });
}

// Inputs dy, ids; output dtable.
class EmbeddingBackward final : public Op {
 public:
  explicit EmbeddingBackward(int32_t padding_id) : padding_id_(padding_id) {}
  std::string_view name() const override { return "embedding_backward"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    if (device.kind == DeviceKind::cpu) return 0;
    const TensorInfo &dy = tape.info(node.inputs[0]), &dtable = tape.info(node.outputs[0].var);
    int64_t bytes = 0;
    dispatch(dy.dtype, dtable.dtype, [&]<class X, class Y>() {
      bytes = kernels::cuda::embedding_backward_workspace_bytes<Y>(dy.rows(), dy.width());
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    const Buffer &dy = launch.in[0], &dtable = launch.out[0];
    dispatch(dy.dtype, dtable.dtype, [&]<class X, class Y>() {
      kernels::cpu::embedding_backward<X, Y>(dy.as<const X>(), launch.in[1].as<const int32_t>().data,
                                             padding_id_, dtable.as<Y>(), launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const Buffer &dy = launch.in[0], &dtable = launch.out[0];
    dispatch(dy.dtype, dtable.dtype, [&]<class X, class Y>() {
      kernels::cuda::embedding_backward<X, Y>(dy.as<const X>(), launch.in[1].as<const int32_t>().data,
                                              padding_id_, dtable.as<Y>(), launch.write(0), launch.workspace,
                                              launch.stream);
    });
  }
#endif

 private:
  int32_t padding_id_;
};

// Inputs ids, table; output y.
class Embedding final : public Op {
 public:
  explicit Embedding(int32_t padding_id) : padding_id_(padding_id) {}
  std::string_view name() const override { return "embedding"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(1)) return;
    const Var dy = builder.gradient(), ids = builder.input(0);
    const Output dtable = builder.target(1);
    builder.tape().append(std::make_shared<EmbeddingBackward>(padding_id_), {dy, ids}, {dtable});
  }

  // Reads as many rows of the table as there are ids, not the table.
  Cost cost(const Node& node, const Tape& tape) const override {
    const TensorInfo &table = tape.info(node.inputs[1]), &y = tape.info(node.outputs[0].var);
    return {.flops = 0,
            .bytes = static_cast<double>(y.elements() * (size_of(table.dtype) + size_of(y.dtype)))};
  }

  void run(const CpuLaunch& launch) const override {
    const Buffer &table = launch.in[1], &y = launch.out[0];
    dispatch(table.dtype, y.dtype, [&]<class X, class Y>() {
      kernels::cpu::embedding<X, Y>(table.as<const X>(), launch.in[0].as<const int32_t>().data, y.as<Y>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const Buffer &table = launch.in[1], &y = launch.out[0];
    dispatch(table.dtype, y.dtype, [&]<class X, class Y>() {
      kernels::cuda::embedding<X, Y>(table.as<const X>(), launch.in[0].as<const int32_t>().data, y.as<Y>(),
                                     launch.stream);
    });
  }
#endif

 private:
  int32_t padding_id_;
};

}  // namespace

Var embedding(Tape& tape, Var ids, Var table, DType dtype, const std::string& name, int32_t padding_id) {
  const TensorInfo id = tape.info(ids), t = tape.info(table);
  if (id.dtype != DType::i32 || t.shape.size() != 2 || !is_float(t.dtype) || !is_float(dtype) ||
      compute_dtype(t.dtype) != compute_dtype(dtype)) {
    throw ShapeError(tape.path(name), "ids " + text_of(id.shape) + " of " + std::string(name_of(id.dtype)) +
                                          " and table " + text_of(t.shape) + " of " +
                                          std::string(name_of(t.dtype)) + " do not give " +
                                          std::string(name_of(dtype)));
  }
  const Var y = tape.tensor({id.elements(), t.width()}, dtype, name);
  tape.append(std::make_shared<Embedding>(padding_id), {ids, table}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
