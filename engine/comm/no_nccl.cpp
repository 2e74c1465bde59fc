// A build without NCCL.
#include "engine/comm/device_comm.h"

namespace lethe {

std::unique_ptr<DeviceComm> make_nccl_comm(Comm&, int) {
  throw ConfigError("distributed.engine", "is nccl, and this build was made without NCCL's header");
}

std::string nccl_version() {
  return "";
}

}  // namespace lethe
