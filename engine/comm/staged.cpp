// DeviceComm through the host's memory.
#include <vector>

#include "engine/backend/cuda_pinned.h"
#include "engine/comm/device_comm.h"

namespace lethe {
namespace {

class StagedComm final : public DeviceComm {
 public:
  explicit StagedComm(Comm& host) : host_(host) {}

  void exchange(std::span<const Piece> sent, std::span<const Piece> received,
                kernels::cuda::Stream queue) override {
    auto* const stream = static_cast<cudaStream_t>(queue);
    const auto ranks = static_cast<size_t>(host_.world());
    std::vector<Comm::Sent> to(ranks);
    std::vector<Comm::Received> from(ranks);
    const std::vector<std::byte*> outgoing = places(sent, out_, out_bytes_),
                                  incoming = places(received, in_, in_bytes_);
    each(sent, outgoing, [&](const Piece& p, std::byte* at) {
      copy(at, p.data, p.bytes, cudaMemcpyDeviceToHost, stream);
      auto& [data, bytes] = to[static_cast<size_t>(p.rank)];
      if (!data) data = at;
      bytes += p.bytes;
    });
    each(received, incoming, [&](const Piece& p, std::byte* at) {
      auto& [data, bytes] = from[static_cast<size_t>(p.rank)];
      if (!data) data = at;
      bytes += p.bytes;
    });
    wait(stream);
    host_.exchange(to, from);
    each(received, incoming,
         [&](const Piece& p, std::byte* at) { copy(p.data, at, p.bytes, cudaMemcpyHostToDevice, stream); });
    wait(stream);
  }

  bool in_graphs() const override { return false; }

 private:
  // Where each rank's first piece goes: the pieces of a rank lie one behind the other.
  std::vector<std::byte*> places(std::span<const Piece> pieces, PinnedMemory& memory, int64_t& capacity) {
    std::vector<int64_t> bytes(static_cast<size_t>(host_.world()));
    int64_t all = 0;
    for (const Piece& p : pieces) {
      bytes[static_cast<size_t>(p.rank)] += p.bytes;
      all += p.bytes;
    }
    if (all > capacity) {
      memory = allocate_pinned(all);
      capacity = all;
    }
    std::vector<std::byte*> begins{memory.get()};
    for (const int64_t n : bytes) begins.push_back(begins.back() + n);
    return begins;
  }
  template <class Body>
  static void each(std::span<const Piece> pieces, std::vector<std::byte*> next, const Body& body) {
    for (const Piece& p : pieces) {
      std::byte*& at = next[static_cast<size_t>(p.rank)];
      body(p, at);
      at += p.bytes;
    }
  }
  static void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    check_cuda(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream), "cudaMemcpyAsync");
  }
  static void wait(cudaStream_t stream) {
    check_cuda(cudaStreamSynchronize(stream), "the GPU's queued work");
  }

  Comm& host_;
  PinnedMemory out_, in_;
  int64_t out_bytes_ = 0, in_bytes_ = 0;
};

}  // namespace

std::unique_ptr<DeviceComm> make_staged_comm(Comm& host) {
  return std::make_unique<StagedComm>(host);
}

}  // namespace lethe
