// cuDNN takes [sequence, head, token, D] with any strides, so q, k and v are read where the merged product
// left them. Its sliding window counts the token itself, as ours does.
#include "kernels/cuda/attention_graph.h"

#include <cudnn_frontend.h>

#include <array>
#include <exception>

namespace lethe::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

// A plan on disk knows its tensors by name.
std::string name_of(int64_t uid) {
  return "tensor" + std::to_string(uid);
}

class Builder {
 public:
  explicit Builder(const AttentionProblem& problem)
      : p_(problem),
        s_(problem.shape),
        sequences_(s_.packed() ? s_.documents : s_.batch),
        graph_(std::make_shared<fe::graph::Graph>()) {
    graph_->set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }

  std::shared_ptr<fe::graph::Graph> forward() {
    const Tensor q = input(kQ, s_.heads, p_.q_pitch), k = input(kK, s_.kv_heads, p_.k_pitch),
                 v = input(kV, s_.kv_heads, p_.v_pitch);
    auto options = fe::graph::SDPA_attributes();
    options.set_name("attention").set_generate_stats(true);
    mask(options);
    const auto [out, lse] = graph_->sdpa(q, k, v, options);
    output(out, kOut, s_.heads, p_.out_pitch, offsets(kOut));
    describe_lse(lse);
    lse->set_output(true);
    return graph_;
  }

  std::shared_ptr<fe::graph::Graph> backward() {
    const Tensor q = input(kQ, s_.heads, p_.q_pitch), k = input(kK, s_.kv_heads, p_.k_pitch),
                 v = input(kV, s_.kv_heads, p_.v_pitch), out = input(kOut, s_.heads, p_.out_pitch);
    const Tensor dout =
        tensor(kDout, s_.heads, p_.dout_pitch, offsets(p_.dout_pitch == p_.out_pitch ? kOut : kDout));
    const Tensor lse = graph_->tensor(fe::graph::Tensor_attributes());
    describe_lse(lse);
    auto options = fe::graph::SDPA_backward_attributes();
    options.set_name("attention_backward").set_deterministic_algorithm(s_.deterministic);
    if (s_.packed()) {
      options.set_max_total_seq_len_q(s_.batch * s_.tokens).set_max_total_seq_len_kv(s_.batch * s_.tokens);
    }
    mask(options);
    const auto [dq, dk, dv] = graph_->sdpa_backward(q, k, v, out, dout, lse, options);
    output(dq, kDq, s_.heads, p_.dq_pitch, offsets(p_.dq_pitch == p_.q_pitch ? kQ : kDq));
    output(dk, kDk, s_.kv_heads, p_.dk_pitch, offsets(p_.dk_pitch == p_.k_pitch ? kK : kDk));
    output(dv, kDv, s_.kv_heads, p_.dv_pitch, offsets(p_.dv_pitch == p_.v_pitch ? kV : kDv));
    return graph_;
  }

 private:
  using Sizes = std::vector<int64_t>;

  Sizes sizes(int64_t heads) const { return {sequences_, heads, s_.tokens, s_.head_dim}; }
  Sizes strides(int64_t pitch) const { return {s_.tokens * pitch, s_.head_dim, pitch, 1}; }

  Tensor tensor(AttentionTensor which, int64_t heads, int64_t pitch, const Tensor& offsets_of) {
    auto attributes = fe::graph::Tensor_attributes();
    attributes.set_name(name_of(which)).set_uid(which).set_dim(sizes(heads)).set_stride(strides(pitch));
    if (offsets_of) attributes.set_ragged_offset(offsets_of);
    return graph_->tensor(attributes);
  }
  Tensor input(AttentionTensor which, int64_t heads, int64_t pitch) {
    return tensor(which, heads, pitch, offsets(which));
  }
  void output(const Tensor& made, AttentionTensor which, int64_t heads, int64_t pitch,
              const Tensor& offsets_of) {
    made->set_output(true)
        .set_name(name_of(which))
        .set_uid(which)
        .set_dim(sizes(heads))
        .set_stride(strides(pitch));
    if (offsets_of) made->set_ragged_offset(offsets_of);
  }

  // [B, H, T] for rows, [B*T, H] for documents: cuDNN sizes what it keeps beside it by the tokens' stride.
  void describe_lse(const Tensor& lse) {
    lse->set_name(name_of(kLse))
        .set_uid(kLse)
        .set_dim({sequences_, s_.heads, s_.tokens, 1})
        .set_data_type(fe::DataType_t::FLOAT);
    if (s_.packed()) {
      lse->set_stride({s_.tokens * s_.heads, 1, s_.heads, 1}).set_ragged_offset(offsets(kLse));
    } else {
      lse->set_stride({s_.heads * s_.tokens, s_.tokens, 1, 1});
    }
  }

  Tensor table(int64_t uid, int64_t entries) {
    return graph_->tensor(fe::graph::Tensor_attributes()
                              .set_name(name_of(uid))
                              .set_uid(uid)
                              .set_dim({entries, 1, 1, 1})
                              .set_stride({1, 1, 1, 1})
                              .set_data_type(fe::DataType_t::INT32));
  }

