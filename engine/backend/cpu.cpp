// The CPU backend: walks the nodes in order and calls their kernels. It is the executable spec.
#include <fmt/format.h>
#include <openblas_config.h>
#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "engine/backend/backend.h"
#include "engine/backend/libraries.h"
#include "kernels/cpu/team.h"
#include "kernels/stopwatch.h"

extern "C" void openblas_set_num_threads(int);
extern "C" char* openblas_get_config();

namespace lethe {
namespace {

struct CpuNode {
  const Op* op;
  std::vector<Buffer> in, out;
  std::vector<Access> access;
  void* workspace;
  bool beside;  // a sum over ranks: all that follows waits for it here
};

class CpuExecutable final : public Executable {
 public:
  CpuExecutable(const Tape& tape, const ProgramPlan& plan, void* arena, const CpuOptions& options,
                std::shared_ptr<kernels::cpu::Team> team, std::shared_ptr<kernels::Stopwatch> waited,
                std::shared_ptr<Position> position)
      : options_(options),
        team_(std::move(team)),
        waited_(std::move(waited)),
        position_(std::move(position)),
        program_(std::make_shared<Position::Program>(tape, false)) {
    const auto buffer = [&](Var v) {
      const TensorInfo& t = tape.info(v);
      const Placement& p = plan.tensors[static_cast<size_t>(v.id)];
      return Buffer{static_cast<std::byte*>(arena) + p.offset, t.dtype, t.rows(), t.width(), t.pitch};
    };
    for (size_t n = 0; n < tape.nodes().size(); ++n) {
      const Node& node = tape.nodes()[n];
      CpuNode made{.op = node.op.get(),
                   .workspace = static_cast<std::byte*>(arena) + plan.workspaces[n].offset,
                   .beside = node.stream != 0};
      for (const Var v : node.inputs) made.in.push_back(buffer(v));
      for (const Output& o : node.outputs) {
        made.out.push_back(buffer(o.var));
        made.access.push_back(o.access);
      }
      nodes_.push_back(std::move(made));
    }
    if (options_.profile) seconds_.resize(nodes_.size());
  }

  void run() override {
    const kernels::cpu::Team::Use use(*team_);
    position_->begin(program_);
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const CpuNode& node = nodes_[n];
      position_->at(n);
      const auto start = std::chrono::steady_clock::now();
      if (node.beside) kernels::cpu::start(*waited_);
      node.op->run(CpuLaunch{{node.in, node.out, node.access, node.workspace}, options_.threads});
      if (node.beside) kernels::cpu::stop(*waited_);
      if (options_.profile) {
        seconds_[n] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      }
    }
    position_->end();
  }

  std::vector<double> node_seconds() const override { return seconds_; }

 private:
  CpuOptions options_;
  std::shared_ptr<kernels::cpu::Team> team_;
  std::shared_ptr<kernels::Stopwatch> waited_;
  std::shared_ptr<Position> position_;
  std::shared_ptr<const Position::Program> program_;
  std::vector<CpuNode> nodes_;
  std::vector<double> seconds_;
};

// Cores that this process may use.
int available_cores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0
             ? CPU_COUNT(&cores)
             : static_cast<int>(std::thread::hardware_concurrency());
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options) : options_(options) {
    if (options_.threads <= 0) options_.threads = available_cores();
    team_ = std::make_shared<kernels::cpu::Team>(options_.threads);
    // Threads are ours: OpenBLAS computes one tile at a time, so the bits do not depend on their number.
    openblas_set_num_threads(1);
  }

  std::shared_ptr<void> allocate(int64_t bytes) override {
    const auto rounded = static_cast<size_t>((bytes + kAlignment - 1) / kAlignment * kAlignment);
    void* memory = std::aligned_alloc(kAlignment, std::max<size_t>(rounded, kAlignment));
    if (!memory) throw MemoryError("arena", fmt::format("the system refused {} bytes of memory", bytes));
    std::memset(memory, 0, rounded);
    return {memory, std::free};
  }

  std::unique_ptr<Executable> compile(const Tape& tape, const ProgramPlan& plan, void* arena) override {
    return std::make_unique<CpuExecutable>(tape, plan, arena, options_, team_, waited_, position());
  }

  void upload(void* device, const void* host, int64_t bytes) override {
    std::memcpy(device, host, static_cast<size_t>(bytes));
  }
  void download(void* host, const void* device, int64_t bytes) override {
    std::memcpy(host, device, static_cast<size_t>(bytes));
  }
  DeviceRange waited() const override { return {&waited_->nanoseconds, sizeof waited_->nanoseconds}; }
  int threads() const override { return options_.threads; }

 private:
  CpuOptions options_;
  std::shared_ptr<kernels::cpu::Team> team_;
  std::shared_ptr<kernels::Stopwatch> waited_ = std::make_shared<kernels::Stopwatch>();
};

}  // namespace

// The library's text begins with its name and version; how it was built follows.
LibraryVersions cpu_libraries() {
  std::string name, version;
  std::istringstream(openblas_get_config()) >> name >> version;
  return {{name, version}};
}

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace lethe
