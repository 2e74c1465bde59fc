// A program on the GPU: its nodes queued one after the other the first time, captured in a CUDA graph the
// second time, and replayed as one from then on. Whatever changes from step to step lies in device memory, so
// a replay is always right. Nodes of stream 1 are queued on a stream of their own, which begins behind what
// was queued before them and is waited for where the program says (awaited_before).
#pragma once

#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/cuda_pinned.h"
#include "engine/backend/cuda_trace.h"
#include "kernels/attention_library.h"
#include "kernels/matmul.h"
#include "kernels/stopwatch.h"

namespace lethe {

class CudaExecutable final : public Executable {
 public:
  struct Streams {
    cudaStream_t main = nullptr, beside = nullptr;  // beside: of nodes of stream 1
    kernels::Stopwatch* waited = nullptr;           // in the GPU's memory; null: nothing is counted
  };

  // Prepares every node (algorithms are picked here). streams and libraries must outlive the executable.
  CudaExecutable(const Tape& tape, const ProgramPlan& plan, void* arena, Streams streams,
                 kernels::cuda::MatmulLibrary& matmuls, kernels::cuda::AttentionLibrary& attention,
                 std::shared_ptr<Position> position, const CudaOptions& options);
  ~CudaExecutable() override;
  CudaExecutable(const CudaExecutable&) = delete;
  CudaExecutable& operator=(const CudaExecutable&) = delete;

  // Queues the program and returns. Throws DeviceError naming the node that could not be queued; work that
  // fails later is reported by the backend's wait and transfers.
  void run() override;
  std::vector<double> node_seconds() const override { return seconds_; }

 private:
  struct Step {
    const Op* op;
    std::string path;
    std::vector<Buffer> in, out;
    std::vector<Access> access;
    void* workspace;
    int64_t workspace_bytes;
    bool beside;                    // on the stream of that name, and then:
    CudaEvent begin, end;           // what was queued before it is done; it is done
    std::vector<size_t> waits_for;  // steps beside that must have ended
  };

  CudaLaunch launch_of(const Step& step) const;
  void queue_program();
  void queue_nodes();
  void queue(const Step& step);
  void wait_for(const std::vector<size_t>& steps);
  bool host_talks() const;
  bool can_be_captured() const;
  void capture();
  size_t captured_pieces() const;
  void run_timed();

  std::shared_ptr<Position> position_;
  std::shared_ptr<const Position::Program> program_;
  std::string name_;
  std::vector<Step> steps_;
  std::vector<size_t> awaited_at_end_;
  Streams streams_;
  kernels::cuda::MatmulLibrary& matmuls_;
  kernels::cuda::AttentionLibrary& attention_;
  CudaOptions options_;
  int runs_ = 0;
  cudaGraphExec_t graph_ = nullptr;
  CudaTrace::Paths graph_paths_;     // of each piece of the graph's work, where it is traced
  std::vector<cudaEvent_t> events_;  // before each node and after the last, where nodes are timed
  std::vector<double> seconds_;
};

}  // namespace lethe
