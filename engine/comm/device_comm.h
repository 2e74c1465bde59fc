// What the ranks of a run tell each other of memory on their GPUs, queued on a stream.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/comm/comm.h"
#include "kernels/stream.h"

namespace lethe {

class DeviceComm {
 public:
  virtual ~DeviceComm() = default;

  struct Piece {
    int rank = 0;  // that gets it or sends it: never this one
    void* data = nullptr;
    int64_t bytes = 0;
  };
  // Sends each of `sent` and fills each of `received`. What one rank sends another it names in the order and
  // sizes in which the other expects it. All ranks make the same calls in one order.
  virtual void exchange(std::span<const Piece> sent, std::span<const Piece> received,
                        kernels::cuda::Stream stream) = 0;

  // Whether a call can be captured in a CUDA graph.
  virtual bool in_graphs() const = 0;
  // Told once of the memory that all pieces will lie in.
  virtual void register_memory(void*, int64_t) {}
};

// Through pinned memory of the host and its ranks: any number of ranks may share a GPU. The calls wait for
// the stream. host must outlive it.
std::unique_ptr<DeviceComm> make_staged_comm(Comm& host);

// NCCL, a rank a GPU. host: tells the ranks where they meet; it must outlive it. Loads the library when
// called: throws CommError if it is not there or finds fault, ConfigError in a build without.
std::unique_ptr<DeviceComm> make_nccl_comm(Comm& host, int ordinal);
// "2.28.3"; "" where the library is not to be found.
std::string nccl_version();

}  // namespace lethe
