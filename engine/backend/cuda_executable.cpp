#include "engine/backend/cuda_executable.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/backend/cuda_ranges.h"
#include "engine/comm/device_comm.h"

namespace lethe {

CudaExecutable::CudaExecutable(const Tape& tape, const ProgramPlan& plan, void* arena, Streams streams,
                               kernels::cuda::MatmulLibrary& matmuls,
                               kernels::cuda::AttentionLibrary& attention, std::shared_ptr<Position> position,
                               const CudaOptions& options)
    : position_(std::move(position)),
      program_(std::make_shared<Position::Program>(tape, true)),
      name_(tape.name()),
      streams_(streams),
      matmuls_(matmuls),
      attention_(attention),
      options_(options) {
  const auto place = [&](const Placement& p) { return static_cast<std::byte*>(arena) + p.offset; };
  const auto buffer = [&](Var v) {
    const TensorInfo& t = tape.info(v);
    return Buffer{place(plan.tensors[static_cast<size_t>(v.id)]), t.dtype, t.rows(), t.width(), t.pitch};
  };
  for (size_t n = 0; n < tape.nodes().size(); ++n) {
    const Node& node = tape.nodes()[n];
    const Placement& scratch = plan.workspaces[n];
    Step step{.op = node.op.get(),
              .path = fmt::format("{} ({})", node.path, node.op->name()),
              .workspace = scratch.bytes ? place(scratch) : nullptr,
              .workspace_bytes = scratch.bytes,
              .beside = node.stream != 0};
    for (const Var v : node.inputs) step.in.push_back(buffer(v));
    for (const Output& o : node.outputs) {
      step.out.push_back(buffer(o.var));
      step.access.push_back(o.access);
    }
    if (step.beside) {
      step.begin = make_event();
      step.end = make_event();
    }
    steps_.push_back(std::move(step));
  }
  const std::vector<int32_t> awaited = awaited_before(tape);
  for (size_t n = 0; n < steps_.size(); ++n) {
    if (!steps_[n].beside) continue;
    const auto before = static_cast<size_t>(awaited[n]);
    (before < steps_.size() ? steps_[before].waits_for : awaited_at_end_).push_back(n);
  }
  for (const Step& step : steps_) step.op->prepare(launch_of(step));
  if (!options_.profile) return;
  seconds_.resize(steps_.size());
  events_.resize(steps_.size() + 1);
  for (cudaEvent_t& event : events_) check_cuda(cudaEventCreate(&event), "cudaEventCreate");
}

CudaExecutable::~CudaExecutable() {
  if (graph_) cudaGraphExecDestroy(graph_);
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

CudaLaunch CudaExecutable::launch_of(const Step& step) const {
  return {{step.in, step.out, step.access, step.workspace},
          step.workspace_bytes,
          // One after the other where nodes are timed.
          step.beside && !options_.profile ? streams_.beside : streams_.main,
          &matmuls_,
          &attention_,
          options_.comm.get()};
}

void CudaExecutable::run() {
  const NamedRange range(name_);
  position_->begin(program_);
  queue_program();
  position_->end();
}

void CudaExecutable::queue_program() {
  if (options_.profile) return run_timed();
  // The first run loads kernels and lets libraries set up what a capture must not see.
  if (++runs_ == 2 && can_be_captured()) capture();
  if (!graph_) return queue_nodes();
  const bool traced = options_.trace && options_.trace->running();
  if (traced) options_.trace->push(graph_paths_);
  const cudaError_t status = cudaGraphLaunch(graph_, streams_.main);
  if (traced) options_.trace->pop();
  check_cuda(status, "cudaGraphLaunch");
}

bool CudaExecutable::can_be_captured() const {
  const bool talks = std::ranges::any_of(steps_, &Step::beside);
  return options_.graph && !(talks && host_talks());
}

void CudaExecutable::queue(const Step& step) {
  const NamedRange range(step.path);
  wait_for(step.waits_for);
  if (step.beside) {
    check_cuda(cudaEventRecord(step.begin.get(), streams_.main), "cudaEventRecord");
    check_cuda(cudaStreamWaitEvent(streams_.beside, step.begin.get()), "cudaStreamWaitEvent");
  }
  // A sum that goes through the host begins when the main stream has nothing left to do: all of it is waited
  // for. The main stream's own waits would not tell, as they are queued when it is over.
  const bool counted = step.beside && streams_.waited && host_talks();
  if (counted) kernels::cuda::start(streams_.waited, streams_.beside);
  step.op->run(launch_of(step));
  if (counted) kernels::cuda::stop(streams_.waited, streams_.beside);
  check_cuda(cudaGetLastError(), step.path);
  if (step.beside) check_cuda(cudaEventRecord(step.end.get(), streams_.beside), "cudaEventRecord");
}

void CudaExecutable::wait_for(const std::vector<size_t>& steps) {
  const bool counted = streams_.waited && !steps.empty() && !host_talks();
  if (counted) kernels::cuda::start(streams_.waited, streams_.main);
  for (const size_t n : steps) {
    check_cuda(cudaStreamWaitEvent(streams_.main, steps_[n].end.get()), "cudaStreamWaitEvent");
  }
  if (counted) kernels::cuda::stop(streams_.waited, streams_.main);
}

// Whether sums wait for the stream and go through the host.
bool CudaExecutable::host_talks() const {
  return options_.comm && !options_.comm->in_graphs();
}

void CudaExecutable::queue_nodes() {
  for (size_t n = 0; n < steps_.size(); ++n) {
    const Step& step = steps_[n];
    position_->at(n);
    const bool traced = options_.trace && options_.trace->running();
    if (traced) options_.trace->push(std::make_shared<const std::vector<std::string>>(1, step.path));
    queue(step);
    if (traced) options_.trace->pop();
  }
  wait_for(awaited_at_end_);
}

// Kernels, copies and fills in the graph that is being captured.
size_t CudaExecutable::captured_pieces() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaGraph_t graph = nullptr;
  check_cuda(cudaStreamGetCaptureInfo(streams_.main, &status, nullptr, &graph, nullptr, nullptr, nullptr),
             "cudaStreamGetCaptureInfo");
  size_t count = 0;
  check_cuda(cudaGraphGetNodes(graph, nullptr, &count), "cudaGraphGetNodes");
  return count;
}

void CudaExecutable::capture() {
  check_cuda(cudaStreamBeginCapture(streams_.main, cudaStreamCaptureModeThreadLocal),
             "cudaStreamBeginCapture");
  cudaGraph_t recorded = nullptr;
  std::vector<std::string> paths;
  std::vector<size_t> counts;
  try {
    for (const Step& step : steps_) {
      queue(step);
      if (!options_.trace) continue;
      paths.push_back(step.path);
      counts.push_back(captured_pieces());
    }
    wait_for(awaited_at_end_);
  } catch (...) {
    cudaStreamEndCapture(streams_.main, &recorded);
    if (recorded) cudaGraphDestroy(recorded);
    throw;
  }
  check_cuda(cudaStreamEndCapture(streams_.main, &recorded), "cudaStreamEndCapture");
  graph_paths_ = std::make_shared<const std::vector<std::string>>(paths_of_captured(paths, counts));
  const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
  cudaGraphDestroy(recorded);
  check_cuda(status, "cudaGraphInstantiate");
}

void CudaExecutable::run_timed() {
  for (size_t n = 0; n < steps_.size(); ++n) {
    const NamedRange range(steps_[n].path);
    check_cuda(cudaEventRecord(events_[n], streams_.main), "cudaEventRecord");
    steps_[n].op->run(launch_of(steps_[n]));
    check_cuda(cudaGetLastError(), steps_[n].path);
  }
  check_cuda(cudaEventRecord(events_.back(), streams_.main), "cudaEventRecord");
  check_cuda(cudaEventSynchronize(events_.back()), "a timed program");
  for (size_t n = 0; n < steps_.size(); ++n) {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, events_[n], events_[n + 1]), "cudaEventElapsedTime");
    seconds_[n] += static_cast<double>(milliseconds) / 1000;
  }
}

}  // namespace lethe
