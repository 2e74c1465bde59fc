// A build where CMake found no MPI.
#include "engine/comm/comm.h"

namespace lethe {

std::unique_ptr<Comm> make_mpi_comm() {
  throw ConfigError("distributed.engine", "this build has no MPI (docs/building.md)");
}

std::string mpi_version() {
  return "";
}

}  // namespace lethe
