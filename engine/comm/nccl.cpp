// DeviceComm over NCCL, whose library is loaded when a run of several GPUs begins.
#include <dlfcn.h>
#include <fmt/format.h>
#include <nccl.h>

#include "engine/backend/cuda_check.h"
#include "engine/comm/device_comm.h"

namespace lethe {
namespace {

struct Nccl {
  void* library = nullptr;
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRank) init = nullptr;
  decltype(&ncclCommAbort) abort = nullptr;
  decltype(&ncclGetErrorString) error_string = nullptr;
  decltype(&ncclGetLastError) last_error = nullptr;
  decltype(&ncclCommRegister) register_memory = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) receive = nullptr;
};

template <class F>
bool find(const Nccl& nccl, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(nccl.library, name));
  return function != nullptr;
}

// Null where the library is not there or lacks a function.
const Nccl* load() {
  static const Nccl loaded = [] {
    Nccl n;
    for (const char* name : {"libnccl.so.2", "libnccl.so"}) {
      if (!n.library) n.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (!n.library) return n;
    const bool whole =
        find(n, "ncclGetVersion", n.get_version) && find(n, "ncclGetUniqueId", n.get_unique_id) &&
        find(n, "ncclCommInitRank", n.init) && find(n, "ncclCommAbort", n.abort) &&
        find(n, "ncclGetErrorString", n.error_string) && find(n, "ncclGetLastError", n.last_error) &&
        find(n, "ncclCommRegister", n.register_memory) && find(n, "ncclGroupStart", n.group_start) &&
        find(n, "ncclGroupEnd", n.group_end) && find(n, "ncclSend", n.send) && find(n, "ncclRecv", n.receive);
    if (!whole) n.library = nullptr;
    return n;
  }();
  return loaded.library ? &loaded : nullptr;
}

class NcclComm final : public DeviceComm {
 public:
  NcclComm(const Nccl& nccl, Comm& host, int ordinal) : nccl_(nccl) {
    ncclUniqueId id{};
    if (host.rank() == 0) check(nccl_.get_unique_id(&id), "ncclGetUniqueId");
    host.broadcast(&id, sizeof id, 0);
    check_cuda(cudaSetDevice(ordinal), fmt::format("GPU {}", ordinal));
    check(nccl_.init(&comm_, host.world(), id, host.rank()), "ncclCommInitRank");
  }
  // Not ncclCommDestroy, which waits for the others: they may have failed.
  ~NcclComm() override { nccl_.abort(comm_); }
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  void exchange(std::span<const Piece> sent, std::span<const Piece> received,
                kernels::cuda::Stream queue) override {
    auto* const stream = static_cast<cudaStream_t>(queue);
    check(nccl_.group_start(), "ncclGroupStart");
    for (const Piece& p : sent) {
      check(nccl_.send(p.data, static_cast<size_t>(p.bytes), ncclUint8, p.rank, comm_, stream), "ncclSend");
    }
    for (const Piece& p : received) {
      check(nccl_.receive(p.data, static_cast<size_t>(p.bytes), ncclUint8, p.rank, comm_, stream),
            "ncclRecv");
    }
    check(nccl_.group_end(), "ncclGroupEnd");
  }

  bool in_graphs() const override { return true; }

  void register_memory(void* memory, int64_t bytes) override {
    void* handle = nullptr;  // ends with the communicator
    check(nccl_.register_memory(comm_, memory, static_cast<size_t>(bytes), &handle), "ncclCommRegister");
  }

 private:
  void check(ncclResult_t result, const char* call) const {
    if (result == ncclSuccess || result == ncclInProgress) return;
    const char* const more = nccl_.last_error(comm_);
    throw CommError(
        call, fmt::format("{}{}{}", nccl_.error_string(result), more && *more ? ": " : "", more ? more : ""));
  }

  const Nccl& nccl_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace

std::unique_ptr<DeviceComm> make_nccl_comm(Comm& host, int ordinal) {
  const Nccl* const nccl = load();
  if (!nccl) {
    throw CommError("nccl",
                    "libnccl.so.2 is not to be found or older than 2.19; its folder belongs on "
                    "LD_LIBRARY_PATH");
  }
  return std::make_unique<NcclComm>(*nccl, host, ordinal);
}

std::string nccl_version() {
  const Nccl* const nccl = load();
  int number = 0;
  if (!nccl || nccl->get_version(&number) != ncclSuccess) return "";
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

}  // namespace lethe
