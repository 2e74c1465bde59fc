// What the processes of one run (its ranks) tell each other, through the host's memory.
//
// One rule makes sums reproducible: the elements are cut into one slice a rank, each rank is sent all copies
// of its slice, adds them in the order of the ranks and rounds once. Where the slices begin does not enter an
// element's bits. So all_reduce is reduce_scatter and then all_gather, bit for bit, and a run gives the same
// bits whether each rank keeps everything or only its part.
//
// Every call is collective: all ranks make the same calls with the same counts and types, in one order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/dtype.h"

namespace lethe {

class Comm {
 public:
  Comm(int rank, int world) : rank_(rank), world_(world) {}
  virtual ~Comm() = default;
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  int rank() const { return rank_; }
  int world() const { return world_; }

  // Elements of each rank's slice where nobody asks for others: the first ranks have one more if need be.
  std::vector<int64_t> even_slices(int64_t count) const;

  // Sums over the ranks; bf16 is added in float32. Types: float64, float32, bfloat16, int64, else ShapeError.
  // In place, on all ranks.
  void all_reduce(void* values, DType dtype, int64_t count);
  // `own` gets the sum of this rank's slice, slices[rank()] elements. The slices lie one behind the other in
  // `values`; there are world() of them (ShapeError). `own` may lie at its place there.
  void reduce_scatter(const void* values, void* own, DType dtype, std::span<const int64_t> slices);
  // `values` gets all slices. `own` may lie at its place there. Any type.
  void all_gather(const void* own, void* values, DType dtype, std::span<const int64_t> slices);

  // `root`'s bytes, on all ranks.
  virtual void broadcast(void* data, int64_t bytes, int root) = 0;
  // Returns when all ranks have come here.
  virtual void barrier() = 0;
  // Ends all ranks at once, this process too, with that exit status. What is to be said was said before.
  [[noreturn]] virtual void end_all(int status) = 0;

  struct Sent {
    const void* data = nullptr;
    int64_t bytes = 0;
  };
  struct Received {
    void* data = nullptr;
    int64_t bytes = 0;
  };
  // Sends sent[r] to each rank r and fills received[r] with what r sends here: nothing for the rank itself.
  virtual void exchange(std::span<const Sent> sent, std::span<const Received> received) = 0;

 private:
  // One stretch of every rank's slice at a time, so that the copies received take a few MiB.
  struct Stretch {
    std::vector<int64_t> offsets, counts;  // by rank, in elements
  };
  std::vector<Stretch> stretches(std::span<const int64_t> slices, DType dtype) const;
  void reduce(const std::byte* values, std::byte* own, DType dtype, const Stretch& stretch);
  void gather(std::byte* values, DType dtype, const Stretch& stretch);

  int rank_, world_;
  std::vector<std::byte> copies_;  // of this rank's stretch, from each rank
};

// Each rank's text, by rank. Collective.
std::vector<std::string> gather_texts(Comm& comm, const std::string& text);

// A run of one process.
std::unique_ptr<Comm> make_self_comm();

// Ranks that MPI started or, without a launcher, one. Throws CommError, ConfigError in a build without MPI.
std::unique_ptr<Comm> make_mpi_comm();
// "Open MPI 4.1.4", "" in a build without.
std::string mpi_version();

}  // namespace lethe
