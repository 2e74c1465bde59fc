// Plans: built or read from disk, kept by the problem's key, and run.
#include <cuda_runtime_api.h>

#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "kernels/attention_documents.h"
#include "kernels/cuda/attention_graph.h"
#include "kernels/cuda/attention_plan_files.h"
#include "kernels/cuda/cudnn_library.h"

namespace lethe::kernels::cuda {
namespace {

int64_t table_bytes(const AttentionProblem& p) {
  if (!attention_has_lengths(p)) return 0;
  return DocumentTables{p.shape.packed() ? p.shape.documents : p.shape.batch}.bytes();
}

std::string name_of_gpu() {
  int device = 0;
  cudaDeviceProp properties{};
  if (cudaGetDevice(&device) != cudaSuccess || cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
    return "unknown";
  }
  return std::string(properties.name) + " sm " + std::to_string(properties.major) +
         std::to_string(properties.minor) + " x " + std::to_string(properties.multiProcessorCount);
}

}  // namespace

struct AttentionLibrary::Plan {
  AttentionProblem problem;
  std::unique_ptr<AttentionGraph> graph;  // null: refused
  std::string refusal;
};

struct AttentionLibrary::Parts {
  std::string plan_folder, machine, missing;
  cudnnHandle_t handle = nullptr;
  bool started = false;
  std::map<std::string, Plan> plans;
  std::set<std::string> told;

  ~Parts() {
    plans.clear();
    if (handle) cudnnDestroy(handle);
  }

  void start() {
    if (started) return;
    started = true;
    missing = open_cudnn();
    if (!missing.empty()) return;
    if (const cudnnStatus_t status = cudnnCreate(&handle); status != CUDNN_STATUS_SUCCESS) {
      handle = nullptr;
      missing = std::string("cuDNN does not start: ") + cudnnGetErrorString(status);
      return;
    }
    machine = "cudnn " + std::to_string(cudnnGetVersion()) + " frontend " +
              std::to_string(AttentionGraph::version()) + " on " + name_of_gpu();
  }

  void make(Plan& plan, int64_t workspace_bytes) {
    start();
    plan.refusal = missing.empty() ? attention_library_refusal(plan.problem) : missing;
    if (!plan.refusal.empty()) return;
    const int64_t room = workspace_bytes - table_bytes(plan.problem);
    const std::string key = machine + "; " + plan.problem.key();
    if (const auto bytes = read_plan(plan_folder, key)) {
      cudnnSetStream(handle, nullptr);
      plan.graph = AttentionGraph::read(*bytes, handle, room);
    }
    if (plan.graph) return;
    plan.graph = AttentionGraph::build(plan.problem, handle, room, plan.refusal);
    if (plan.graph) write_plan(plan_folder, key, plan.graph->bytes());
  }
};

AttentionLibrary::AttentionLibrary(std::string plan_folder) : parts_(std::make_unique<Parts>()) {
  parts_->plan_folder = std::move(plan_folder);
}
AttentionLibrary::~AttentionLibrary() = default;

int64_t AttentionLibrary::version() {
  return open_cudnn().empty() ? static_cast<int64_t>(cudnnGetVersion()) : 0;
}

const AttentionLibrary::Plan* AttentionLibrary::plan(const AttentionProblem& problem, int64_t workspace_bytes,
                                                     std::string* refusal) {
  const std::string key = problem.key() + " in " + std::to_string(workspace_bytes);
  auto found = parts_->plans.find(key);
  if (found == parts_->plans.end()) {
    found = parts_->plans.emplace(key, Plan{problem, nullptr, {}}).first;
    parts_->make(found->second, workspace_bytes);
  }
  if (refusal) *refusal = found->second.refusal;
  return found->second.graph ? &found->second : nullptr;
}

bool AttentionLibrary::is_news(const std::string& refusal) {
  return parts_->told.insert(refusal).second;
}

void AttentionLibrary::run(const Plan& plan, const AttentionBuffers& b, Stream stream) {
  const AttentionProblem& p = plan.problem;
  const DocumentTables tables{p.shape.packed() ? p.shape.documents : p.shape.batch};
  std::unordered_map<int64_t, void*> pointers;
  const auto add = [&](int64_t which, const void* data) { pointers[which] = const_cast<void*>(data); };
  add(kQ, b.q);
  add(kK, b.k);
  add(kV, b.v);
  add(kOut, b.out);
  add(kLse, b.lse);
  if (p.backward) {
    add(kDout, b.dout);
    add(kDq, b.dq);
    add(kDk, b.dk);
    add(kDv, b.dv);
  }
  if (attention_has_lengths(p)) {
    add(kLengths, tables.lengths(b.workspace));
    add(kKeyLengths, tables.lengths(b.workspace));
  }
  if (p.shape.packed()) {
    // In the order of AttentionTensor.
    const std::array<int64_t, DocumentTables::kOffsets> pitches{p.q_pitch,   p.k_pitch,     p.v_pitch,
                                                                p.out_pitch, p.shape.heads, p.dout_pitch,
                                                                p.dq_pitch,  p.dk_pitch,    p.dv_pitch};
    document_tables(p.shape, b.document_start, pitches, b.workspace, stream);
    for (int i = 0; i < DocumentTables::kOffsets; ++i) add(kFirstOffsets + i, tables.offsets(b.workspace, i));
  } else if (attention_has_lengths(p)) {
    row_tables(p.shape, b.workspace, stream);
  }
  if (const cudnnStatus_t status = cudnnSetStream(parts_->handle, static_cast<cudaStream_t>(stream));
      status != CUDNN_STATUS_SUCCESS) {
    throw std::runtime_error(std::string("cuDNN: stream: ") + cudnnGetErrorString(status));
  }
  void* const rest = static_cast<std::byte*>(b.workspace) + table_bytes(p);
  if (const std::string wrong = plan.graph->run(parts_->handle, pointers, rest); !wrong.empty()) {
    throw std::runtime_error("cuDNN: attention: " + wrong);
  }
}

}  // namespace lethe::kernels::cuda
