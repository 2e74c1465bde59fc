#include "engine/backend/cuda_reads.h"

#include <algorithm>

namespace lethe {
namespace {

constexpr int64_t kSlotBytes = 4096;
// Ranges this near travel as one copy, what lies between them too: a copy costs more than some bytes.
constexpr int64_t kNear = 1024;
// One read a step and the one before it; another for an evaluation's.
constexpr int kSlots = 3;

}  // namespace

class CudaReads::Read final : public QueuedRead {
 public:
  Read(CudaReads& owner, std::unique_ptr<Slot> slot, std::vector<int64_t> places)
      : owner_(owner), slot_(std::move(slot)), places_(std::move(places)) {}
  ~Read() override { owner_.spare_.push_back(std::move(slot_)); }

  bool ready() override { return is_done(slot_->done); }
  void wait() override {
    check_cuda(cudaEventSynchronize(slot_->done.get()), "the GPU's queued work");
    if (finished_ == Clock::time_point{}) finished_ = Clock::now();
  }
  const void* data(size_t range) const override { return slot_->memory.get() + places_[range]; }
  Clock::time_point finished() const override { return finished_; }

 private:
  CudaReads& owner_;
  std::unique_ptr<Slot> slot_;
  std::vector<int64_t> places_;
  Clock::time_point finished_{};
};

std::unique_ptr<CudaReads::Slot> CudaReads::make_slot(int64_t bytes) {
  auto slot = std::make_unique<Slot>();
  slot->memory = allocate_pinned(bytes);
  slot->bytes = bytes;
  slot->done = make_event();
  return slot;
}

CudaReads::CudaReads(cudaStream_t stream) : stream_(stream) {
  for (int i = 0; i < kSlots; ++i) spare_.push_back(make_slot(kSlotBytes));
}

// A slot must outlive the copies into it.
CudaReads::~CudaReads() {
  cudaStreamSynchronize(stream_);
}

std::unique_ptr<QueuedRead> CudaReads::queue(std::span<const DeviceRange> ranges) {
  struct Copy {
    const std::byte* from;
    int64_t place, bytes;
  };
  std::vector<Copy> copies;
  std::vector<int64_t> places;
  int64_t end = 0;
  for (const DeviceRange& r : ranges) {
    const auto* data = static_cast<const std::byte*>(r.data);
    const int64_t gap = copies.empty() ? -1 : data - (copies.back().from + copies.back().bytes);
    if (gap >= 0 && gap <= kNear) {
      copies.back().bytes += gap + r.bytes;
    } else {
      copies.push_back({data, (end + 15) / 16 * 16, r.bytes});
    }
    end = copies.back().place + copies.back().bytes;
    places.push_back(end - r.bytes);
  }
  std::unique_ptr<Slot> slot;
  if (end <= kSlotBytes && !spare_.empty()) {
    slot = std::move(spare_.back());
    spare_.pop_back();
  } else {
    slot = make_slot(std::max(end, kSlotBytes));
  }
  for (const Copy& c : copies) {
    check_cuda(cudaMemcpyAsync(slot->memory.get() + c.place, c.from, static_cast<size_t>(c.bytes),
                               cudaMemcpyDeviceToHost, stream_),
               "a copy of results");
  }
  check_cuda(cudaEventRecord(slot->done.get(), stream_), "cudaEventRecord");
  return std::make_unique<Read>(*this, std::move(slot), std::move(places));
}

}  // namespace lethe
