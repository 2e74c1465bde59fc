// Comm over TCP connections between all pairs of ranks, for launchers that say where rank 0 is
// (MASTER_ADDR, MASTER_PORT) and bring no MPI.
#pragma once

#include <memory>

#include "engine/comm/comm.h"
#include "engine/comm/store.h"

namespace lethe {

// Collective: finds the other ranks by the store's keys "tcp/RANK". Throws CommError. Afterwards a collective
// waits for ever, as MPI's do; a rank that died closes its connections, and the others throw CommError.
std::unique_ptr<Comm> make_tcp_comm(Store& store, int rank, int world, Seconds patience);

}  // namespace lethe