  // Null where rows are not packed. Made once for each tensor.
  Tensor offsets(AttentionTensor of) {
    if (!s_.packed()) return nullptr;
    Tensor& made = offsets_[static_cast<size_t>(of - kQ)];
    if (!made) made = table(kFirstOffsets + of - kQ, sequences_ + 1);
    return made;
  }

  template <class Options>
  void mask(Options& options) {
    options.set_attn_scale(static_cast<float>(p_.scale))
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
    if (s_.window > 0 && s_.window < s_.tokens) {
      options.set_diagonal_band_left_bound(static_cast<int>(s_.window));
    }
    if (!attention_has_lengths(p_)) return;
    options.set_padding_mask(true)
        .set_seq_len_q(table(kLengths, sequences_))
        .set_seq_len_kv(table(kKeyLengths, sequences_));
  }

  const AttentionProblem& p_;
  const AttentionShape& s_;
  int64_t sequences_;
  std::shared_ptr<fe::graph::Graph> graph_;
  std::array<Tensor, kLengths - kQ> offsets_;
};

std::shared_ptr<fe::graph::Graph> described(const AttentionProblem& problem) {
  Builder builder(problem);
  return problem.backward ? builder.backward() : builder.forward();
}

// cuDNN's messages are of several lines.
std::string one_line(std::string text) {
  for (char& c : text) c = c == '\n' ? ' ' : c;
  return text;
}

// Empty if one of the plans that cuDNN proposes is within the workspace; it is then the graph's.
std::string choose_plan(fe::graph::Graph& graph, cudnnHandle_t handle, int64_t workspace_bytes) {
  auto status = graph.validate();
  if (status.is_good()) status = graph.build_operation_graph(handle);
  if (status.is_good()) status = graph.create_execution_plans({fe::HeurMode_t::A});
  if (status.is_bad()) return one_line(status.get_message());
  std::string refusal = "cuDNN has no plan";
  for (int64_t i = 0; i < graph.get_execution_plan_count(); ++i) {
    if (status = graph.build_plan_at_index(i); status.is_bad()) {
      refusal = one_line(status.get_message());
      continue;
    }
    const int64_t bytes = graph.get_workspace_size_plan_at_index(i);
    if (bytes <= workspace_bytes) return "";
    refusal = "cuDNN's plan takes " + std::to_string(bytes) + " bytes of workspace, more than the " +
              std::to_string(workspace_bytes) + " planned";
  }
  return refusal;
}

}  // namespace

struct AttentionGraph::Parts {
  std::shared_ptr<fe::graph::Graph> graph;
};

AttentionGraph::AttentionGraph(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
AttentionGraph::~AttentionGraph() = default;

int64_t AttentionGraph::version() {
  return CUDNN_FRONTEND_VERSION;
}

// Beside packed rows the backward pass of rows that are no multiple of 128: up to cuDNN 9.15 it is wrong
// without lengths, and the frontend would copy its own from host memory at each run.
bool attention_has_lengths(const AttentionProblem& p) {
  return p.shape.packed() || (p.backward && p.shape.tokens % 128 != 0);
}

std::unique_ptr<AttentionGraph> AttentionGraph::build(const AttentionProblem& problem, cudnnHandle_t handle,
                                                      int64_t workspace_bytes, std::string& refusal) {
  try {
    auto graph = described(problem);
    refusal = choose_plan(*graph, handle, workspace_bytes);
    if (refusal.empty()) return std::make_unique<AttentionGraph>(std::make_unique<Parts>(std::move(graph)));
  } catch (const std::exception& e) {
    refusal = one_line(e.what());
  }
  return nullptr;
}

std::unique_ptr<AttentionGraph> AttentionGraph::read(const std::vector<uint8_t>& bytes, cudnnHandle_t handle,
                                                     int64_t workspace_bytes) {
  try {
    auto graph = std::make_shared<fe::graph::Graph>();
    int64_t needed = 0;
    if (graph->deserialize(handle, bytes).is_good() && graph->get_workspace_size(needed).is_good() &&
        needed <= workspace_bytes) {
      return std::make_unique<AttentionGraph>(std::make_unique<Parts>(std::move(graph)));
    }
  } catch (const std::exception&) {
    // As good as no plan: it is built anew.
  }
  return nullptr;
}

std::vector<uint8_t> AttentionGraph::bytes() const {
  std::vector<uint8_t> written;
  try {
    if (parts_->graph->serialize(written).is_bad()) written.clear();
  } catch (const std::exception&) {
    written.clear();
  }
  return written;
}

std::string AttentionGraph::run(cudnnHandle_t handle, std::unordered_map<int64_t, void*>& pointers,
                                void* workspace) const {
  auto status = parts_->graph->execute(handle, pointers, workspace);
  return status.is_good() ? "" : one_line(status.get_message());
}

}  // namespace lethe::kernels::cuda
