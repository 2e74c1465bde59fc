// Comm over MPI's messages between processes.
#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <cstdlib>

#include "engine/comm/comm.h"

namespace lethe {
namespace {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CommError(call, std::string(text.data(), static_cast<size_t>(length)));
}

// MPI is begun once in a process and ended with it.
void begin_mpi() {
  int begun = 0;
  MPI_Initialized(&begun);
  if (begun) return;
  int level = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), "MPI_Init_thread");
  // Errors come back as codes, not as the end of the process.
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

int world_rank() {
  begin_mpi();
  int rank = 0;
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  return rank;
}

int world_size() {
  int size = 1;
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  return size;
}

// MPI counts in int.
template <class Body>
void in_pieces(int64_t bytes, const Body& body) {
  constexpr int64_t most = 1 << 30;
  for (int64_t at = 0; at < bytes; at += most) body(at, static_cast<int>(std::min(bytes - at, most)));
}

class MpiComm final : public Comm {
 public:
  MpiComm() : MpiComm(world_rank()) {}
  ~MpiComm() override { MPI_Finalize(); }

  void broadcast(void* data, int64_t bytes, int root) override {
    in_pieces(bytes, [&](int64_t at, int piece) {
      check(MPI_Bcast(static_cast<std::byte*>(data) + at, piece, MPI_BYTE, root, MPI_COMM_WORLD),
            "MPI_Bcast");
    });
  }

  void barrier() override { check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

  void end_all(int status) override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

  void exchange(std::span<const Sent> sent, std::span<const Received> received) override {
    std::vector<MPI_Request> requests;
    for (int r = 0; r < world(); ++r) {
      const Received& from = received[static_cast<size_t>(r)];
      in_pieces(from.bytes, [&](int64_t at, int bytes) {
        check(MPI_Irecv(static_cast<std::byte*>(from.data) + at, bytes, MPI_BYTE, r, 0, MPI_COMM_WORLD,
                        &requests.emplace_back()),
              "MPI_Irecv");
      });
    }
    for (int r = 0; r < world(); ++r) {
      const Sent& to = sent[static_cast<size_t>(r)];
      in_pieces(to.bytes, [&](int64_t at, int bytes) {
        check(MPI_Isend(static_cast<const std::byte*>(to.data) + at, bytes, MPI_BYTE, r, 0, MPI_COMM_WORLD,
                        &requests.emplace_back()),
              "MPI_Isend");
      });
    }
    check(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE),
          "MPI_Waitall");
  }

 private:
  explicit MpiComm(int rank) : Comm(rank, world_size()) {}
};

}  // namespace

std::unique_ptr<Comm> make_mpi_comm() {
  return std::make_unique<MpiComm>();
}

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string version(text.data(), static_cast<size_t>(length));
  return version.substr(0, version.find_first_of(",\n"));
}

}  // namespace lethe
