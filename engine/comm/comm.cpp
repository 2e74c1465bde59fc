#include "engine/comm/comm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "kernels/sum_ranks.h"

namespace lethe {
namespace {

constexpr int64_t kBytesAtOnce = 4 << 20;

template <class Body>
void dispatch_summed(DType dtype, const Body& body) {
  if (dtype == DType::i64) return body.template operator()<int64_t>();
  dispatch_float(dtype, "a sum over ranks", [&]<class T>() { body.template operator()<T>(); });
}

void check_slices(std::span<const int64_t> slices, int world) {
  if (static_cast<int>(slices.size()) != world || std::ranges::any_of(slices, [](auto n) { return n < 0; })) {
    throw ShapeError(
        "comm", fmt::format("{} slices for {} ranks, or one of less than nothing", slices.size(), world));
  }
}

class SelfComm final : public Comm {
 public:
  SelfComm() : Comm(0, 1) {}
  void broadcast(void*, int64_t, int) override {}
  void barrier() override {}
  void end_all(int status) override { std::_Exit(status); }

  void exchange(std::span<const Sent>, std::span<const Received>) override {}
};

}  // namespace

std::vector<int64_t> Comm::even_slices(int64_t count) const {
  std::vector<int64_t> slices(static_cast<size_t>(world_), count / world_);
  for (int64_t r = 0; r < count % world_; ++r) ++slices[static_cast<size_t>(r)];
  return slices;
}

std::vector<Comm::Stretch> Comm::stretches(std::span<const int64_t> slices, DType dtype) const {
  check_slices(slices, world_);
  const int64_t longest = std::max<int64_t>(1, kBytesAtOnce / size_of(dtype) / world_);
  std::vector<Stretch> found;
  for (int64_t done = 0; done < std::ranges::max(slices); done += longest) {
    Stretch stretch;
    int64_t begin = 0;
    for (const int64_t slice : slices) {
      stretch.offsets.push_back(begin + std::min(done, slice));
      stretch.counts.push_back(std::clamp<int64_t>(slice - done, 0, longest));
      begin += slice;
    }
    found.push_back(std::move(stretch));
  }
  return found;
}

// own: where the stretch's sum goes; it may lie in `values`.
void Comm::reduce(const std::byte* values, std::byte* own, DType dtype, const Stretch& stretch) {
  const auto ranks = static_cast<size_t>(world_), me = static_cast<size_t>(rank_);
  const int64_t size = size_of(dtype), count = stretch.counts[me];
  copies_.resize(std::max(copies_.size(), static_cast<size_t>(count * size) * (ranks - 1)));
  std::vector<Sent> sent(ranks);
  std::vector<Received> received(ranks);
  std::byte* copy = copies_.data();
  for (size_t r = 0; r < ranks; ++r) {
    if (r == me) continue;
    sent[r] = {values + stretch.offsets[r] * size, stretch.counts[r] * size};
    received[r] = {copy, count * size};
    copy += count * size;
  }
  exchange(sent, received);
  const std::byte* const mine = values + stretch.offsets[me] * size;
  if (own != mine) std::memmove(own, mine, static_cast<size_t>(count * size));
  dispatch_summed(dtype, [&]<class T>() {
    kernels::sum_ranks(reinterpret_cast<T*>(own), reinterpret_cast<const T*>(copies_.data()), count, rank_,
                       world_, count);
  });
}

void Comm::gather(std::byte* values, DType dtype, const Stretch& stretch) {
  const auto ranks = static_cast<size_t>(world_), me = static_cast<size_t>(rank_);
  const int64_t size = size_of(dtype);
  std::vector<Sent> sent(ranks);
  std::vector<Received> received(ranks);
  for (size_t r = 0; r < ranks; ++r) {
    if (r == me) continue;
    sent[r] = {values + stretch.offsets[me] * size, stretch.counts[me] * size};
    received[r] = {values + stretch.offsets[r] * size, stretch.counts[r] * size};
  }
  exchange(sent, received);
}

void Comm::all_reduce(void* values, DType dtype, int64_t count) {
  dispatch_summed(dtype, []<class>() {});  // refuses the type, on one rank too
  if (world_ == 1) return;
  auto* const bytes = static_cast<std::byte*>(values);
  for (const Stretch& s : stretches(even_slices(count), dtype)) {
    reduce(bytes, bytes + s.offsets[static_cast<size_t>(rank_)] * size_of(dtype), dtype, s);
    gather(bytes, dtype, s);
  }
}

void Comm::reduce_scatter(const void* values, void* own, DType dtype, std::span<const int64_t> slices) {
  const auto* const bytes = static_cast<const std::byte*>(values);
  auto* out = static_cast<std::byte*>(own);
  for (const Stretch& s : stretches(slices, dtype)) {
    reduce(bytes, out, dtype, s);
    out += s.counts[static_cast<size_t>(rank_)] * size_of(dtype);
  }
}

void Comm::all_gather(const void* own, void* values, DType dtype, std::span<const int64_t> slices) {
  check_slices(slices, world_);
  const int64_t size = size_of(dtype);
  auto* const bytes = static_cast<std::byte*>(values);
  std::byte* const mine = bytes + std::accumulate(slices.begin(), slices.begin() + rank_, int64_t{0}) * size;
  if (own != mine) std::memmove(mine, own, static_cast<size_t>(slices[static_cast<size_t>(rank_)] * size));
  if (world_ == 1) return;
  for (const Stretch& s : stretches(slices, dtype)) gather(bytes, dtype, s);
}

std::vector<std::string> gather_texts(Comm& comm, const std::string& text) {
  const std::vector<int64_t> one(static_cast<size_t>(comm.world()), 1);
  std::vector<int64_t> lengths(one.size());
  const auto length = static_cast<int64_t>(text.size());
  comm.all_gather(&length, lengths.data(), DType::i64, one);
  std::vector<std::string> texts;
  for (int r = 0; r < comm.world(); ++r) {
    texts.push_back(
        r == comm.rank() ? text : std::string(static_cast<size_t>(lengths[static_cast<size_t>(r)]), ' '));
    comm.broadcast(texts.back().data(), lengths[static_cast<size_t>(r)], r);
  }
  return texts;
}

std::unique_ptr<Comm> make_self_comm() {
  return std::make_unique<SelfComm>();
}

}  // namespace lethe
